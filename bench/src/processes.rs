//! Processes of ours, and the peers that do the same work beside them: plain `ractor` with `ractor_cluster`, `kameo`, and Erlang/OTP.
//!
//! Comes in: what is to be done, and how often. Leaves: what it took, counted at the receivers.

pub mod erlang;
pub mod kameo;
pub mod linked;
pub mod obedient;
pub mod ours;
pub mod stage;
pub mod stock;
pub mod stock_linked;

use tokio::{runtime::Runtime, task::JoinHandle};

/// How long anything may take that is waited for.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// How many messages a sender sends before it lets other tasks run.
pub const PER_TURN: usize = 256;

/// What tasks return that were started together.
///
/// # Panics
///
/// When one of them does.
fn joined<T>(runtime: &Runtime, tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    runtime.block_on(futures_util::future::try_join_all(tasks)).expect("no task panics")
}
