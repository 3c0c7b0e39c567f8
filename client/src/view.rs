//! What can be seen without a command.

use serde::{Deserialize, Serialize};

use crate::name::{NameError, check_kind, encode};

/// The state of an entity as its kind shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityView<S> {
    /// Its kind.
    pub kind: String,
    /// Which one.
    pub key: String,
    /// Its shard.
    pub shard: u16,
    /// The node that answered, if the server says so. It need not lead the shard.
    #[serde(default)]
    pub node: Option<String>,
    /// How many times it has changed; 0 when nobody has written it yet.
    pub revision: u64,
    /// The state.
    pub state: S,
}

/// Which entities to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    kind: String,
    prefix: String,
    after: Option<String>,
    limit: u16,
}

impl ListQuery {
    /// The first 100 of this kind.
    ///
    /// # Errors
    ///
    /// When the kind's name is not allowed.
    pub fn of(kind: impl Into<String>) -> Result<Self, NameError> {
        let kind = kind.into();
        check_kind(&kind)?;
        Ok(Self { kind, prefix: String::new(), after: None, limit: 100 })
    }

    /// Only keys that start so.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Only keys behind this one: [`Page::next_after`] of the page before.
    #[must_use]
    pub fn after(self, key: impl Into<String>) -> Self {
        Self { after: Some(key.into()), ..self }
    }

    /// At most so many; the server takes 1 to 1000, and so what is outside is brought inside.
    #[must_use]
    pub fn limit(self, limit: u16) -> Self {
        Self { limit: limit.clamp(1, 1000), ..self }
    }

    pub(crate) fn path(&self) -> String {
        let mut path = format!("/v1/entities/{}?limit={}", self.kind, self.limit);
        if !self.prefix.is_empty() {
            path.push_str("&prefix=");
            path.push_str(&encode(&self.prefix));
        }
        if let Some(after) = &self.after {
            path.push_str("&after=");
            path.push_str(&encode(after));
        }
        path
    }
}

/// Keys in ascending order. Not a snapshot: an entity that changes meanwhile may be missed or seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The keys with their revisions.
    pub entities: Vec<Listed>,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next_after: Option<String>,
}

/// One entity of a [`Page`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Which one.
    pub key: String,
    /// How many times it has changed.
    pub revision: u64,
}

/// A kind as the node describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindView {
    /// Its name.
    pub kind: String,
    /// One sentence.
    #[serde(default)]
    pub summary: String,
    /// Whether its state survives its node; otherwise it is in memory only.
    pub durable: bool,
    /// The schema version that it writes.
    pub schema: u16,
    /// The oldest schema version that it reads.
    pub reads_from: u16,
    /// Commands to try.
    #[serde(default)]
    pub examples: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
pub(crate) struct Kinds {
    pub(crate) kinds: Vec<KindView>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        let query = ListQuery::of("document").unwrap().prefix("a&b").after("a&b/1").limit(5000);
        assert_eq!(query.path(), "/v1/entities/document?limit=1000&prefix=a%26b&after=a%26b%2F1");
        assert!(ListQuery::of("../kinds").is_err());
    }
}
