//! A call that was sent, and how long it counts.
//!
//! The peer keeps an answer in memory until it is written, also one for which nobody waits any more. So a call counts until its
//! answer is here, its mirror has stopped, or the peer cannot owe an answer any more: it has had the call for longer than it
//! tries to answer, and has written what it had queued since.

use std::{sync::Arc, time::Duration};

use ractor::RpcReplyPort;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::sleep,
};

use super::lanes::Way;

/// See the module. Whoever drops it waits no more, and it goes on to count.
pub(super) struct Call {
    way: Arc<Way>,
    owed: Option<Owed>,
}

/// What the peer owes.
pub(super) struct Owed {
    pub(super) answer: oneshot::Receiver<Vec<u8>>,
    /// Makes something of the bytes.
    pub(super) port: RpcReplyPort<Vec<u8>>,
    pub(super) permit: OwnedSemaphorePermit,
    /// How long the peer tries to answer, from when it has the call.
    pub(super) lifetime: Duration,
}

impl Call {
    pub(super) fn new(way: Arc<Way>, owed: Owed) -> Self {
        Self { way, owed: Some(owed) }
    }

    /// Returns when the port has the answer, or there will be none.
    pub(super) async fn answered(&mut self) {
        let Some(owed) = &mut self.owed else { return };
        let answer = (&mut owed.answer).await;
        let owed = self.owed.take().expect("it was there, and this is the only one to take it");
        if let Ok(bytes) = answer {
            // An error means that nobody waits.
            let _ = owed.port.send(bytes);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(owed) = self.owed.take() else { return };
        let way = Arc::clone(&self.way);
        self.way.environment().spawn(count(owed, way));
    }
}

/// Holds the permit as long as the peer may owe an answer.
async fn count(owed: Owed, way: Arc<Way>) {
    let Owed { answer, port, permit, lifetime } = owed;
    drop(port);
    tokio::select! {
        biased;
        _ = answer => {}
        () = way.closed() => {}
        () = written_off(&way, lifetime) => {}
    }
    drop(permit);
}

async fn written_off(way: &Way, lifetime: Duration) {
    let position = way.waiting().charged();
    loop {
        // For the peer the time begins when it has the call.
        let has_left = way.waiting().has_left(position);
        sleep(lifetime).await;
        if has_left {
            return way.fenced().await;
        }
    }
}
