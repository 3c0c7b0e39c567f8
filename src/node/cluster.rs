//! This node as a member of the cluster.
//!
//! Comes in: the link to the other nodes, the volume, the settings. Leaves: a member that follows the configuration:
//! it opens the replicas that it should have, moves leaderships where they should be, and tells who is there while it
//! leads the system group.
//!
//! The decisions are made elsewhere, purely: `membership` and `placement` in the crate `playhouse-cluster`.

pub(super) mod condition;
pub(super) mod control;
pub(super) mod council;
mod formation;
#[cfg(test)]
mod founding_tests;
pub(super) mod joining;
pub(super) mod links;
pub(super) mod mover;
mod planned_move;
pub(super) mod reaching;
pub(super) mod shards;
pub(super) mod starts;
pub(super) mod steward;
pub(super) mod system;
