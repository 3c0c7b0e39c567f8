//! References, and places for answers, that travel inside of messages.
//!
//! Comes in: a value that is to be encoded for another node, or bytes from there. Leaves: bytes in which each
//! [`Process`], [`ProcessId`] and [`Reply`] stands for what it stood for here, and the value back.
//!
//! `serde` has no way to hand something down to what is inside of a value, so the connection in question lies in a variable of
//! the thread while a value is encoded or decoded, and not longer.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Weak},
};

use playhouse_cluster::codec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    Portable, Shared,
    answer::{Back, Slot, Transit},
    connection::Connection,
    far::Far,
};
use crate::process::{Home, Process, ProcessId, Reply, link::Peer, reference::Place};

/// What references need to know on their way.
pub(super) struct Trip {
    pub(super) shared: Arc<Shared>,
    /// `None`: the value goes to no process, so no answer can come back.
    pub(super) connection: Option<Arc<Connection>>,
    /// The process that the message is for, and what has become of the message.
    pub(super) target: Option<(Weak<dyn Peer>, Arc<Transit>)>,
    /// The calls that were opened for it.
    pub(super) calls: RefCell<Vec<u64>>,
}

thread_local! {
    static TRIP: RefCell<Option<Rc<Trip>>> = const { RefCell::new(None) };
}

/// Puts back what was there before, also after a panic.
struct Before(Option<Rc<Trip>>);

impl Drop for Before {
    fn drop(&mut self) {
        TRIP.with(|current| current.replace(self.0.take()));
    }
}

impl Trip {
    pub(super) fn new(shared: &Arc<Shared>, connection: Option<&Arc<Connection>>) -> Self {
        let (shared, connection) = (Arc::clone(shared), connection.cloned());
        Self { shared, connection, target: None, calls: RefCell::default() }
    }

    /// Encodes a value, and says which calls wait for answers to it.
    pub(super) fn pack<T: Serialize>(self, value: &T) -> Result<(Vec<u8>, Vec<u64>), codec::EncodeError> {
        let trip = Rc::new(self);
        // Not `encode`, which encodes twice what is long: a place for an answer can only be given away once.
        let encoded = trip.clone().during(|| codec::encode_into(value, Vec::new()));
        let calls = trip.calls.take();
        match encoded {
            Ok(bytes) => Ok((bytes, calls)),
            Err(error) => {
                if let Some(connection) = &trip.connection {
                    connection.calls().forget(&calls);
                }
                Err(error)
            }
        }
    }

    pub(super) fn unpack<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, codec::DecodeError> {
        Rc::new(self).during(|| codec::decode(bytes))
    }

    fn during<T>(self: Rc<Self>, work: impl FnOnce() -> T) -> T {
        let _before = Before(TRIP.with(|current| current.replace(Some(self))));
        work()
    }
}

fn current() -> Result<Rc<Trip>, &'static str> {
    let trip = TRIP.with(|current| current.borrow().clone());
    trip.ok_or("a reference to a process can only be encoded in a message")
}

/// The home of the processes of this node, while something is encoded or decoded.
pub(in crate::process) fn home() -> Option<Home> {
    TRIP.with(|current| current.borrow().as_ref().map(|trip| trip.shared.home))
}

impl<M: Portable> Serialize for Process<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trip = current().map_err(serde::ser::Error::custom)?;
        let id = match self.place() {
            Place::Here(inner) => trip.shared.exports.export(&trip.shared, inner),
            Place::There(far) => Ok(far.id()),
        };
        id.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, M: Portable> Deserialize<'de> for Process<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let trip = current().map_err(serde::de::Error::custom)?;
        let id = ProcessId::deserialize(deserializer)?;
        Ok(trip.shared.process(id))
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Serialize for Reply<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trip = current().map_err(serde::ser::Error::custom)?;
        let connection = trip.connection.as_ref();
        let connection = connection.ok_or("an answer cannot come back from there");
        let connection = connection.map_err(serde::ser::Error::custom)?;
        let reply = self.leave().ok_or("the place for the answer has been given away before");
        let slot = Slot::new(reply.map_err(serde::ser::Error::custom)?);
        let call = connection.calls().open(slot).ok_or("too many calls wait for answers");
        let call = call.map_err(serde::ser::Error::custom)?;
        trip.calls.borrow_mut().push(call);
        call.serialize(serializer)
    }
}

impl<'de, T: Serialize + DeserializeOwned + Send + 'static> Deserialize<'de> for Reply<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let trip = current().map_err(serde::de::Error::custom)?;
        let call = u64::deserialize(deserializer)?;
        let way = trip.connection.as_ref().zip(trip.target.as_ref());
        let (connection, (target, transit)) =
            way.ok_or_else(|| serde::de::Error::custom("no answer can be sent back there"))?;
        Ok(Reply::there(Box::new(Back::new(connection, call, target, transit))))
    }
}

impl<M: Portable> Process<M> {
    /// A process that lives somewhere.
    pub(super) fn at(shared: &Arc<Shared>, id: ProcessId) -> Self {
        match shared.exports.process(id) {
            Some(process) => process,
            None => Self::there(Far::new(shared, shared.with_home(id))),
        }
    }
}
