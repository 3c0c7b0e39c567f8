//! The processes of this node that other nodes may know.
//!
//! Comes in: a process, when a reference to it is sent for the first time. Leaves: what can be done with it when all one has is
//! its number; nothing, once it has ended.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use parking_lot::RwLock;
use playhouse_cluster::collections::Map;

use super::{
    Portable, Shared, answer::Transit, connection::Connection, far::Order, frame::Refusal, name_of,
    travel::Trip,
};
use crate::process::{
    CastError, Process, ProcessId,
    inner::{Inner, as_peer},
    link::Peer,
};

pub(super) struct Exports {
    table: RwLock<Map<u64, Exported>>,
    exported_max: usize,
}

type AnyProcess = Arc<dyn Any + Send + Sync>;

/// A process of this node, whatever messages it takes. It is not kept alive.
#[derive(Clone)]
pub(super) struct Exported {
    peer: Weak<dyn Peer>,
    /// `None`: no reference to it was sent, but it is linked with a process of another node.
    reached: Option<Reached>,
}

/// How messages get to it.
#[derive(Clone)]
struct Reached {
    process: Weak<dyn Any + Send + Sync>,
    /// Of the messages that it takes.
    name: u64,
    deliver: fn(AnyProcess, Trip, &[u8]) -> Result<(), Refusal>,
    order: fn(AnyProcess, Order, &Arc<Shared>),
}

/// A message that came for a process of this node.
pub(super) struct Arrived<'a> {
    pub(super) name: u64,
    pub(super) body: &'a [u8],
    pub(super) has_calls: bool,
}

impl Exports {
    pub(super) fn new(exported_max: usize) -> Self {
        Self { table: RwLock::default(), exported_max }
    }

    /// Makes a process known, and says what it is called elsewhere.
    pub(super) fn export<M: Portable>(
        &self,
        shared: &Arc<Shared>,
        inner: &Arc<Inner<M>>,
    ) -> Result<ProcessId, &'static str> {
        let peer = as_peer(inner);
        let id = ProcessId::there(shared.home, peer.id().number());
        let is_reached = |exported: &Exported| exported.reached.is_some();
        if !self.table.read().get(&id.number()).is_some_and(is_reached) {
            self.insert(shared, &peer, Some(Reached::new(inner)))?;
        }
        Ok(id)
    }

    /// Makes it known that a process lives, no matter which messages it takes.
    pub(super) fn note(&self, shared: &Arc<Shared>, peer: &Arc<dyn Peer>) -> Result<(), &'static str> {
        if self.table.read().contains_key(&peer.id().number()) {
            return Ok(());
        }
        self.insert(shared, peer, None)
    }

    fn insert(
        &self,
        shared: &Arc<Shared>,
        peer: &Arc<dyn Peer>,
        reached: Option<Reached>,
    ) -> Result<(), &'static str> {
        let number = peer.id().number();
        let mut table = self.table.write();
        if let Some(exported) = table.get_mut(&number) {
            if reached.is_some() {
                exported.reached = reached;
            }
            return Ok(());
        }
        if table.len() >= self.exported_max {
            return Err("other nodes know as many processes of this node as they may");
        }
        table.insert(number, Exported { peer: Arc::downgrade(peer), reached });
        drop(table);
        let home = Arc::downgrade(shared);
        let forget = move |_: &_| {
            if let Some(shared) = home.upgrade() {
                shared.exports.forget(number);
            }
        };
        if peer.life().watch(Box::new(forget)).is_none() {
            self.forget(number);
        }
        Ok(())
    }

    pub(super) fn find(&self, number: u64) -> Option<Exported> {
        self.table.read().get(&number).cloned()
    }

    /// The process with this number, if it has not ended.
    pub(super) fn peer(&self, number: u64) -> Option<Arc<dyn Peer>> {
        let peer = self.table.read().get(&number)?.peer.upgrade()?;
        (!peer.life().has_ended()).then_some(peer)
    }

    /// The process with this id, if it is of this node and takes such messages.
    pub(super) fn process<M: Send + 'static>(&self, id: ProcessId) -> Option<Process<M>> {
        if id.home().is_some() {
            return None;
        }
        let process = self.find(id.number())?.reached?.process.upgrade()?;
        process.downcast::<Inner<M>>().ok().map(Process::new)
    }

    fn forget(&self, number: u64) {
        let forgotten = self.table.write().remove(&number);
        drop(forgotten);
    }
}

impl Reached {
    fn new<M: Portable>(inner: &Arc<Inner<M>>) -> Self {
        let process: AnyProcess = Arc::<Inner<M>>::clone(inner);
        let process = Arc::downgrade(&process);
        Self { process, name: name_of::<M>(), deliver: deliver::<M>, order: order::<M> }
    }
}

impl Exported {
    /// Puts a message in its mailbox.
    pub(super) fn take(&self, connection: &Arc<Connection>, arrived: &Arrived<'_>) -> Result<(), Refusal> {
        let shared = connection.shared().ok_or(Refusal::NoProc)?;
        let reached = self.reached.as_ref().ok_or(Refusal::NoProc)?;
        let process = reached.process.upgrade().ok_or(Refusal::NoProc)?;
        if arrived.name != reached.name {
            return Err(Refusal::NotPortable);
        }
        let mut trip = Trip::new(&shared, Some(connection));
        if !arrived.has_calls {
            return (reached.deliver)(process, trip, arrived.body);
        }
        let transit = Transit::new();
        trip.target = Some((Weak::clone(&self.peer), Arc::clone(&transit)));
        (reached.deliver)(process, trip, arrived.body)?;
        transit.taken(connection, &self.peer);
        Ok(())
    }

    pub(super) fn obey(&self, order: Order, shared: &Arc<Shared>) {
        let Some(reached) = &self.reached else { return };
        if let Some(process) = reached.process.upgrade() {
            (reached.order)(process, order, shared);
        }
    }
}

fn known<M: Send + 'static>(process: AnyProcess) -> Process<M> {
    let inner = process.downcast::<Inner<M>>();
    Process::new(inner.expect("it was exported with functions for its own messages"))
}

fn deliver<M: Portable>(process: AnyProcess, trip: Trip, body: &[u8]) -> Result<(), Refusal> {
    let process = known::<M>(process);
    // What people wrote to decode and to weigh their messages runs here, in a task of the link.
    let taken = catch_unwind(AssertUnwindSafe(|| {
        let message = trip.unpack::<M>(body).map_err(|_| Refusal::NotPortable)?;
        let inner = process.here().ok_or(Refusal::NoProc)?;
        // What it takes on the way it takes here, at least.
        inner.try_take(message, body.len()).map_err(|error| match error {
            CastError::Full => Refusal::Full,
            CastError::TooLarge => Refusal::TooLarge,
            CastError::NoProc | CastError::NoConnection | CastError::NotPortable => Refusal::NoProc,
        })
    }));
    taken.unwrap_or(Err(Refusal::NotPortable))
}

fn order<M: Portable>(process: AnyProcess, order: Order, shared: &Arc<Shared>) {
    let process = known::<M>(process);
    match order {
        Order::Stop(reason) => process.stop(reason),
        Order::Kill => process.kill(),
        Order::Drain => process.drain(),
        Order::Link(other) => process.peer_here().into_iter().for_each(|peer| shared.link(&peer, other)),
        Order::Unlink(other) => process.peer_here().into_iter().for_each(|peer| shared.unlink(&*peer, other)),
    }
}
