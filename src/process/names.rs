//! Names of processes on one node.
//!
//! Comes in: a name and a process. Leaves: the process of a name, until it ends; then the name is free again, before its supervisor
//! starts the next one.
//!
//! There can be many such tables: a node has one, and each test has its own. `ractor`'s registry, which is process-wide, is not used.

use std::{any::Any, fmt, hash::BuildHasher, sync::Arc};

use parking_lot::RwLock;
use playhouse_cluster::collections::{Hasher, Map};

use super::{
    Process, ProcessId,
    inner::{Inner, as_peer},
    life::NoticeId,
    link::Peer,
};

/// How many tables share the names, so that those who look do not wait for each other.
pub(super) const PARTS: usize = 32;

/// How many names there may be, unless one says otherwise.
const NAMES_MAX: usize = 1_000_000;

/// How long a name may be.
const NAME_BYTES_MAX: usize = 255;

/// Which process has which name. Cheap to clone: clones are the same table.
///
/// ```
/// # use ractor::{Actor, ActorProcessingErr, ActorRef};
/// # struct Printer;
/// # impl Actor for Printer {
/// #     type Msg = String;
/// #     type State = ();
/// #     type Arguments = ();
/// #     async fn pre_start(&self, _: ActorRef<String>, (): ()) -> Result<(), ActorProcessingErr> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use playhouse::process::{self, ExitReason, Mailbox, Names, RegisterError};
///
/// let names = Names::new();
/// let printer = process::spawn(Printer, (), Mailbox::default()).await.unwrap();
/// names.register("printer", &printer).unwrap();
/// assert_eq!(names.whereis::<String>("printer"), Some(printer.clone()));
/// assert_eq!(names.register("printer", &printer), Err(RegisterError::Taken(printer.id())));
///
/// printer.stop(ExitReason::Normal);
/// printer.ended().await;
/// assert_eq!(names.whereis::<String>("printer"), None);
/// # }
/// ```
#[derive(Clone)]
pub struct Names {
    table: Arc<Table>,
}

struct Table {
    parts: Vec<RwLock<Map<Arc<str>, Named>>>,
    names_max: usize,
}

/// The process behind a name.
struct Named {
    id: ProcessId,
    /// An `Arc<Inner<M>>`.
    process: Arc<dyn Any + Send + Sync>,
    peer: Arc<dyn Peer>,
    /// Frees the name.
    notice: NoticeId,
}

impl Named {
    /// A process that has ended has no name any more, also before it is taken out of the table.
    fn is_alive(&self) -> bool {
        !self.peer.life().has_ended()
    }
}

/// Why a name was not given. Whoever had it still has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A process has this name.
    #[error("process {0} has this name")]
    Taken(ProcessId),
    /// The process has ended.
    #[error("the process does not run (noproc)")]
    NoProc,
    /// The process lives on another node. Register it there, or give it a name in the whole cluster.
    #[error("the process lives on another node")]
    Elsewhere,
    /// There are as many names as there may be.
    #[error("there are as many names as there may be")]
    TooMany,
    /// A name has from 1 to 255 bytes.
    #[error("a name has from 1 to {NAME_BYTES_MAX} bytes")]
    Length,
}

impl Names {
    /// An empty table, for at most a million names.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max(NAMES_MAX)
    }

    /// An empty table, for at most so many names (in steps of 32). Each of its 32 parts holds its share, so a name may be refused before
    /// there are so many.
    #[must_use]
    pub fn with_max(names_max: usize) -> Self {
        let parts = (0..PARTS).map(|_| RwLock::default()).collect();
        Self { table: Arc::new(Table { parts, names_max: names_max.div_ceil(PARTS) }) }
    }

    /// Gives a process a name, until it ends or somebody takes the name away.
    ///
    /// # Errors
    ///
    /// When the name is taken or makes no sense, when the process has ended, when there are too many names.
    pub fn register<M: Send + 'static>(&self, name: &str, process: &Process<M>) -> Result<(), RegisterError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(RegisterError::Length);
        }
        let process = process.here().ok_or(RegisterError::Elsewhere)?;
        let name: Arc<str> = name.into();
        let mut part = self.table.part(&name).write();
        match part.get(&name) {
            Some(named) if named.is_alive() => return Err(RegisterError::Taken(named.id)),
            None if part.len() >= self.table.names_max => return Err(RegisterError::TooMany),
            _ => {}
        }
        let named = self.named(&name, process).ok_or(RegisterError::NoProc)?;
        let former = part.insert(name, named);
        drop(part);
        // What a process holds is not dropped under the lock.
        drop(former);
        Ok(())
    }

    /// The process of this name. `None` if there is none, or if it takes other messages.
    #[must_use]
    pub fn whereis<M: Send + 'static>(&self, name: &str) -> Option<Process<M>> {
        let process = {
            let part = self.table.part(name).read();
            Arc::clone(&part.get(name).filter(|named| named.is_alive())?.process)
        };
        process.downcast::<Inner<M>>().ok().map(Process::new)
    }

    /// Takes a name away. Whether there was one.
    pub fn unregister(&self, name: &str) -> bool {
        let named = self.table.part(name).write().remove(name);
        // If its process has ended, it was free.
        named.is_some_and(|named| named.peer.life().unwatch(named.notice))
    }

    /// All names, in no order, with their processes.
    #[must_use]
    pub fn registered(&self) -> Vec<(Arc<str>, ProcessId)> {
        (0..PARTS).flat_map(|part| self.registered_in(part)).collect()
    }

    /// The names in one part of the table, of [`PARTS`].
    pub(super) fn registered_in(&self, part: usize) -> Vec<(Arc<str>, ProcessId)> {
        let part = self.table.parts[part].read();
        let alive = part.iter().filter(|(_, named)| named.is_alive());
        alive.map(|(name, named)| (Arc::clone(name), named.id)).collect()
    }

    /// What is kept for a name; `None` if the process has ended.
    fn named<M: Send + 'static>(&self, name: &Arc<str>, process: &Arc<Inner<M>>) -> Option<Named> {
        let peer = as_peer(process);
        let (table, id, freed) = (Arc::downgrade(&self.table), peer.id(), Arc::clone(name));
        let free = move |_: &_| {
            if let Some(table) = table.upgrade() {
                table.free(&freed, id);
            }
        };
        let notice = peer.life().watch(Box::new(free))?;
        let inner: Arc<Inner<M>> = Arc::clone(process);
        Some(Named { id, process: inner, peer, notice })
    }
}

impl Table {
    fn part(&self, name: &str) -> &RwLock<Map<Arc<str>, Named>> {
        // The high bits: the maps themselves use the low ones.
        let hash = Hasher::default().hash_one(name) >> 32;
        &self.parts[usize::try_from(hash).unwrap_or(0) % PARTS]
    }

    /// Frees a name, unless another process has it by now.
    fn free(&self, name: &str, id: ProcessId) {
        let mut part = self.part(name).write();
        if part.get(name).is_some_and(|named| named.id == id) {
            let freed = part.remove(name);
            drop(part);
            drop(freed);
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.registered()).finish()
    }
}
