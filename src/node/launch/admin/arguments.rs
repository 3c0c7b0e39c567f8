//! The arguments of a command, as JSON.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::gateway::ops::AdminError;

/// None.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
}

/// Members that leave.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leave {
    pub(super) names: BTreeSet<String>,
    #[serde(default)]
    pub(super) force: bool,
}

/// How many nodes of a set stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    pub(super) set: String,
    pub(super) to: u32,
    #[serde(default)]
    pub(super) force: bool,
}

/// Whose processes, and how many rows of each list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Processes {
    #[serde(default)]
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

/// A shard to copy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenCopy {
    pub(super) shard: u32,
}

/// The next pairs of a copy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadCopy {
    pub(super) copy: String,
    /// In base64; nothing: from the beginning.
    #[serde(default)]
    pub(super) after: Option<String>,
}

/// A copy that is open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    pub(super) copy: String,
}

/// Copies that are open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copies {
    pub(super) copies: Vec<String>,
}

/// Reads them; nothing is an empty object.
pub(super) fn read<T: DeserializeOwned>(given: Value) -> Result<T, AdminError> {
    let given = if given.is_null() { Value::Object(serde_json::Map::new()) } else { given };
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => root,
            path => format!(".{path}"),
        };
        AdminError::Arguments { path, message: error.inner().to_string() }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bad_arguments_say_where() {
        assert_eq!(read::<Named>(json!({"name": "a"})).unwrap().name, "a");
        assert!(!read::<Scale>(json!({"set": "a", "to": 3})).unwrap().force);
        read::<Nothing>(Value::Null).unwrap();
        let at = |error| match error {
            AdminError::Arguments { path, .. } => path,
            error => panic!("{error}"),
        };
        assert_eq!(at(read::<Named>(json!({"name": 7})).unwrap_err()), ".name");
        assert_eq!(at(read::<Named>(Value::Null).unwrap_err()), ".");
        assert_eq!(at(read::<Nothing>(json!({"all": true})).unwrap_err()), ".all");
        assert_eq!(at(read::<Scale>(json!({"set": "a", "to": -1})).unwrap_err()), ".to");
    }
}
