//! The configuration of the cluster: one value, and the rules by which it changes.
//!
//! Comes in: the current [`ClusterState`], a [`Command`] and the time in milliseconds. Leaves: the next state, nothing
//! (the command changes nothing), or a [`Refusal`] that says why. The room is pure: the leader of the system group reads
//! the state, calls [`ClusterState::decide_all`] with what waits, and replaces the state under its one key if something changed.
//!
//! ```text
//!             Join                Reached               Drain              restart
//!   (new) ──────────▶ Joining ──────────────▶ Up ─────────────▶ Draining ──────────▶ Joining
//!                        │ Unreachable        │ ▲ Reached          │
//!                        └────────▶ Down ◀────┴─┘◀─────────────────┘
//!   Scale or Leave, and nothing left on it: any ──▶ Left.  Replaced or forgotten: ──▶ former, for ever
//! ```
//!
//! * **A Raft id stands for one volume.** It never comes back once its volume was lost, left or was restored.
//! * **`voters` is what a group's leader confirmed**, `wanted` is where it should go. Between them lies at most one
//!   replica, so at any time a majority of what was is part of what will be.
//! * **What is Down keeps its replicas**, until `placement` replaces them.
//!
//! How a cluster comes into being is told in [`bootstrap`].

pub mod bootstrap;
mod command;
mod decide;
mod format;
mod limits;
mod member;
mod progress;
mod refusal;
mod replicas;
mod state;

pub use command::{Command, Node, Plan, Start, Volume};
pub use decide::{Decided, Loss};
pub use format::FormatError;
pub use limits::{
    FORMER_MAX, MEMBERS_MAX, MOVES_MAX, NAME_BYTES_MAX, REPLICATION_FACTOR_MAX, SHARDS_MAX, STATE_BYTES_MAX,
    TEXT_BYTES_MAX,
};
pub use member::{Former, Intent, Member, MemberState};
pub use progress::{MemberProgress, Progress};
pub use refusal::Refusal;
pub use replicas::{Reason, Replicas, Shard, Wanted, Which};
pub use state::{ClusterState, Founding, TrafficPolicy};

#[cfg(test)]
mod tests;
