//! A mailbox with bounds, by count and by bytes, in front of the mailbox of `ractor`, which has none.
//!
//! Comes in: messages, each with its weight. Leaves: the oldest message, when its process takes it; its room is free again from
//! then on. What happens to one message too many is declared when the process is started: [`Policy`].
//!
//! `ractor`'s own mailbox holds one empty token for each message here, so that stops and supervision keep their priority. Notices of
//! monitors and links are not counted: each of them was asked for once.

use std::{collections::VecDeque, fmt};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as Turnstile, Notify};

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
    weigh: fn(&M) -> usize,
}

impl<M> Mailbox<M> {
    /// At most 10,000 messages and 16 MiB; a message weighs what its type takes in memory, without what it points to.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, messages_max: 10_000, bytes_max: 16 << 20, weigh: |_| size_of::<M>() }
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
        let Self { policy, messages_max, bytes_max, .. } = self;
        let mut debug = f.debug_struct("Mailbox");
        debug.field("policy", policy).field("messages_max", messages_max).field("bytes_max", bytes_max);
        debug.finish_non_exhaustive()
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

/// Why a message was not taken. It comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected<M> {
    Closed,
    Full(M),
    TooLarge,
}

/// Names a message within its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterId(u64);

pub(super) struct Queue<M> {
    rules: Mailbox<M>,
    letters: Mutex<Letters<M>>,
    /// There is room again, or there never will be.
    freed: Notify,
    /// Senders that wait stand in line here, first come, first served.
    line: Turnstile<()>,
}

struct Letters<M> {
    waiting: VecDeque<Letter<M>>,
    given: u64,
    /// How many senders wait.
    in_line: usize,
    closed: bool,
    stats: MailboxStats,
}

struct Letter<M> {
    id: LetterId,
    message: M,
    /// `None`: not counted.
    weight: Option<usize>,
    /// The monitor whose notice it is.
    monitor: Option<MonitorId>,
}

impl<M> Queue<M> {
    pub(super) fn new(rules: Mailbox<M>) -> Self {
        let (waiting, stats) = (VecDeque::new(), MailboxStats::default());
        let letters = Letters { waiting, given: 0, in_line: 0, closed: false, stats };
        Self { rules, letters: Mutex::new(letters), freed: Notify::new(), line: Turnstile::new(()) }
    }

    /// Takes a message, waiting for room if that is the policy.
    pub(super) async fn push(&self, message: M) -> Result<LetterId, Rejected<M>> {
        match self.try_push_uncounted(message) {
            Err(Rejected::Full(message)) if self.rules.policy == Policy::Wait => {
                self.push_in_line(message).await
            }
            done => self.count_refused(done),
        }
    }

    /// Takes a message if there is room, or if older ones may be dropped for it.
    pub(super) fn try_push(&self, message: M) -> Result<LetterId, Rejected<M>> {
        self.count_refused(self.try_push_uncounted(message))
    }

    fn try_push_uncounted(&self, message: M) -> Result<LetterId, Rejected<M>> {
        // Declared first, so dropped last: a message may hold a reference to anything, which is not for under the lock.
        let mut dropped = Vec::new();
        let mut letters = self.letters.lock();
        if letters.in_line > 0 && !letters.closed {
            // Nobody overtakes those who wait.
            return Err(Rejected::Full(message));
        }
        if self.rules.policy == Policy::DropOldest {
            letters.make_room(&self.rules, (self.rules.weigh)(&message), &mut dropped);
        }
        letters.push(&self.rules, message)
    }

    async fn push_in_line(&self, mut message: M) -> Result<LetterId, Rejected<M>> {
        let _place = Place::take(self);
        let _turn = self.line.lock().await;
        loop {
            let freed = self.freed.notified();
            let pushed = self.letters.lock().push(&self.rules, message);
            match pushed {
                Err(Rejected::Full(back)) => message = back,
                done => return self.count_refused(done),
            }
            freed.await;
        }
    }

    fn count_refused(&self, pushed: Result<LetterId, Rejected<M>>) -> Result<LetterId, Rejected<M>> {
        if matches!(pushed, Err(Rejected::Full(_) | Rejected::TooLarge)) {
            self.letters.lock().stats.refused += 1;
        }
        pushed
    }

    /// Takes a notice, which is not counted. Whether anybody will read it.
    pub(super) fn push_notice(&self, message: M, monitor: Option<MonitorId>) -> bool {
        let mut letters = self.letters.lock();
        let open = !letters.closed;
        if open {
            letters.append(message, None, monitor);
        }
        open
    }

    /// The oldest message; its room is free.
    pub(super) fn take(&self) -> Option<M> {
        let mut letters = self.letters.lock();
        let letter = letters.pop()?;
        // Those who wait are woken when there is room for many of them: a switch between tasks costs more than a message.
        let wake = letters.in_line > 0 && letters.is_half_empty(&self.rules);
        drop(letters);
        if wake {
            self.freed.notify_one();
        }
        Some(letter.message)
    }

    /// Takes a message back that nobody will be told of. Whether it was still there.
    pub(super) fn take_back(&self, id: LetterId) -> bool {
        let letter = self.letters.lock().remove(|letter| letter.id == id);
        letter.is_some()
    }

    /// Takes back the notice of a monitor. Whether it was still there.
    pub(super) fn flush(&self, monitor: MonitorId) -> bool {
        let letter = self.letters.lock().remove(|letter| letter.monitor == Some(monitor));
        letter.is_some()
    }

    /// No more messages; those that wait are lost, and counted.
    pub(super) fn close(&self) {
        let lost = self.letters.lock().close();
        self.freed.notify_waiters();
        // Outside of the lock: a message may hold a reference to anything.
        drop(lost);
    }

    /// No more messages; those that wait are still handled.
    pub(super) fn close_entrance(&self) {
        self.letters.lock().closed = true;
        self.freed.notify_waiters();
    }

    pub(super) fn policy(&self) -> Policy {
        self.rules.policy
    }

    pub(super) fn stats(&self) -> MailboxStats {
        self.letters.lock().stats
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

impl<M> Letters<M> {
    fn push(&mut self, rules: &Mailbox<M>, message: M) -> Result<LetterId, Rejected<M>> {
        let weight = (rules.weigh)(&message);
        if self.closed {
            Err(Rejected::Closed)
        } else if weight > rules.bytes_max {
            Err(Rejected::TooLarge)
        } else if !self.has_room(rules, weight) {
            Err(Rejected::Full(message))
        } else {
            self.stats.messages += 1;
            self.stats.bytes += weight;
            Ok(self.append(message, Some(weight), None))
        }
    }

    fn has_room(&self, rules: &Mailbox<M>, weight: usize) -> bool {
        self.stats.messages < rules.messages_max && weight <= rules.bytes_max - self.stats.bytes
    }

    fn is_half_empty(&self, rules: &Mailbox<M>) -> bool {
        self.stats.messages <= rules.messages_max / 2 && self.stats.bytes <= rules.bytes_max / 2
    }

    /// Drops the oldest counted messages until there is room; they are dropped by the caller, outside of the lock.
    fn make_room(&mut self, rules: &Mailbox<M>, weight: usize, dropped: &mut Vec<Letter<M>>) {
        if self.closed || weight > rules.bytes_max {
            return;
        }
        while !self.has_room(rules, weight) {
            let Some(letter) = self.remove(|letter| letter.weight.is_some()) else { return };
            self.stats.dropped += 1;
            dropped.push(letter);
        }
    }

    fn append(&mut self, message: M, weight: Option<usize>, monitor: Option<MonitorId>) -> LetterId {
        let id = LetterId(self.given);
        self.given += 1;
        self.waiting.push_back(Letter { id, message, weight, monitor });
        id
    }

    fn pop(&mut self) -> Option<Letter<M>> {
        let letter = self.waiting.pop_front()?;
        self.uncount(&letter);
        Some(letter)
    }

    fn remove(&mut self, which: impl Fn(&Letter<M>) -> bool) -> Option<Letter<M>> {
        let at = self.waiting.iter().position(which)?;
        let letter = self.waiting.remove(at)?;
        self.uncount(&letter);
        Some(letter)
    }

    fn uncount(&mut self, letter: &Letter<M>) {
        if let Some(weight) = letter.weight {
            self.stats.messages -= 1;
            self.stats.bytes -= weight;
        }
    }

    fn close(&mut self) -> VecDeque<Letter<M>> {
        self.closed = true;
        self.stats.dead_letters += self.stats.messages as u64;
        (self.stats.messages, self.stats.bytes) = (0, 0);
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests;
