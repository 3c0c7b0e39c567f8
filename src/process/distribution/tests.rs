//! Processes of several nodes, over lanes in memory: what arrives, what is said once, what ends with a lane.

mod calls;
mod ends;
mod groups;
mod references;
mod spawns;
mod stage;
