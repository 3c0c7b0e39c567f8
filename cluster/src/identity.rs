//! Node name, Raft id, incarnation and cluster id, kept on the volume.
