//! The rendered production overlay, run: each pod is a process of the binary that ships, with exactly the variables, files, ports,
//! user and network that the manifests give it; what a cluster does to pods is done to these.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.
#![allow(clippy::print_stdout)] // It tells what it measured.

#[path = "executor/broken.rs"]
mod broken;
#[path = "executor/deployment.rs"]
mod deployment;
#[path = "executor/life.rs"]
mod life;
#[path = "support/load.rs"]
mod load;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/privileges.rs"]
mod privileges;
#[path = "support/process.rs"]
mod process;

/// Each cluster needs the whole machine: one at a time.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    // A test that failed must not fail the next one.
    ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
