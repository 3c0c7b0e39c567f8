//! The only folder that knows openraft.
//!
//! Comes in: a store, a transport, the ids of the voters. Leaves: [`RaftGroup`], a [`Group`](super::Group).

mod arrivals;
mod batches;
mod grave;
mod group;
mod growth;
mod log;
mod machine;
mod network;
mod pipeline;
mod point_in_time;
mod recovery;
mod responder;
mod runtime;
mod sending;
mod sequence;
mod snapshot;
mod types;
mod way;
mod write_back;

pub use group::{ChangeError, Config, OpenError, RaftGroup, Replicas, Replication, TransferError};
pub use point_in_time::{LogPosition, PointInTime, Restoration};
pub use recovery::{Recovery, Survivor};
