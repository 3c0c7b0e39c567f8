//! Takes what handles ask for, and watches the deadlines.

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    frame::Verb,
    session::{Outcome, Session},
    subscription::{Notices, SubscribeError},
};
use crate::{EntityName, IdempotencyKey};

/// What a handle asks the driver.
#[derive(Debug)]
pub(crate) enum Ask {
    Submit(Submission),
    Subscribe {
        name: EntityName,
        after: Option<u64>,
        notices: Notices,
        /// Receives the id under which it runs.
        opened: oneshot::Sender<Result<u64, SubscribeError>>,
    },
    Unsubscribe(u64),
}

/// A call or cast.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(super) verb: Verb,
    pub(super) name: EntityName,
    pub(super) command: Box<serde_json::value::RawValue>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// Session and asks together.
pub(super) struct Desk {
    pub(super) session: Session,
    asks: mpsc::Receiver<Ask>,
    /// Whether every handle is gone.
    deserted: bool,
}

/// What the desk wants done.
pub(super) enum Wish {
    /// This shall be sent, if there is a socket to send it on.
    Send(String),
    /// Nobody is left who could ask or wants an answer.
    Close,
}

impl Desk {
    pub(super) fn new(session: Session, asks: mpsc::Receiver<Ask>) -> Self {
        Self { session, asks, deserted: false }
    }

    /// Waits for the next wish. Nothing is lost when it is dropped half-way.
    pub(super) async fn next(&mut self, online: bool) -> Wish {
        loop {
            // A subscription holds a handle: when all handles are gone, so are the subscriptions.
            if self.deserted && self.session.is_idle() {
                return Wish::Close;
            }
            let deadline = self.session.next_deadline();
            let open = !self.deserted && !self.session.is_full();
            tokio::select! {
                // Asks are bounded by what may be in flight; a timer costs, so it is set only when there is nothing else.
                biased;
                ask = self.asks.recv(), if open => match ask {
                    Some(ask) => if let Some(text) = self.session.take(ask, online, Instant::now()) {
                        return Wish::Send(text);
                    },
                    None => self.deserted = true,
                },
                () = until(deadline) => {
                    self.session.expire(Instant::now());
                    if let Some(text) = self.session.due(Instant::now()).filter(|_| online) {
                        return Wish::Send(text);
                    }
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
