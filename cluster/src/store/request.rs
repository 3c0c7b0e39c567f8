//! A batch on its way to the engine, and who waits for it.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{Batch, StoreError};

/// How a write ended.
pub(super) type Outcome = Result<(), StoreError>;

/// Hears how a write ended. Called from the writer, so it must not block.
pub type Callback = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Reads see it.
    Visible,
    /// It survives a crash.
    Durable,
}

/// Who waits.
pub(super) enum Waiter {
    Channel(oneshot::Sender<Outcome>),
    Callback(Callback),
}

impl Waiter {
    fn wake(self, outcome: Outcome) {
        match self {
            // A caller that no longer listens has dropped its future; the batch is written all the same.
            Self::Channel(sender) => drop(sender.send(outcome)),
            Self::Callback(callback) => callback(outcome),
        }
    }
}

/// One batch and who waits for it.
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) until: Until,
    pub(super) waiter: Waiter,
}

impl Request {
    /// It will not be written.
    pub(super) fn refuse(self, reason: StoreError) {
        self.waiter.wake(Err(reason));
    }
}

/// What is written together: one merged batch.
#[derive(Default)]
pub(super) struct Round {
    pub(super) batch: Batch,
    pub(super) visible: Vec<Waiter>,
    pub(super) durable: Vec<Waiter>,
}

impl Round {
    /// Merges requests from the front of `waiting`, at least one, up to `bytes_max`.
    pub(super) fn drain(waiting: &mut VecDeque<Request>, bytes_max: usize) -> Option<Self> {
        let mut round = Self::default();
        round.add(waiting.pop_front()?);
        while waiting.front().is_some_and(|next| round.batch.bytes() + next.batch.bytes() <= bytes_max) {
            waiting.pop_front().into_iter().for_each(|next| round.add(next));
        }
        Some(round)
    }

    fn add(&mut self, request: Request) {
        self.batch.append(request.batch);
        match request.until {
            Until::Visible => self.visible.push(request.waiter),
            Until::Durable => self.durable.push(request.waiter),
        }
    }

    /// Everybody who waits, for the case that it fails.
    pub(super) fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        self.visible.into_iter().chain(self.durable)
    }
}

/// Waiters whose outcome is known. They are woken after every lock is released, because a callback may write.
#[must_use = "somebody waits"]
#[derive(Default)]
pub(super) struct Woken(Vec<(Waiter, Outcome)>);

impl Woken {
    /// Adds waiters that have the same outcome.
    pub(super) fn add(&mut self, waiters: impl IntoIterator<Item = Waiter>, outcome: &Outcome) {
        self.0.extend(waiters.into_iter().map(|waiter| (waiter, outcome.clone())));
    }

    /// Tells them, in order.
    pub(super) fn wake(self) {
        for (waiter, outcome) in self.0 {
            waiter.wake(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> Request {
        let mut batch = Batch::new();
        batch.put(vec![0; bytes], vec![]);
        Request { batch, until: Until::Durable, waiter: Waiter::Callback(Box::new(|_| ())) }
    }

    /// One batch is always taken, however large; then only what fits.
    #[test]
    fn a_round_is_bounded_but_never_empty() {
        let mut waiting = VecDeque::from([request(100), request(6), request(4), request(1)]);
        let sizes: Vec<_> = std::iter::from_fn(|| Round::drain(&mut waiting, 10))
            .map(|round| (round.batch.bytes(), round.durable.len()))
            .collect();
        assert_eq!(sizes, [(100, 1), (10, 2), (1, 1)]);
    }
}
