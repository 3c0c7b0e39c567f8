//! A process of another node, as a reference sees it.

use std::sync::Arc;

pub(in crate::process) use super::frame::Order;
use super::{
    Portable, Shared, answer::Awaited, connection::Connection, frame::Frame, mirror::Mirror, name_of,
    travel::Trip,
};
use crate::process::{CallError, CastError, ExitReason, ProcessId, call::Answered, link::Peer, reference};

/// How a message becomes bytes for a connection, and which calls are in it.
type Pack<M> = fn(&M, &Arc<Shared>, &Arc<Connection>) -> Result<(Vec<u8>, Vec<u64>), CastError>;

pub(in crate::process) struct Far<M> {
    id: ProcessId,
    shared: Arc<Shared>,
    name: u64,
    pack: Pack<M>,
}

impl<M: Portable> Far<M> {
    pub(super) fn new(shared: &Arc<Shared>, id: ProcessId) -> Self {
        Self { id, shared: Arc::clone(shared), name: name_of::<M>(), pack: pack::<M> }
    }
}

fn pack<M: Portable>(
    message: &M,
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
) -> Result<(Vec<u8>, Vec<u64>), CastError> {
    Trip::new(shared, Some(connection)).pack(message).map_err(|_| {
        if !connection.is_open() {
            CastError::NoConnection
        } else if connection.calls().is_full() {
            CastError::Full
        } else {
            CastError::NotPortable
        }
    })
}

impl<M> Far<M> {
    pub(in crate::process) fn id(&self) -> ProcessId {
        self.id
    }

    /// Sends a message.
    pub(in crate::process) fn cast(&self, message: &M) -> Result<(), CastError> {
        let connection = self.shared.connection(self.id).map_err(|reason| cast_error(&reason))?;
        let calls = self.send(&connection, message)?;
        // Somebody else waits for the answers: whose calls these are.
        let _passed_on = calls;
        Ok(())
    }

    /// Sends a message with the place for its answer, and waits for that.
    ///
    /// The message is sent at once, and not held while its answer is waited for.
    pub(in crate::process) fn call<T>(
        &self,
        message: &M,
        answered: Answered<T>,
    ) -> impl Future<Output = Result<T, CallError>> + use<M, T> {
        let asked = self.ask(message);
        async move {
            let (mirror, _awaited) = asked?;
            reference::answer(mirror.life(), answered).await
        }
    }

    fn ask(&self, message: &M) -> Result<(Arc<Mirror>, Awaited), CallError> {
        let connection = self.shared.connection(self.id).map_err(|reason| cast_error(&reason))?;
        // Watched before the message is sent, so that an end is not missed.
        let mirror = connection.mirror(self.id).ok_or(CallError::NoConnection)?;
        let calls = self.send(&connection, message)?;
        Ok((mirror, Awaited { connection, calls }))
    }

    fn send(&self, connection: &Arc<Connection>, message: &M) -> Result<Vec<u64>, CastError> {
        let (body, calls) = (self.pack)(message, &self.shared, connection)?;
        let frame = Frame::Message { yours: self.id.number(), name: self.name, calls, body: &body };
        let sent = connection.message(&frame);
        let Frame::Message { calls, .. } = frame else { return Ok(Vec::new()) };
        match sent {
            Ok(()) => Ok(calls),
            Err(error) => {
                connection.calls().forget(&calls);
                Err(error)
            }
        }
    }

    /// Lets it do something. Whether its node is connected.
    pub(in crate::process) fn order(&self, order: &Order) -> bool {
        let connection = self.shared.connection(self.id);
        connection.is_ok_and(|connection| connection.order(self.id.number(), order))
    }

    pub(in crate::process) fn link(&self, one: &Arc<dyn Peer>) {
        self.shared.link(one, self.id);
    }

    pub(in crate::process) fn unlink(&self, one: &dyn Peer) {
        self.shared.unlink(one, self.id);
    }

    /// Where its end can be watched.
    pub(in crate::process) fn peer(&self) -> Result<Arc<dyn Peer>, ExitReason> {
        Ok(self.mirror()?)
    }

    fn mirror(&self) -> Result<Arc<Mirror>, ExitReason> {
        self.shared.connection(self.id)?.mirror(self.id).ok_or(ExitReason::NoConnection)
    }

    pub(in crate::process) async fn ended(&self) -> ExitReason {
        match self.mirror() {
            Ok(mirror) => mirror.life().ended().await,
            Err(reason) => reason,
        }
    }

    pub(in crate::process) fn is_reachable(&self) -> bool {
        self.shared.connection(self.id).is_ok_and(|connection| connection.is_open())
    }
}

/// There is no way to the process, for this reason: nothing was sent.
pub(super) fn cast_error(reason: &ExitReason) -> CastError {
    match reason {
        ExitReason::NoProc => CastError::NoProc,
        _ => CastError::NoConnection,
    }
}
