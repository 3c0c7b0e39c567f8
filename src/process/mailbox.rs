//! A mailbox with bounds, by count and by bytes, in front of the mailbox of `ractor`, which has none.
//!
//! Comes in: messages, each with its weight. Leaves: the oldest message, when its process takes it; its room is free again from
//! then on. What happens to one message too many is declared when the process is started: [`Policy`].
//!
//! `ractor`'s own mailbox holds one empty token while messages wait here: each token stands for one message, and the next one is given before
//! that is handled, so that stops and supervision keep their priority. Notices of monitors and links are not counted as messages: each of
//! them was asked for once. How many monitors may be set has a bound of its own, and so have timers.

mod letters;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as Turnstile, Notify, OwnedSemaphorePermit, Semaphore};

use self::letters::{Letters, Token};
pub(super) use self::letters::{Rejected, Taken};
use super::monitor::MonitorId;

/// What happens to a message that finds its mailbox full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// The sender waits for room, first come, first served. For messages that flow one way: processes that send to each other
    /// can end up waiting for each other.
    Wait,
    /// The sender is refused.
    #[default]
    Refuse,
    /// The oldest messages make room and are lost; they are counted.
    DropOldest,
}

/// The bounds of a mailbox, declared when its process is started.
///
/// ```
/// use playhouse::process::{Mailbox, Policy};
///
/// let lines = Mailbox::new(Policy::DropOldest).messages_max(100).bytes_max(64 * 1024).weigh(|line: &String| line.len());
/// assert_eq!(lines.policy(), Policy::DropOldest);
/// ```
pub struct Mailbox<M> {
    policy: Policy,
    messages_max: usize,
    bytes_max: usize,
    monitors_max: usize,
    timers_max: usize,
    weigh: fn(&M) -> usize,
}

impl<M> Mailbox<M> {
    /// At most 10,000 messages and 16 MiB; a message weighs what its type takes in memory, without what it points to. At most
    /// 100,000 monitors and as many timers.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let weigh = |_: &M| size_of::<M>();
        let (monitors_max, timers_max) = (100_000, 100_000);
        Self { policy, messages_max: 10_000, bytes_max: 16 << 20, monitors_max, timers_max, weigh }
    }

    /// Bounds how many messages may wait. At least one may.
    #[must_use]
    pub fn messages_max(self, messages_max: usize) -> Self {
        Self { messages_max: messages_max.max(1), ..self }
    }

    /// Bounds how many bytes may wait. A heavier message is never accepted.
    #[must_use]
    pub fn bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Bounds how many monitors its process may have set whose message was not handled yet.
    #[must_use]
    pub fn monitors_max(self, monitors_max: usize) -> Self {
        Self { monitors_max, ..self }
    }

    /// Bounds how many timers may run for its process.
    #[must_use]
    pub fn timers_max(self, timers_max: usize) -> Self {
        Self { timers_max, ..self }
    }

    /// How many bytes a message counts for.
    #[must_use]
    pub fn weigh(self, weigh: fn(&M) -> usize) -> Self {
        Self { weigh, ..self }
    }

    /// What happens to one message too many.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }
}

impl<M> Default for Mailbox<M> {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, messages_max, bytes_max, monitors_max, timers_max, .. } = self;
        let mut debug = f.debug_struct("Mailbox");
        debug.field("policy", policy).field("messages_max", messages_max).field("bytes_max", bytes_max);
        debug.field("monitors_max", monitors_max).field("timers_max", timers_max).finish_non_exhaustive()
    }
}

/// A mailbox at one moment, and what became of messages that it could not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxStats {
    /// Messages that wait and are counted.
    pub messages: usize,
    /// What they weigh.
    pub bytes: usize,
    /// Messages that were refused because there was no room, or because they were too heavy.
    pub refused: u64,
    /// Messages that made room for newer ones.
    pub dropped: u64,
    /// Messages that were still waiting when the process ended.
    pub dead_letters: u64,
}

/// The monitor, or the timeout of a state machine, whose notice a message is.
pub(super) struct Asked {
    monitor: MonitorId,
    /// A monitor counts until its message is handled; `None`: it is a timeout.
    permit: Option<OwnedSemaphorePermit>,
}

impl Asked {
    pub(super) fn new(monitor: MonitorId, permit: OwnedSemaphorePermit) -> Self {
        Self { monitor, permit: Some(permit) }
    }

    /// By its process itself, for a later time.
    pub(super) fn alarm(id: MonitorId) -> Self {
        Self { monitor: id, permit: None }
    }

    fn is_alarm(&self) -> bool {
        self.permit.is_none()
    }
}

/// How the next message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// With the token that `ractor` has, or when somebody sends one.
    ByToken,
    /// `ractor` takes no tokens any more, and ends when it has handled what it has. All that waits is one message for it: stops that do not
    /// come through us, and ends of children, wait behind it.
    AtOnce,
}

/// Gives `ractor` a token. Whether it still takes one.
pub(super) type Bell = Box<dyn Fn() -> bool + Send + Sync>;

pub(super) struct Queue<M> {
    rules: Mailbox<M>,
    /// Nothing of a user runs or is dropped under this lock: a message may hold a reference to anything, also to this mailbox. No token is
    /// given under it either: that wakes the process, which would wait for the lock on another thread.
    letters: Mutex<Letters<M>>,
    /// For the monitors that its process sets, and for its timers: each is a message later.
    pub(super) monitors: Arc<Semaphore>,
    pub(super) timers: Arc<Semaphore>,
    /// Set when the process starts.
    bell: OnceLock<Bell>,
    /// There is room again, or there never will be.
    freed: Notify,
    /// Senders that wait stand in line here, first come, first served.
    line: Turnstile<()>,
}

impl<M> Queue<M> {
    pub(super) fn new(rules: Mailbox<M>) -> Self {
        let (letters, bell) = (Mutex::new(Letters::new()), OnceLock::new());
        let permits = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let (monitors, timers) = (permits(rules.monitors_max), permits(rules.timers_max));
        let (freed, line) = (Notify::new(), Turnstile::new(()));
        Self { rules, letters, monitors, timers, bell, freed, line }
    }

    /// From now on there is somebody who takes messages when the bell rings.
    pub(super) fn open(&self, bell: Bell) {
        let first = self.bell.set(bell);
        debug_assert!(first.is_ok(), "a process is started once");
    }

    /// Takes a message, waiting for room if that is the policy, and if the sender may wait.
    pub(super) async fn push(&self, message: M, may_wait: impl FnOnce() -> bool) -> Result<(), Rejected<M>> {
        let weight = (self.rules.weigh)(&message);
        match self.push_now(message, weight) {
            Err(Rejected::Full(message)) if self.rules.policy == Policy::Wait && may_wait() => {
                self.push_in_line(message, weight).await
            }
            done => self.count_refused(done),
        }
    }

    /// Takes a message if there is room, or if older ones may be dropped for it.
    pub(super) fn try_push(&self, message: M) -> Result<(), Rejected<M>> {
        self.try_push_heavy(message, 0)
    }

    /// As `try_push`, with a message that weighs so much at least.
    pub(super) fn try_push_heavy(&self, message: M, bytes: usize) -> Result<(), Rejected<M>> {
        let weight = (self.rules.weigh)(&message).max(bytes);
        self.count_refused(self.push_now(message, weight))
    }

    fn push_now(&self, message: M, weight: usize) -> Result<(), Rejected<M>> {
        // Declared first, so dropped last: outside of the lock.
        let mut dropped = Vec::new();
        let mut letters = self.letters.lock();
        if letters.in_line > 0 && letters.is_open() {
            // Nobody overtakes those who wait.
            return Err(Rejected::Full(message));
        }
        letters.make_room(&self.rules, weight, &mut dropped);
        let token = letters.push(&self.rules, message, weight)?;
        drop(letters);
        self.give_for_first(token).map_err(Rejected::Closed)
    }

    async fn push_in_line(&self, mut message: M, weight: usize) -> Result<(), Rejected<M>> {
        let _place = Place::take(self);
        let _turn = self.line.lock().await;
        loop {
            let freed = self.freed.notified();
            let pushed = self.letters.lock().push(&self.rules, message, weight);
            match pushed {
                Err(Rejected::Full(back)) => message = back,
                Ok(token) => return self.give_for_first(token).map_err(Rejected::Closed),
                Err(other) => return self.count_refused(Err(other)),
            }
            freed.await;
        }
    }

    fn count_refused(&self, pushed: Result<(), Rejected<M>>) -> Result<(), Rejected<M>> {
        if matches!(pushed, Err(Rejected::Full(_) | Rejected::TooLarge(_))) {
            self.letters.lock().stats.refused += 1;
        }
        pushed
    }

    /// Takes a notice, which is not counted. It comes back if nobody would read it.
    pub(super) fn push_notice(&self, message: M, asked: Option<Asked>) -> Result<(), M> {
        let token = self.letters.lock().push_notice(message, asked)?;
        self.give_for_first(token)
    }

    /// What a token stands for, and whether another one comes if it is a message. Otherwise the next must be taken at once: `ractor` handles
    /// what it has, and ends.
    pub(super) fn take(&self) -> (Taken<M>, Next) {
        let mut letters = self.letters.lock();
        let (taken, token) = letters.take();
        // Those who wait are woken when there is room for many of them: a switch between tasks costs more than a message.
        let wake = letters.in_line > 0 && letters.is_half_empty(&self.rules);
        drop(letters);
        if wake {
            self.freed.notify_one();
        }
        if self.give(token) {
            return (taken, Next::ByToken);
        }
        self.close_entrance();
        (taken, Next::AtOnce)
    }

    /// Which alarm the message was that was taken last; `None` if it was none.
    pub(super) fn alarm(&self) -> Option<MonitorId> {
        self.letters.lock().alarm
    }

    /// So many messages were taken, and then there was no room for them after all.
    pub(super) fn note_refused(&self, messages: usize) {
        self.letters.lock().stats.refused += messages as u64;
    }

    /// Takes back the notice of a monitor. Whether it was still there.
    pub(super) fn flush(&self, monitor: MonitorId) -> bool {
        let letter = self.letters.lock().remove_notice(monitor);
        letter.is_some()
    }

    /// No more messages; those that wait are still handled, and notices that come meanwhile. Then [`take`](Self::take) says so.
    pub(super) fn drain(&self) {
        let token = self.letters.lock().drain();
        if let Some(token) = token {
            self.freed.notify_waiters();
            self.give(token);
        }
    }

    /// No more messages; those that wait are lost, and counted.
    pub(super) fn close(&self) {
        let lost = self.letters.lock().close();
        self.freed.notify_waiters();
        drop(lost);
    }

    /// No more messages, and no notices.
    pub(super) fn close_entrance(&self) {
        self.letters.lock().close_entrance();
        self.freed.notify_waiters();
    }

    pub(super) fn stats(&self) -> MailboxStats {
        self.letters.lock().stats
    }

    /// Gives `ractor` the token that is due for the first letter that waits. If it takes no more, its process is about to end: the letter
    /// comes back, and those that came behind it meanwhile are lost with the process.
    fn give_for_first(&self, token: Token) -> Result<(), M> {
        if self.give(token) {
            return Ok(());
        }
        self.close_entrance();
        let first = self.letters.lock().take_back();
        first.map_or(Ok(()), Err)
    }

    /// Gives `ractor` a token that is due. Whether it has one, if it needs one.
    fn give(&self, token: Token) -> bool {
        token == Token::NotDue || self.bell.get().is_none_or(|bell| bell())
    }
}

/// A place in the line of senders that wait.
struct Place<'a, M>(&'a Queue<M>);

impl<'a, M> Place<'a, M> {
    fn take(queue: &'a Queue<M>) -> Self {
        queue.letters.lock().in_line += 1;
        Self(queue)
    }
}

impl<M> Drop for Place<'_, M> {
    fn drop(&mut self) {
        self.0.letters.lock().in_line -= 1;
    }
}

#[cfg(test)]
mod tests;
