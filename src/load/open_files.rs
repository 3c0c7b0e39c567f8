//! The limit of open files: each connection is one, and the usual limit of 1,024 is too small for load.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of this process cannot be high enough. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} files have to be open at a time, and this process may open {limit}: raise the hard limit (`ulimit -Hn`, \
     `LimitNOFILE=` of the service), or use fewer connections"
)]
pub struct OpenFilesError {
    /// How many are needed.
    pub needed: u64,
    /// How many can be.
    pub limit: u64,
}

/// Lets this process, and those that it starts later, open as many files as its hard limit allows.
///
/// # Errors
///
/// When that is less than `needed`.
pub fn raise_open_files(needed: u64) -> Result<(), OpenFilesError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|maximum| *maximum < needed) {
        return Err(OpenFilesError { needed, limit });
    }
    let raised = Rlimit { current: maximum, maximum };
    let too_few = |_| OpenFilesError { needed, limit: current.unwrap_or(u64::MAX) };
    setrlimit(Resource::Nofile, raised).map_err(too_few)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_suffices_is_left_and_one_that_cannot_be_had_is_told() {
        assert_eq!(raise_open_files(1), Ok(()));
        let error = raise_open_files(u64::MAX);
        let unlimited = getrlimit(Resource::Nofile).maximum.is_none();
        assert_eq!(error.is_ok(), unlimited, "{error:?}");
    }
}
