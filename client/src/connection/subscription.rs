//! What an entity publishes, as it arrives.

use std::{marker::PhantomData, num::NonZeroUsize};

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::desk::Ask;
use crate::{GaveUp, Problem, error::beginning};

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<T> {
    /// An item, in order, each once to one [`Subscription`].
    Item {
        /// Its number at this entity.
        revision: u64,
        /// What was published.
        item: T,
    },
    /// Items before `first` are no longer kept: they were missed.
    Gap {
        /// The first revision that follows.
        first: u64,
    },
}

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The server does not allow it.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// The connection has as many as it may have.
    #[error(
        "this connection has {subscriptions_max} subscriptions already; end one or open another connection"
    )]
    TooMany {
        /// The limit, from [`Config::subscriptions_max`](crate::Config::subscriptions_max).
        subscriptions_max: usize,
    },
    /// There was no answer in time.
    #[error(transparent)]
    GaveUp(Box<GaveUp>),
    /// It ended before it began.
    #[error(transparent)]
    Ended(SubscriptionEnd),
}

impl SubscribeError {
    pub(super) fn from_end(end: SubscriptionEnd) -> Self {
        match end {
            SubscriptionEnd::Rejected(problem) => Self::Rejected(problem),
            end => Self::Ended(end),
        }
    }
}

/// Why a subscription goes no further. Subscribe again behind the last revision that was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionEnd {
    /// The server ended it, with its words.
    #[error("the server ended the subscription: {0}")]
    Server(String),
    /// The server does not allow it any longer.
    #[error("{0}")]
    Rejected(Box<Problem>),
    /// The program took items more slowly than they came. What had arrived was handed over before this.
    #[error("the subscription was ended because its items were not taken in time")]
    TooSlow {
        /// The last revision that was handed over.
        last_revision: Option<u64>,
    },
    /// An item is not of the expected type.
    #[error("item {revision} is not as expected: {item}")]
    Decode {
        /// Its revision.
        revision: u64,
        /// The beginning of the item.
        item: String,
        /// What was expected.
        #[source]
        source: serde_json::Error,
    },
    /// It had ended before, or the runtime was shut down.
    #[error("the subscription has ended")]
    Closed,
}

/// Items of one entity. When the connection breaks it goes on behind the last revision that was handed over.
#[derive(Debug)]
pub struct Subscription<T> {
    id: u64,
    taken: Taken,
    /// Keeps the connection open, and tells it when nobody listens any more.
    asks: mpsc::Sender<Ask>,
    item: PhantomData<fn() -> T>,
}

impl<T> Subscription<T> {
    pub(super) fn new(id: u64, taken: Taken, asks: mpsc::Sender<Ask>) -> Self {
        Self { id, taken, asks, item: PhantomData }
    }
}

impl<T: DeserializeOwned> Subscription<T> {
    /// Waits for the next notice. Nothing is lost when it is dropped half-way.
    ///
    /// # Errors
    ///
    /// When there will be no further one.
    pub async fn next(&mut self) -> Result<Notice<T>, SubscriptionEnd> {
        match self.taken.items.recv().await {
            Some(Arrived::Gap { first }) => Ok(Notice::Gap { first }),
            Some(Arrived::Item { revision, item }) => match serde_json::from_str(&item) {
                Ok(item) => Ok(Notice::Item { revision, item }),
                Err(source) => {
                    self.taken.items.close();
                    Err(SubscriptionEnd::Decode { revision, item: beginning(item.as_bytes()), source })
                }
            },
            None => Err(self.taken.end.try_recv().unwrap_or(SubscriptionEnd::Closed)),
        }
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        // When the queue is full, the driver notices with the next item that nobody listens.
        let _ = self.asks.try_send(Ask::Unsubscribe(self.id));
    }
}

/// A notice before it is decoded.
#[derive(Debug)]
pub(super) enum Arrived {
    Item { revision: u64, item: String },
    Gap { first: u64 },
}

/// The driver's side. The end has its own way, for when there is no room left among the items.
#[derive(Debug)]
pub(crate) struct Notices {
    pub(super) items: mpsc::Sender<Arrived>,
    end: oneshot::Sender<SubscriptionEnd>,
}

/// The program's side.
#[derive(Debug)]
pub(super) struct Taken {
    items: mpsc::Receiver<Arrived>,
    end: oneshot::Receiver<SubscriptionEnd>,
}

pub(super) fn channel(notices_max: NonZeroUsize) -> (Notices, Taken) {
    let (items, taken_items) = mpsc::channel(notices_max.get());
    let (end, taken_end) = oneshot::channel();
    (Notices { items, end }, Taken { items: taken_items, end: taken_end })
}

impl Notices {
    pub(super) fn end(self, end: SubscriptionEnd) {
        // The end is there before the items close, so that whoever sees them closed finds it.
        let _ = self.end.send(end);
    }
}
