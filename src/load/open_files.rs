//! The limit of open files: each connection is one, and the usual limit of 1,024 is too small for load.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of this process is not high enough. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenFilesError {
    /// The hard limit is too low, which only a privileged process can raise.
    #[error(
        "{needed} files have to be open at a time, and this process may open {limit}: raise the hard limit (`ulimit -Hn`, \
         `LimitNOFILE=` of the service), or use fewer connections"
    )]
    TooFew {
        /// How many are needed.
        needed: u64,
        /// How many can be: the hard limit.
        limit: u64,
    },
    /// The hard limit would do, but the operating system did not let the process have it.
    #[error(
        "{needed} files have to be open at a time, and the limit of this process was not raised from {limit}: raise the soft \
         limit before it starts (`ulimit -Sn`), or use fewer connections"
    )]
    NotRaised {
        /// How many are needed.
        needed: u64,
        /// How many can be: the soft limit.
        limit: u64,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Lets this process, and those that it starts later, open as many files as its hard limit allows, also when fewer are `needed`.
///
/// # Errors
///
/// When it cannot open as many as are `needed`.
pub fn raise_open_files(needed: u64) -> Result<(), OpenFilesError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(limit) = maximum.filter(|maximum| *maximum < needed) {
        return Err(OpenFilesError::TooFew { needed, limit });
    }
    match (setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }), current) {
        (Err(error), Some(limit)) if limit < needed => {
            Err(OpenFilesError::NotRaised { needed, limit, source: error.into() })
        }
        // There is no limit, or the one of before is enough.
        (Ok(()) | Err(_), _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once a limit that sufficed was left, though processes that are started later were promised all there is.
    #[test]
    fn a_limit_is_raised_to_the_hard_one_whatever_is_needed() {
        raise_open_files(1).unwrap();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }

    #[test]
    fn a_limit_that_cannot_be_had_is_told() {
        let Some(hard) = getrlimit(Resource::Nofile).maximum else { return };
        let error = raise_open_files(hard + 1).unwrap_err();
        assert!(matches!(error, OpenFilesError::TooFew { limit, .. } if limit == hard), "{error:?}");
    }
}
