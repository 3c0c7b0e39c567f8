//! Any JSON value, inside of commands, replies and states.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Value;

/// Deepest nesting of arrays and objects.
pub const JSON_DEPTH_MAX: usize = 100;

/// JSON that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Arrays and objects are nested too deeply.
    #[error("JSON may be nested {JSON_DEPTH_MAX} levels deep, this is nested {0} levels deep")]
    Depth(usize),
}

/// Any JSON value, kept as compact text: cheap to clone, small in memory, and the same in every codec.
///
/// It is a JSON value in JSON and a string in the binary codec, which does not describe itself; a bare
/// [`serde_json::Value`] could be written there but never read back. Keys of objects are sorted; whole numbers
/// outside of 64 bits become floating point. At most [`JSON_DEPTH_MAX`] levels deep.
///
/// ```
/// use playhouse::protocol::{Json, codec};
///
/// let json: Json = serde_json::from_str(r#"{"b": 1, "a": [true]}"#).unwrap();
/// assert_eq!(json.as_str(), r#"{"a":[true],"b":1}"#);
/// assert_eq!(codec::decode::<Json>(&codec::encode(&json).unwrap()).unwrap(), json);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Keeps `value`.
    ///
    /// # Errors
    ///
    /// [`JsonError::Depth`].
    pub fn new(value: &Value) -> Result<Self, JsonError> {
        let text = value.to_string();
        match depth(&text) {
            0..=JSON_DEPTH_MAX => Ok(Self(text.into())),
            deep => Err(JsonError::Depth(deep)),
        }
    }

    /// The compact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length of the compact text in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The value, parsed.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("it was checked when it was made")
    }
}

/// How deeply arrays and objects are nested. Brackets inside of strings do not count.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl Default for Json {
    /// `null`.
    fn default() -> Self {
        Self("null".into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Json {
    type Err = JsonError;
    fn from_str(text: &str) -> Result<Self, JsonError> {
        Self::new(&serde_json::from_str(text)?)
    }
}

impl TryFrom<Value> for Json {
    type Error = JsonError;
    fn try_from(value: Value) -> Result<Self, JsonError> {
        Self::new(&value)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serde_json::from_str::<Value>(&self.0).map_err(ser::Error::custom)?.serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::new(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
        } else {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::codec;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn depth_is_bounded_in_both_formats() {
        assert!(serde_json::from_str::<Json>(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(serde_json::from_str::<Json>(&nested(JSON_DEPTH_MAX + 1)).is_err());
        assert!(serde_json::from_str::<Json>(&nested(100_000)).is_err());
        let bytes = codec::encode(&nested(100_000)).unwrap();
        assert!(codec::decode::<Json>(&bytes).is_err());
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        assert_eq!(depth(r#"{"a[[\"[":["}{"]}"#), 2);
        assert_eq!(depth(r#""\\""#), 0);
    }

    #[test]
    fn binary_text_that_is_not_json_is_refused() {
        for text in ["", "{", "nul", "1 2", "{\"a\":}", "1e999", r#""\ud800""#] {
            assert!(codec::decode::<Json>(&codec::encode(text).unwrap()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn null_is_a_value() {
        assert_eq!(serde_json::from_str::<Json>("null").unwrap(), Json::default());
        assert_eq!(serde_json::to_string(&Json::default()).unwrap(), "null");
    }
}
