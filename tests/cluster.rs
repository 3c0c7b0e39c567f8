//! Three processes of the binary that ships form a cluster, and everything that can happen to processes happens to them
//! under load.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.
#![allow(clippy::print_stdout)] // It tells what it measured.

#[path = "../examples/bank/account.rs"]
mod account;
#[path = "cluster/bank.rs"]
mod bank;
#[path = "cluster/freeze.rs"]
mod freeze;
#[path = "cluster/full_disk.rs"]
mod full_disk;
#[path = "cluster/hanging_disk.rs"]
mod hanging_disk;
#[path = "cluster/imposters.rs"]
mod imposters;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "support/load.rs"]
mod load;
#[path = "support/network.rs"]
mod network;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "cluster/partitions.rs"]
mod partitions;
#[path = "cluster/power.rs"]
mod power;
#[path = "support/privileges.rs"]
mod privileges;
#[path = "support/process.rs"]
mod process;
#[path = "cluster/releases.rs"]
mod releases;
#[path = "cluster/rolling.rs"]
mod rolling;
#[path = "../examples/bank/rush.rs"]
mod rush;
#[path = "cluster/strangers.rs"]
mod strangers;
#[path = "../examples/bank/transfer.rs"]
mod transfer;
#[path = "cluster/volumes.rs"]
mod volumes;

/// The scenarios need the whole machine, or they would measure each other: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How many clients there are at the same time.
const CLIENTS: usize = 8;
