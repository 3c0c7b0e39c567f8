//! Text to objects: the only place that knows YAML.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest text of manifests that is read, in bytes.
const MANIFESTS_BYTES_MAX: usize = 4 << 20;

/// Why manifests are refused. Nothing of them is applied then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not even the form is right.
    #[error("the manifests are not YAML: {0}")]
    Yaml(String),
    /// More than this reads.
    #[error("{bytes} bytes of manifests, at most {MANIFESTS_BYTES_MAX} are read")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// It has no kind, version or name.
    #[error("a document has no {missing}")]
    Nameless {
        /// What it lacks.
        missing: &'static str,
    },
    /// Neither understood nor on the list of what is not run.
    #[error(
        "{kind} of {version} is not known to the executor: teach it, or add it to the list of what is not run, with the reason"
    )]
    UnknownKind {
        /// `apiVersion`.
        version: String,
        /// `kind`.
        kind: String,
    },
    /// A field that is not known, or a value that is none.
    #[error("{object}: at {path}: {reason}")]
    Field {
        /// Kind and name.
        object: String,
        /// Where in it.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Two documents are the same object.
    #[error("{object} is there twice")]
    Twice {
        /// Kind and name.
        object: String,
    },
    /// It is understood, and something that it needs is not done here.
    #[error("{object}: {reason}")]
    NotDone {
        /// Kind and name.
        object: String,
        /// What is not done.
        reason: String,
    },
}

/// All documents of `text`; empty ones are skipped.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    if text.len() > MANIFESTS_BYTES_MAX {
        return Err(ManifestError::TooLong { bytes: text.len() });
    }
    let all: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| ManifestError::Yaml(error.to_string()))?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

/// A document as the type that its kind has; an error says where it differs.
pub(super) fn typed<T: DeserializeOwned>(object: &str, document: Value) -> Result<T, ManifestError> {
    serde_path_to_error::deserialize(document).map_err(|error| ManifestError::Field {
        object: object.to_owned(),
        path: error.path().to_string(),
        reason: error.inner().to_string(),
    })
}

/// A text that a document must have.
pub(super) fn text<'a>(
    document: &'a Value,
    pointer: &str,
    missing: &'static str,
) -> Result<&'a str, ManifestError> {
    document.pointer(pointer).and_then(Value::as_str).ok_or(ManifestError::Nameless { missing })
}
