//! Replies that are plain objects in JSON and tagged in the binary format.

/// Gives an enum of newtype variants the traits of serde: in JSON only the inner object is written, and read by
/// trying one variant after the other; in the binary codec, which does not describe itself, the variant is written
/// in front.
///
/// The enum derives serde's traits with `#[serde(remote = "Self")]`. The inner structs must be told apart by their
/// fields alone, so they `deny_unknown_fields`.
macro_rules! flat_in_json {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !serializer.is_human_readable() {
                    return Self::serialize(self, serializer);
                }
                match self {
                    $(Self::$variant(inner) => serde::Serialize::serialize(inner, serializer),)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return Self::deserialize(deserializer);
                }
                let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
                $(if let Ok(inner) = serde::Deserialize::deserialize(&value) {
                    return Ok(Self::$variant(inner));
                })+
                Err(serde::de::Error::custom(concat!("not a ", stringify!($name), " of this kind")))
            }
        }
    };
}

pub(crate) use flat_in_json;
