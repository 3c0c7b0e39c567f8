//! What is done to the volume of a node that does not run: filled from a backup, or made to go on alone.
//!
//! Comes in: the settings of the node. Leaves: a volume with which it starts as ever.

mod audit;
mod loss;
mod restore;

use std::future::Future;

use playhouse_cluster::environment::Environment;
use tokio::runtime::Builder as RuntimeBuilder;

pub(super) use audit::Audit;
pub use audit::{AuditEntry, AuditError, RecoveredGroup};
pub use loss::{LossReport, LossWanted, RecoverError, recover};
pub use restore::{RestoreError, Restored, restore};

/// Runs work that needs an environment, on a runtime of its own.
fn block_on<T, F: Future<Output = T>>(work: impl FnOnce(Environment) -> F) -> std::io::Result<T> {
    let runtime = RuntimeBuilder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    Ok(runtime.block_on(work(environment)))
}
