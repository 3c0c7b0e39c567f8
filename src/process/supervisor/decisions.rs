//! What a supervisor does next: OTP's rules as a state machine without a clock, a task or a random source.
//!
//! Comes in: what happened (a child was started, could not be, ended, was stopped; a timer fired; an operator asked), with the
//! age of the supervisor as time and a number from 0 to 1 as chance. Leaves: one [`Action`] at a time, by
//! [`next`](Decisions::next). Whoever performs it says how it went before asking for the next one; when there is none, the
//! supervisor is quiet and takes the next event.
//!
//! Children are kept in the order in which they were added, which is the order in which they are started; they are stopped in
//! the opposite order. What a child *is* (`T`) is kept beside it and never looked at.

mod child;
mod operator;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use self::child::Purpose;
pub use self::operator::Counts;
pub(super) use self::{
    child::{Child, ChildState},
    operator::Refusal,
};
use super::{
    intensity::Restarts,
    spec::{AutoShutdown, ChildRules, Flags, Restart, Strategy},
};
use crate::process::ExitReason;

/// Names a child within its supervisor, for ever. Later children have greater keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChildKey(u64);

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start this child; then say [`started`](Decisions::started) or [`start_failed`](Decisions::start_failed).
    Start(ChildKey),
    /// Stop these children, all at the same time, by their rules; then say [`stopped`](Decisions::stopped) for each.
    Stop(Vec<ChildKey>),
    /// Say [`timer_fired`](Decisions::timer_fired) after this time.
    Arm { key: ChildKey, attempt: u64, after: Duration },
    /// End with `shutdown`, after [`shut_down`](Decisions::shut_down).
    Exit(Ending),
}

/// Why a supervisor ends by itself. To its own supervisor, both are `shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Too many restarts, or a start that it cannot do without: its own supervisor has to decide.
    GivesUp,
    /// Its significant children have ended, and it ends with them, as it was told.
    AutoShutdown,
}

/// When something happened, and the chance that goes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// How old the supervisor is.
    pub(super) age: Duration,
    /// From 0 to 1; spreads restarts.
    pub(super) jitter: f64,
}

/// One thing that is still to be done.
#[derive(Debug)]
enum Step {
    Start(ChildKey, Purpose),
    Stop(Vec<ChildKey>),
    Arm { key: ChildKey, after: Duration },
    Exit(Ending),
}

/// The children of a supervisor and what is to be done about them.
#[derive(Debug)]
pub(super) struct Decisions<T> {
    flags: Flags,
    /// Children of `simple_one_for_one`: they have no ids, go when they end, and are stopped all at once.
    dynamic: bool,
    children: BTreeMap<ChildKey, Child<T>>,
    ids: BTreeMap<Arc<str>, ChildKey>,
    keys_given: u64,
    restarts: Restarts,
    /// All of them, since it began.
    restarts_made: u64,
    /// At most three steps for each child.
    plan: VecDeque<Step>,
    /// It ends: nothing is started any more.
    ending: bool,
}

impl<T> Decisions<T> {
    pub(super) fn new(flags: Flags, dynamic: bool) -> Self {
        let restarts = Restarts::new(flags.intensity, flags.period);
        let (children, ids, plan) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { flags, dynamic, children, ids, keys_given: 0, restarts, restarts_made: 0, plan, ending: false }
    }

    /// What is to be done now; `None` when the supervisor is quiet.
    pub(super) fn next(&mut self) -> Option<Action> {
        while let Some(step) = self.plan.pop_front() {
            if let Some(action) = self.begin(step) {
                return Some(action);
            }
        }
        None
    }

    /// The supervisor begins: all children are started, from left to right.
    pub(super) fn boot(&mut self) {
        self.plan.extend(self.children.keys().map(|key| Step::Start(*key, Purpose::Boot)));
    }

    /// The supervisor ends: all children are stopped, from right to left.
    pub(super) fn shut_down(&mut self) {
        self.ending = true;
        self.plan.clear();
        let stops = self.children.keys().rev().copied();
        if self.dynamic {
            self.plan.push_back(Step::Stop(stops.collect()));
        } else {
            self.plan.extend(stops.map(|key| Step::Stop(vec![key])));
        }
    }

    /// A child runs.
    pub(super) fn started(&mut self, key: ChildKey, age: Duration) {
        if let Some(child) = self.children.get_mut(&key) {
            child.state = ChildState::Running { since: age };
        }
    }

    /// A child could not be started.
    pub(super) fn start_failed(&mut self, key: ChildKey, moment: Moment) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let ChildState::Starting(purpose) = child.state else { return };
        child.state = ChildState::Stopped;
        match purpose {
            Purpose::Boot => self.escalate(),
            Purpose::Restart => self.try_again(key, moment),
            Purpose::NewChild => self.remove(key),
            Purpose::OldChild => {}
        }
    }

    /// A child that was told to stop has stopped.
    pub(super) fn stopped(&mut self, key: ChildKey) {
        self.set_down(key);
    }

    /// A child ended without being told to.
    pub(super) fn exited(&mut self, key: ChildKey, reason: &ExitReason, moment: Moment) {
        debug_assert!(
            self.plan.is_empty(),
            "the performer finishes what is to be done before it takes the next event"
        );
        let Some(child) = self.children.get_mut(&key).filter(|_| !self.ending) else { return };
        let ChildState::Running { since } = child.state else { return };
        child.state = ChildState::Stopped;
        let ran = moment.age.saturating_sub(since);
        if self.flags.backoff.is_some_and(|backoff| backoff.is_calm_after(ran)) {
            child.restarts_in_row = 0;
        }
        let restart = match child.rules.restart {
            Restart::Permanent => true,
            Restart::Transient => reason.is_abnormal(),
            Restart::Temporary => false,
        };
        if restart { self.restart(key, moment) } else { self.ended_for_good(key) }
    }

    /// A timer that was armed for a child.
    pub(super) fn timer_fired(&mut self, key: ChildKey, attempt: u64) {
        let waits = |child: &Child<T>| child.state == ChildState::Restarting && child.attempt == attempt;
        if !self.ending && self.children.get(&key).is_some_and(waits) {
            self.take_down_group(key);
            self.bring_up(self.group(key));
        }
    }

    /// How many restarts there were since the supervisor began; a failed one that is tried again counts again.
    pub(super) fn restarts_made(&self) -> u64 {
        self.restarts_made
    }

    /// What the supervisor does about its children.
    pub(super) fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Whether its children are those of `simple_one_for_one`.
    pub(super) fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    /// A child and what is kept beside it.
    pub(super) fn child(&self, key: ChildKey) -> Option<&Child<T>> {
        self.children.get(&key)
    }

    /// A child and what is kept beside it.
    pub(super) fn child_mut(&mut self, key: ChildKey) -> Option<&mut Child<T>> {
        self.children.get_mut(&key)
    }

    /// All children, in the order in which they are started.
    pub(super) fn children(&self) -> impl Iterator<Item = (ChildKey, &Child<T>)> {
        self.children.iter().map(|(key, child)| (*key, child))
    }

    /// A step becomes an action, unless there is nothing left of it to do.
    fn begin(&mut self, step: Step) -> Option<Action> {
        match step {
            Step::Start(key, purpose) => self.begin_start(key, purpose),
            Step::Stop(keys) => self.begin_stop(&keys),
            Step::Arm { key, after } => self.arm(key, after),
            Step::Exit(ending) => Some(Action::Exit(ending)),
        }
    }

    fn begin_start(&mut self, key: ChildKey, purpose: Purpose) -> Option<Action> {
        let child = self.children.get_mut(&key)?;
        let down = matches!(child.state, ChildState::Stopped | ChildState::Restarting);
        down.then(|| {
            child.state = ChildState::Starting(purpose);
            Action::Start(key)
        })
    }

    fn begin_stop(&mut self, keys: &[ChildKey]) -> Option<Action> {
        let mut running = Vec::new();
        for key in keys {
            match self.children.get_mut(key) {
                Some(child) if matches!(child.state, ChildState::Running { .. }) => {
                    child.state = ChildState::Stopping;
                    running.push(*key);
                }
                _ => self.set_down(*key),
            }
        }
        (!running.is_empty()).then_some(Action::Stop(running))
    }

    fn arm(&mut self, key: ChildKey, after: Duration) -> Option<Action> {
        let child = self.children.get_mut(&key)?;
        child.attempt += 1;
        Some(Action::Arm { key, attempt: child.attempt, after })
    }

    /// A child ended and comes back, with those that belong to it.
    fn restart(&mut self, key: ChildKey, moment: Moment) {
        if !self.restarts.admit(moment.age) {
            return self.escalate();
        }
        self.restarts_made += 1;
        self.take_down_group(key);
        match self.delay(key, moment.jitter) {
            Some(after) => self.wait(key, after),
            None => self.bring_up(self.group(key)),
        }
    }

    /// A restart failed. It is tried again, which counts as another restart, after other events had their turn.
    fn try_again(&mut self, key: ChildKey, moment: Moment) {
        self.plan.clear();
        if !self.restarts.admit(moment.age) {
            return self.escalate();
        }
        self.restarts_made += 1;
        let after = self.delay(key, moment.jitter).unwrap_or_default();
        self.wait(key, after);
    }

    fn wait(&mut self, key: ChildKey, after: Duration) {
        if let Some(child) = self.children.get_mut(&key) {
            child.state = ChildState::Restarting;
            self.plan.push_back(Step::Arm { key, after });
        }
    }

    fn delay(&mut self, key: ChildKey, jitter: f64) -> Option<Duration> {
        let (backoff, child) = (self.flags.backoff?, self.children.get_mut(&key)?);
        let delay = backoff.delay(child.restarts_in_row, jitter);
        child.restarts_in_row = child.restarts_in_row.saturating_add(1);
        Some(delay)
    }

    fn escalate(&mut self) {
        self.end(Ending::GivesUp);
    }

    fn end(&mut self, ending: Ending) {
        self.plan.clear();
        self.ending = true;
        self.plan.push_back(Step::Exit(ending));
    }

    /// The children that are restarted when this one is, in order.
    fn group(&self, key: ChildKey) -> Vec<ChildKey> {
        match self.flags.strategy {
            Strategy::OneForOne => vec![key],
            Strategy::OneForAll => self.children.keys().copied().collect(),
            Strategy::RestForOne => self.children.range(key..).map(|(key, _)| *key).collect(),
        }
    }

    /// All but the child itself, from right to left. Restarts of others that were waited for become part of this one.
    fn take_down_group(&mut self, key: ChildKey) {
        let others = self.group(key).into_iter().rev().filter(|other| *other != key);
        self.plan.extend(others.map(|other| Step::Stop(vec![other])));
    }

    /// From left to right. Temporary children are gone by then.
    fn bring_up(&mut self, group: impl IntoIterator<Item = ChildKey>) {
        self.plan.extend(group.into_iter().map(|key| Step::Start(key, Purpose::Restart)));
    }

    /// A child ended by itself and is not restarted.
    fn ended_for_good(&mut self, key: ChildKey) {
        let significant = self.children.get(&key).is_some_and(|child| child.rules.significant);
        self.set_down(key);
        let shut_down = match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => significant,
            AutoShutdown::AllSignificant => significant && !self.has_active_significant(),
        };
        if shut_down {
            self.end(Ending::AutoShutdown);
        }
    }

    fn has_active_significant(&self) -> bool {
        self.children.values().any(|child| child.rules.significant && child.state != ChildState::Stopped)
    }

    /// A child is down: what has no place in the list any more leaves it.
    fn set_down(&mut self, key: ChildKey) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.state = ChildState::Stopped;
        if self.dynamic || child.rules.restart == Restart::Temporary {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: ChildKey) {
        if let Some(id) = self.children.remove(&key).and_then(|child| child.id) {
            self.ids.remove(&id);
        }
    }

    fn insert(&mut self, id: Option<Arc<str>>, rules: ChildRules, content: T) -> ChildKey {
        let key = ChildKey(self.keys_given);
        self.keys_given += 1;
        if let Some(id) = &id {
            self.ids.insert(Arc::clone(id), key);
        }
        self.children.insert(key, Child::new(id, rules, content));
        key
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
