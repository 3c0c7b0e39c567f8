//! What travels between rooms and between nodes.
//!
//! Comes in: nothing; this room knows no other room. Leaves: the words that all of them share.
//!
//! An [`EntityId`] names a durable state machine. A [`Request`] carries bytes and a content type to it; only
//! the leader of its shard decodes them. The outcome is a [`Reply`] or a [`CallError`], whose codes are stable.

mod body;
mod entity_id;
mod error;
mod json;
mod page;
mod request;

pub use body::{Body, Content, Payload, SmallBody};
pub use entity_id::{EntityId, EntityIdError, KEY_BYTES_MAX, Key, KindName, ShardId, shard_of};
pub use error::{CallError, ErrorCode, RefusalClass, Refused};
pub use json::{JSON_DEPTH_MAX, Json, JsonError};
pub use page::{EntityView, ListQuery, Page, Published};
pub use playhouse_cluster::codec;
pub use request::{IDEMPOTENCY_KEY_BYTES_MAX, Reply, Request, RequestId, TraceContext};
