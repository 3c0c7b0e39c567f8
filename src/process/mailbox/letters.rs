//! The messages that wait in a mailbox, and how many tokens `ractor` has for them.
//!
//! Comes in: messages that were weighed; the order to make room, to take, to close. Leaves: messages, in their order, and all of
//! those that find no place: nothing is dropped here, because a mailbox is locked meanwhile and a message may hold anything.

use std::collections::VecDeque;

use super::{Asked, Mailbox, MailboxStats, Policy};
use crate::process::monitor::MonitorId;

/// Why a message was not taken. It comes back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::process) enum Rejected<M> {
    Closed(M),
    Full(M),
    TooLarge(M),
}

/// What a token stood for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::process) enum Taken<M> {
    /// The oldest message; its room is free.
    Message(M),
    /// A message that was dropped or taken back.
    Nothing,
    /// The process drains and all is handled: it ends.
    Drained,
}

/// Who may still put something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    Open,
    /// Notices only: whoever handles messages is told of what it asked for.
    Notices,
    Closed,
}

pub(super) struct Letters<M> {
    waiting: VecDeque<Letter<M>>,
    /// How many tokens `ractor` has whose letter is gone. Each serves a later letter, so that there are never more tokens than
    /// there were letters at one time.
    spare: usize,
    /// How many senders wait.
    pub(super) in_line: usize,
    entrance: Entrance,
    /// The alarm that the message was which was taken last.
    pub(super) alarm: Option<MonitorId>,
    pub(super) stats: MailboxStats,
}

pub(super) struct Letter<M> {
    message: M,
    /// `None`: not counted.
    weight: Option<usize>,
    /// The monitor whose notice it is.
    asked: Option<Asked>,
}

impl<M> Letters<M> {
    pub(super) fn new() -> Self {
        let (waiting, stats) = (VecDeque::new(), MailboxStats::default());
        Self { waiting, spare: 0, in_line: 0, entrance: Entrance::Open, alarm: None, stats }
    }

    /// Takes a message that weighs so much, if there is room. `ring` gives `ractor` a token, or says that it takes no more.
    pub(super) fn push(
        &mut self,
        rules: &Mailbox<M>,
        message: M,
        weight: usize,
        ring: impl FnOnce() -> bool,
    ) -> Result<(), Rejected<M>> {
        if !self.is_open() {
            return Err(Rejected::Closed(message));
        }
        if weight > rules.bytes_max {
            return Err(Rejected::TooLarge(message));
        }
        if !self.has_room(rules, weight) {
            return Err(Rejected::Full(message));
        }
        self.append(message, Some(weight), None, ring).map_err(Rejected::Closed)?;
        self.stats.messages += 1;
        self.stats.bytes += weight;
        Ok(())
    }

    /// Takes a notice, which is not counted. It comes back if nobody would read it.
    pub(super) fn push_notice(
        &mut self,
        message: M,
        asked: Option<Asked>,
        ring: impl FnOnce() -> bool,
    ) -> Result<(), M> {
        if self.entrance == Entrance::Closed {
            return Err(message);
        }
        self.append(message, None, asked, ring)
    }

    /// What a token stands for.
    pub(super) fn take(&mut self) -> Taken<M> {
        if let Some(letter) = self.waiting.pop_front() {
            self.uncount(&letter);
            self.alarm = letter.asked.and_then(|asked| asked.is_alarm().then_some(asked.monitor));
            return Taken::Message(letter.message);
        }
        if self.entrance == Entrance::Notices {
            self.entrance = Entrance::Closed;
            return Taken::Drained;
        }
        self.spare = self.spare.saturating_sub(1);
        Taken::Nothing
    }

    pub(super) fn is_open(&self) -> bool {
        self.entrance == Entrance::Open
    }

    pub(super) fn is_half_empty(&self, rules: &Mailbox<M>) -> bool {
        self.stats.messages <= rules.messages_max / 2 && self.stats.bytes <= rules.bytes_max / 2
    }

    /// Takes the oldest counted messages out until there is room, if that is the policy.
    pub(super) fn make_room(&mut self, rules: &Mailbox<M>, weight: usize, dropped: &mut Vec<Letter<M>>) {
        if rules.policy != Policy::DropOldest || !self.is_open() || weight > rules.bytes_max {
            return;
        }
        while !self.has_room(rules, weight) {
            let Some(letter) = self.remove(|letter| letter.weight.is_some()) else { return };
            self.stats.dropped += 1;
            dropped.push(letter);
        }
    }

    /// Takes the notice of a monitor out.
    pub(super) fn remove_notice(&mut self, monitor: MonitorId) -> Option<Letter<M>> {
        self.remove(|letter| letter.asked.as_ref().is_some_and(|asked| asked.monitor == monitor))
    }

    /// No more messages, but notices. One more token comes after all that wait. Whether that is new.
    pub(super) fn drain(&mut self, ring: impl FnOnce() -> bool) -> bool {
        let new = self.is_open();
        if new {
            self.entrance = Entrance::Notices;
            // If `ractor` takes no more, it is about to end anyway.
            ring();
        }
        new
    }

    pub(super) fn close_entrance(&mut self) {
        self.entrance = Entrance::Closed;
    }

    /// No more messages; those that wait are lost, and counted.
    pub(super) fn close(&mut self) -> VecDeque<Letter<M>> {
        self.close_entrance();
        self.stats.dead_letters += self.stats.messages as u64;
        (self.stats.messages, self.stats.bytes) = (0, 0);
        std::mem::take(&mut self.waiting)
    }

    fn has_room(&self, rules: &Mailbox<M>, weight: usize) -> bool {
        self.stats.messages < rules.messages_max && weight <= rules.bytes_max - self.stats.bytes
    }

    fn append(
        &mut self,
        message: M,
        weight: Option<usize>,
        asked: Option<Asked>,
        ring: impl FnOnce() -> bool,
    ) -> Result<(), M> {
        if self.spare > 0 {
            self.spare -= 1;
        } else if !ring() {
            return Err(message);
        }
        self.waiting.push_back(Letter { message, weight, asked });
        Ok(())
    }

    fn remove(&mut self, which: impl Fn(&Letter<M>) -> bool) -> Option<Letter<M>> {
        let at = self.waiting.iter().position(which)?;
        let letter = self.waiting.remove(at)?;
        self.uncount(&letter);
        self.spare += 1;
        Some(letter)
    }

    fn uncount(&mut self, letter: &Letter<M>) {
        if let Some(weight) = letter.weight {
            self.stats.messages -= 1;
            self.stats.bytes -= weight;
        }
    }
}
