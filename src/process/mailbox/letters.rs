//! The messages that wait in a mailbox, and whether `ractor` has a token for them.
//!
//! Comes in: messages that were weighed; the order to make room, to take, to close. Leaves: messages, in their order, and all of
//! those that find no place: nothing is dropped here, because a mailbox is locked meanwhile and a message may hold anything. And that
//! a token is due, for whoever gives it to `ractor` when the mailbox is not locked any more.

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

/// What a token stood for: what is handled next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::process) enum Taken<M> {
    /// The oldest message; its room is free.
    Message(M),
    /// All that waited was dropped or taken back.
    Nothing,
    /// The process drains and all is handled: it ends.
    Drained,
}

/// Whether `ractor` is to be given a token. There is never more than one.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Now, by whoever is told so: nobody else is.
    Due,
    /// It has one, or needs none.
    NotDue,
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
    /// Whether `ractor` has a token, or somebody is about to give it one. It stands for whatever waits when it comes.
    has_token: bool,
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
    /// The monitor whose notice it is. Few letters are one, so the others stay small.
    asked: Option<Box<Asked>>,
}

impl<M> Letters<M> {
    pub(super) fn new() -> Self {
        let (waiting, stats) = (VecDeque::new(), MailboxStats::default());
        Self { waiting, has_token: false, in_line: 0, entrance: Entrance::Open, alarm: None, stats }
    }

    /// Takes a message that weighs so much, if there is room.
    pub(super) fn push(
        &mut self,
        rules: &Mailbox<M>,
        message: M,
        weight: usize,
    ) -> Result<Token, Rejected<M>> {
        if !self.is_open() {
            return Err(Rejected::Closed(message));
        }
        if weight > rules.bytes_max {
            return Err(Rejected::TooLarge(message));
        }
        if !self.has_room(rules, weight) {
            return Err(Rejected::Full(message));
        }
        self.stats.messages += 1;
        self.stats.bytes += weight;
        Ok(self.append(Letter { message, weight: Some(weight), asked: None }))
    }

    /// Takes a notice, which is not counted. It comes back if nobody would read it.
    pub(super) fn push_notice(&mut self, message: M, asked: Option<Asked>) -> Result<Token, M> {
        if self.entrance == Entrance::Closed {
            return Err(message);
        }
        Ok(self.append(Letter { message, weight: None, asked: asked.map(Box::new) }))
    }

    /// What a token stands for, which is used up. The next one is due at once if anything is left to do.
    pub(super) fn take(&mut self) -> (Taken<M>, Token) {
        let taken = self.take_next();
        self.has_token = false;
        let is_left = !self.waiting.is_empty() || self.entrance == Entrance::Notices;
        (taken, if is_left { self.token() } else { Token::NotDue })
    }

    fn take_next(&mut self) -> Taken<M> {
        if let Some(letter) = self.waiting.pop_front() {
            self.uncount(&letter);
            self.alarm = letter.asked.and_then(|asked| asked.is_alarm().then_some(asked.monitor));
            return Taken::Message(letter.message);
        }
        if self.entrance == Entrance::Notices {
            self.entrance = Entrance::Closed;
            return Taken::Drained;
        }
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

    /// Takes the first letter out, which no token stands for. `None`: another one has made it make room.
    pub(super) fn take_back(&mut self) -> Option<M> {
        let letter = self.waiting.pop_front()?;
        self.uncount(&letter);
        Some(letter.message)
    }

    /// No more messages, but notices. The last token comes when all that waits is handled. `None`: that is not new.
    pub(super) fn drain(&mut self) -> Option<Token> {
        self.is_open().then(|| {
            self.entrance = Entrance::Notices;
            self.token()
        })
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

    fn append(&mut self, letter: Letter<M>) -> Token {
        self.waiting.push_back(letter);
        self.token()
    }

    fn token(&mut self) -> Token {
        if std::mem::replace(&mut self.has_token, true) { Token::NotDue } else { Token::Due }
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
}
