//! Why the node does not start.

use std::{fmt, path::PathBuf};

use super::source::Origin;

/// One fault in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key that nothing reads.
    #[error("{origin}: unknown key {key}{}", nearest.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownKey {
        /// As it was written.
        key: String,
        /// Where.
        origin: Origin,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value that cannot be used.
    #[error("{origin}: {key} is {given:?}; it must be {allowed}")]
    BadValue {
        /// Of which key.
        key: String,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
        /// Where.
        origin: Origin,
    },
    /// Two values that do not fit together.
    #[error("{keys}: {message}")]
    Conflict {
        /// Which keys.
        keys: &'static str,
        /// What is wrong, with both values.
        message: String,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which line, counting from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
}

/// Every fault that was found, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
