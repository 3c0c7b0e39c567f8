//! What can be seen of entities without a command.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{EntityId, Key, KindName, ShardId};

/// The state of an entity as its kind shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityView {
    /// Which entity.
    pub id: EntityId,
    /// Its shard.
    pub shard: ShardId,
    /// How many times it has changed; 0 when nobody has written it yet.
    pub revision: u64,
    /// JSON, as the kind shows it.
    pub state: Bytes,
}

/// Which entities of a kind to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Of this kind.
    pub kind: KindName,
    /// Keys that start so.
    pub prefix: String,
    /// Keys behind this one.
    pub after: Option<Key>,
    /// At most this many.
    pub limit: usize,
}

/// Keys in ascending order. Not a snapshot across shards: an entity that changes meanwhile may be missed or seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The keys with their revisions.
    pub entities: Vec<(Key, u64)>,
    /// Where the next page begins, if there is one.
    pub next_after: Option<Key>,
}

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Published {
    /// An item, in order, at least once.
    Item {
        /// Its number at this entity, counting from 1; of a `Volatile` kind a number of the shard, which ascends and leaves some out.
        revision: u64,
        /// JSON, as the entity published it.
        item: Bytes,
    },
    /// Items up to `first` (exclusive) are no longer kept.
    Gap {
        /// The first revision that follows.
        first: u64,
    },
}
