//! Which event comes next, and which timeouts run. Pure: clocks come in as [`Clock`], and no function of a user is called.
//!
//! Comes in: an event that begins, the step that it made, a timeout that is over. Leaves: the next event, until only
//! those are left that nobody has sent yet.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Event,
    step::{Next, Order, Slot},
};

/// Sends messages later. Dropping an alarm does nothing.
pub(super) trait Clock<M> {
    /// What one knows an alarm by.
    type Alarm;

    fn set(&mut self, after: std::time::Duration, message: M) -> Self::Alarm;

    fn cancel(&mut self, alarm: Self::Alarm);
}

/// A timeout that was set.
enum Timeout<A, M> {
    /// A clock runs.
    Runs(A),
    /// It is over by now: it had no time.
    Over(M),
}

/// Events that could not be kept because there were too many.
pub(super) type Refused<M> = Vec<Event<M>>;

pub(super) struct Engine<S, M, A> {
    state: S,
    events_max: usize,
    /// Those that wait for another state, the oldest first.
    postponed: VecDeque<Event<M>>,
    /// Those that come before anything that somebody sends.
    waiting: VecDeque<Event<M>>,
    /// At most one for each name in the program, and two.
    timeouts: BTreeMap<Slot, Timeout<A, M>>,
    /// Timeouts without time, in the order in which they were set: they come when nothing waits any more.
    over: VecDeque<Slot>,
}

impl<S: PartialEq, M, A> Engine<S, M, A> {
    pub(super) fn new(state: S, events_max: usize) -> Self {
        let (postponed, waiting, over) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { state, events_max, postponed, waiting, timeouts: BTreeMap::new(), over }
    }

    pub(super) fn state(&self) -> &S {
        &self.state
    }

    /// The next event that does not come from outside.
    pub(super) fn next(&mut self) -> Option<Event<M>> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(event);
        }
        let slot = self.over.pop_front()?;
        match self.timeouts.remove(&slot) {
            Some(Timeout::Over(message)) => Some(event_of(slot, message)),
            _ => unreachable!("what has no time is in both lists"),
        }
    }

    /// An alarm rang with this message. `None`: it had been cancelled.
    pub(super) fn rang(&mut self, is_it: impl Fn(&A) -> bool, message: M) -> Option<Event<M>> {
        let rang = |timeout: &Timeout<A, M>| matches!(timeout, Timeout::Runs(alarm) if is_it(alarm));
        let slot = self.timeouts.iter().find(|(_, timeout)| rang(timeout)).map(|(slot, _)| *slot)?;
        self.timeouts.remove(&slot);
        Some(event_of(slot, message))
    }

    /// An event is about to be handled: none of that kind is waited for any more.
    pub(super) fn begin(&mut self, clock: &mut impl Clock<M, Alarm = A>) {
        self.cancel(Slot::Event, clock);
    }

    /// The state becomes another one, or begins again, or neither.
    pub(super) fn turn(&mut self, next: Next<S>, clock: &mut impl Clock<M, Alarm = A>) -> Turn<S> {
        match next {
            Next::To(state) if state != self.state => {
                self.cancel(Slot::State, clock);
                Turn::Changed(std::mem::replace(&mut self.state, state))
            }
            Next::Repeat => Turn::Repeated,
            Next::Keep | Next::To(_) | Next::Stop(_) => Turn::Stays,
        }
    }

    /// What is kept, what comes again, what was inserted: in this order, which the places in the line are the reverse of.
    pub(super) fn line_up(
        &mut self,
        postponed: Option<Event<M>>,
        inserted: Vec<M>,
        has_changed: bool,
    ) -> Refused<M> {
        let mut refused = Vec::new();
        match postponed {
            Some(event) if self.postponed.len() >= self.events_max => refused.push(event),
            Some(event) => self.postponed.push_back(event),
            None => {}
        }
        if has_changed {
            let rest = std::mem::replace(&mut self.waiting, std::mem::take(&mut self.postponed));
            self.waiting.extend(rest);
        }
        let mut inserted: Vec<_> = inserted.into_iter().map(Event::Internal).collect();
        // As many as may be postponed may wait here beside as many that were.
        let room = self.events_max.saturating_mul(2).saturating_sub(self.waiting.len());
        refused.extend(inserted.drain(room.min(inserted.len())..));
        inserted.into_iter().rev().for_each(|event| self.waiting.push_front(event));
        refused
    }

    /// Sets and cancels timeouts.
    pub(super) fn time(
        &mut self,
        orders: impl IntoIterator<Item = (Slot, Order<M>)>,
        clock: &mut impl Clock<M, Alarm = A>,
    ) {
        for (slot, order) in orders {
            self.cancel(slot, clock);
            match order {
                Order::Cancel => {}
                Order::Set(after, message) if after.is_zero() => {
                    self.timeouts.insert(slot, Timeout::Over(message));
                    self.over.push_back(slot);
                }
                Order::Set(after, message) => {
                    let alarm = clock.set(after, message);
                    self.timeouts.insert(slot, Timeout::Runs(alarm));
                }
            }
        }
    }

    fn cancel(&mut self, slot: Slot, clock: &mut impl Clock<M, Alarm = A>) {
        match self.timeouts.remove(&slot) {
            Some(Timeout::Runs(alarm)) => clock.cancel(alarm),
            Some(Timeout::Over(_)) => self.over.retain(|over| *over != slot),
            None => {}
        }
    }
}

/// What became of the state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<S> {
    Stays,
    /// It is to be entered again.
    Repeated,
    /// From this one.
    Changed(S),
}

fn event_of<M>(slot: Slot, message: M) -> Event<M> {
    match slot {
        Slot::State => Event::StateTimeout(message),
        Slot::Event => Event::EventTimeout(message),
        Slot::Named(name) => Event::Timeout(name, message),
    }
}

#[cfg(test)]
mod properties;
