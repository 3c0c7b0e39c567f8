//! Who is alive, who leads what, where bytes are kept.
//!
//! This crate moves bytes and leadership. It never learns what an entity is.
//!
//! | room | what it is for |
//! |---|---|
//! | [`environment`] | the only source of clock, random numbers, tasks, threads and connections |
//! | [`identity`] | node name, Raft id, incarnation and cluster id, kept on the volume |
//! | [`store`] | ordered bytes on disk: atomic batches, one sync for everything that waits |
//! | [`consensus`] | Raft groups behind our own small trait |
//! | [`membership`] | the configuration of the cluster, how it changes and how a cluster begins: pure |
//! | [`placement`] | which replicas, which leader, which move is next: pure |
//! | [`peering`] | authenticated links to the other nodes, and who of them answers |
//! | [`codec`] | the one binary format of frames and records |
//! | [`collections`] | maps and sets whose order does not depend on a random seed |

pub mod codec;
pub mod collections;
pub mod consensus;
pub mod environment;
pub mod identity;
pub mod membership;
pub mod peering;
pub mod placement;
pub mod store;
mod volume;
