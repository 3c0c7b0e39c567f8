//! What a machine says is to be done: with its state, with the event, with those who wait for an answer, and later.

use std::{fmt, time::Duration};

use super::Event;
use crate::process::{ExitReason, Reply};

/// Which timeout. There is one of each at a time: setting it again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    State,
    Event,
    Named(&'static str),
}

/// What becomes of a timeout.
#[derive(Debug)]
pub(super) enum Order<M> {
    Set(Duration, M),
    Cancel,
}

/// What becomes of the state.
#[derive(Debug)]
pub(super) enum Next<S> {
    Keep,
    To(S),
    Repeat,
    Stop(ExitReason),
}

/// Answers and timeouts, in the order in which they were stated.
#[must_use]
pub struct Actions<M> {
    pub(super) replies: Vec<Box<dyn FnOnce() + Send>>,
    pub(super) timeouts: Vec<(Slot, Order<M>)>,
}

/// What an event does: it is stated at the end of a handler, and done in the order that OTP documents, whatever the order of the words.
///
/// 1. Answers leave.
/// 2. If the state changes or is repeated, its [`enter`](super::StateMachine::enter) is called.
/// 3. The event is kept for later if it is postponed.
/// 4. If the state changed, all events that were postponed come again, the oldest first.
/// 5. Events that the machine inserts come before those.
/// 6. Timeouts are set and cancelled. One of no time comes before the next message that somebody sends.
#[must_use]
pub struct Step<S, M> {
    pub(super) next: Next<S>,
    pub(super) postponed: Option<Event<M>>,
    pub(super) inserted: Vec<M>,
    pub(super) actions: Actions<M>,
}

/// How a machine begins.
#[must_use]
pub struct Entry<S, D, M> {
    pub(super) state: S,
    pub(super) data: D,
    pub(super) step: Step<S, M>,
}

impl<M> Actions<M> {
    /// Nothing is to be done.
    pub fn new() -> Self {
        Self { replies: Vec::new(), timeouts: Vec::new() }
    }

    /// Answers a call, at once.
    pub fn reply<T: Send + 'static>(mut self, reply: Reply<T>, answer: T) -> Self {
        // Whether the caller still waits is nothing to the machine.
        self.replies.push(Box::new(move || {
            reply.send(answer);
        }));
        self
    }

    /// `message` comes when the machine has been in this state for so long. Any change of state cancels it.
    pub fn state_timeout(self, after: Duration, message: M) -> Self {
        self.order(Slot::State, Order::Set(after, message))
    }

    /// `message` comes if nothing else happens for so long. Any event cancels it.
    pub fn event_timeout(self, after: Duration, message: M) -> Self {
        self.order(Slot::Event, Order::Set(after, message))
    }

    /// `message` comes after this time, whatever happens meanwhile, unless it is cancelled or set again.
    pub fn timeout(self, name: &'static str, after: Duration, message: M) -> Self {
        self.order(Slot::Named(name), Order::Set(after, message))
    }

    /// The timeout of this state does not come.
    pub fn cancel_state_timeout(self) -> Self {
        self.order(Slot::State, Order::Cancel)
    }

    /// The timeout of this name does not come.
    pub fn cancel_timeout(self, name: &'static str) -> Self {
        self.order(Slot::Named(name), Order::Cancel)
    }

    /// The answers leave.
    pub(super) fn answer(&mut self) {
        self.replies.drain(..).for_each(|reply| reply());
    }

    fn order(mut self, slot: Slot, order: Order<M>) -> Self {
        self.timeouts.push((slot, order));
        self
    }
}

impl<S, M> Step<S, M> {
    /// The state stays; what it remembers may have changed.
    pub fn keep() -> Self {
        Self::with(Next::Keep)
    }

    /// From now on it is in this state. If it is in that already, this is [`keep`](Self::keep).
    pub fn to(state: S) -> Self {
        Self::with(Next::To(state))
    }

    /// The state stays, and is entered again. Its timeout goes on, and what was postponed stays so.
    pub fn repeat() -> Self {
        Self::with(Next::Repeat)
    }

    /// It ends with this reason after its answers and [last words](super::StateMachine::terminate).
    pub fn stop(reason: ExitReason) -> Self {
        Self::with(Next::Stop(reason))
    }

    fn with(next: Next<S>) -> Self {
        Self { next, postponed: None, inserted: Vec::new(), actions: Actions::new() }
    }

    /// The event that is being handled comes again when the state has changed.
    pub fn postpone(mut self, event: Event<M>) -> Self {
        self.postponed = Some(event);
        self
    }

    /// An event that is handled before all that wait. Several come in the order in which they are stated.
    pub fn next_event(mut self, message: M) -> Self {
        self.inserted.push(message);
        self
    }

    /// As [`Actions::reply`].
    pub fn reply<T: Send + 'static>(self, reply: Reply<T>, answer: T) -> Self {
        self.acting(|actions| actions.reply(reply, answer))
    }

    /// As [`Actions::state_timeout`]; if the state changes, it is that of the new one.
    pub fn state_timeout(self, after: Duration, message: M) -> Self {
        self.acting(|actions| actions.state_timeout(after, message))
    }

    /// As [`Actions::event_timeout`].
    pub fn event_timeout(self, after: Duration, message: M) -> Self {
        self.acting(|actions| actions.event_timeout(after, message))
    }

    /// As [`Actions::timeout`].
    pub fn timeout(self, name: &'static str, after: Duration, message: M) -> Self {
        self.acting(|actions| actions.timeout(name, after, message))
    }

    /// As [`Actions::cancel_state_timeout`].
    pub fn cancel_state_timeout(self) -> Self {
        self.acting(Actions::cancel_state_timeout)
    }

    /// As [`Actions::cancel_timeout`].
    pub fn cancel_timeout(self, name: &'static str) -> Self {
        self.acting(|actions| actions.cancel_timeout(name))
    }

    fn acting(mut self, act: impl FnOnce(Actions<M>) -> Actions<M>) -> Self {
        self.actions = act(self.actions);
        self
    }
}

impl<S, D, M> Entry<S, D, M> {
    /// In this state, remembering this.
    pub fn new(state: S, data: D) -> Self {
        Self { state, data, step: Step::keep() }
    }

    /// As [`Step::next_event`].
    pub fn next_event(self, message: M) -> Self {
        Self { step: self.step.next_event(message), ..self }
    }

    /// As [`Actions::state_timeout`].
    pub fn state_timeout(self, after: Duration, message: M) -> Self {
        Self { step: self.step.state_timeout(after, message), ..self }
    }

    /// As [`Actions::event_timeout`].
    pub fn event_timeout(self, after: Duration, message: M) -> Self {
        Self { step: self.step.event_timeout(after, message), ..self }
    }

    /// As [`Actions::timeout`].
    pub fn timeout(self, name: &'static str, after: Duration, message: M) -> Self {
        Self { step: self.step.timeout(name, after, message), ..self }
    }
}

impl<M> Default for Actions<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> fmt::Debug for Actions<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeouts: Vec<_> = self.timeouts.iter().map(|(slot, _)| slot).collect();
        f.debug_struct("Actions").field("replies", &self.replies.len()).field("timeouts", &timeouts).finish()
    }
}

impl<S, M> fmt::Debug for Step<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("postpones", &self.postponed.is_some())
            .field("inserted", &self.inserted.len())
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

impl<S, D, M> fmt::Debug for Entry<S, D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("step", &self.step).finish_non_exhaustive()
    }
}
