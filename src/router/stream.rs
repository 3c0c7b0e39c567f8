//! Numbered messages from one sender to one shard.
//!
//! Kept until they are answered; sent again in order, with the same numbers, when the shard has a new executor. So
//! order and one effect per message hold across a move.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use playhouse_cluster::{consensus::Term, environment::Environment};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::remote::Remote;
use crate::{
    entity::KindIndex,
    protocol::{Body, CallError, Key, Reply, ShardId},
    shard::{Answer, Envelope, Mailbox, MailboxError, Message, More, Position, ReplyTo, StreamId},
};

/// Where a shard is executed.
#[derive(Clone)]
pub enum Destination {
    /// On this node.
    Here {
        /// In which term.
        term: Term,
        /// How to reach the executor.
        mailbox: Mailbox,
    },
    /// On another node.
    There {
        /// In which term.
        term: Term,
        /// How to reach the node.
        remote: Remote,
    },
}

impl Destination {
    /// Gives a message to the executor of `shard`.
    ///
    /// # Errors
    ///
    /// [`MailboxError`], with the message.
    #[allow(clippy::result_large_err)] // As of a mailbox.
    pub fn push(&self, shard: ShardId, message: Message) -> Result<(), MailboxError> {
        match self {
            Self::Here { mailbox, .. } => mailbox.push(message),
            Self::There { term, remote } => remote.push(shard, *term, message),
        }
    }

    /// Whether both are the same executor, reached in the same way.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here { term: one, .. }, Self::Here { term: other, .. }) => one == other,
            (Self::There { term: one, remote }, Self::There { term: other, remote: as_remote }) => {
                one == other && remote.is(as_remote)
            }
            _ => false,
        }
    }
}

/// Who hears the outcome of a message.
pub(super) enum Waiter {
    Caller(oneshot::Sender<Result<Reply, CallError>>),
    Outbox(Box<dyn FnOnce(Result<Reply, CallError>) + Send>),
}

impl Waiter {
    fn tell(self, outcome: Result<Reply, CallError>) {
        match self {
            Self::Caller(caller) => drop(caller.send(outcome)),
            Self::Outbox(hear) => hear(outcome),
        }
    }
}

/// A message before it has a number.
pub(super) struct Outbound {
    pub(super) kind: KindIndex,
    pub(super) key: Key,
    pub(super) body: Body,
    pub(super) deadline: Option<Instant>,
    pub(super) more: Option<Box<More>>,
    pub(super) waiter: Waiter,
}

struct Entry {
    number: u64,
    kind: KindIndex,
    key: Key,
    body: Body,
    deadline: Option<Instant>,
    more: Option<Box<More>>,
    /// `None` once it was answered.
    waiter: Option<Waiter>,
    /// What is known since the executor that had it ended.
    known: CallError,
    /// How many executors have got it.
    attempts: u32,
    /// In which generation it was sent last.
    generation: u64,
}

impl Entry {
    /// Whether it is not worth another try: nobody waits any more, or it met too many ends of executors. Casts of an
    /// outbox are tried for ever.
    fn is_over(&self, now: Instant) -> bool {
        let is_request = matches!(self.waiter, Some(Waiter::Caller(_)));
        let is_poison =
            is_request && self.known == CallError::OutcomeUnknown && self.attempts >= ATTEMPTS_MAX;
        is_poison || self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// How many messages of one stream may be unanswered. Past this the sender is refused.
pub(super) const UNANSWERED_MAX: usize = 16_384;
/// How many bytes the bodies of unanswered messages of one stream may have. Past this the sender is refused.
const UNANSWERED_BYTES_MAX: usize = 64 << 20;
/// How often a request is given to an executor at most: one that takes its leader down must not take down the next
/// ones too.
const ATTEMPTS_MAX: u32 = 3;

/// A sender's messages to one shard. Shared by the sender and the answers on their way.
pub(super) struct Stream {
    id: StreamId,
    to: ShardId,
    environment: Environment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_number: u64,
    entries: VecDeque<Entry>,
    /// What the bodies of the entries have, in bytes.
    bytes: usize,
    /// Whether a task tries again because a mailbox was full.
    is_flushing: bool,
    /// How many entries, from the front, the current executor has got.
    sent: usize,
    destination: Option<Destination>,
    /// Counts how often sending began again, so that late answers to what was sent before are told apart.
    generation: u64,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything was sent, or nobody is there to send to.
    All,
    /// The mailbox is full: try again.
    Full,
}

impl Stream {
    /// A stream that sent nothing yet. Its generations count from `generation`: above those of every stream of the same
    /// id that this node had before, or it is taken for one that was held back.
    pub(super) fn new(id: StreamId, to: ShardId, generation: u64, environment: Environment) -> Arc<Self> {
        let state = Mutex::new(State { generation, ..State::default() });
        Arc::new(Self { id, to, environment, state })
    }

    /// Sends a message of a client. A full mailbox refuses it.
    pub(super) fn send(self: &Arc<Self>, outbound: Outbound) -> Result<u64, CallError> {
        let mut lock = self.state.lock();
        let state = &mut *lock;
        if state.entries.len() >= UNANSWERED_MAX {
            let what = format!("{UNANSWERED_MAX} requests to this shard are unanswered");
            return Err(CallError::Overloaded { what });
        }
        if state.bytes + outbound.body.len() > UNANSWERED_BYTES_MAX {
            let what = format!("unanswered requests to this shard have {} bytes", state.bytes);
            return Err(CallError::Overloaded { what });
        }
        let number = state.last_number + 1;
        self.enqueue(state, number, outbound);
        let (flushed, stuck) = self.flush_locked(state);
        if flushed == Flushed::Full {
            // It is the last one, so its number was never seen.
            state.take_back();
        }
        drop(lock);
        match Self::settle(flushed, stuck) {
            Flushed::All => Ok(number),
            Flushed::Full => {
                Err(CallError::Overloaded { what: "the mailbox of this shard is full".to_owned() })
            }
        }
    }

    /// Sends a message that has a number already. It waits here while the mailbox is full.
    pub(super) fn send_numbered(self: &Arc<Self>, number: u64, outbound: Outbound) {
        let mut state = self.state.lock();
        if number > state.last_number {
            self.enqueue(&mut state, number, outbound);
        }
        let (flushed, stuck) = self.flush_locked(&mut state);
        drop(state);
        if Self::settle(flushed, stuck) == Flushed::Full {
            self.flush_later();
        }
    }

    fn enqueue(&self, state: &mut State, number: u64, outbound: Outbound) {
        let Outbound { kind, key, body, deadline, more, waiter } = outbound;
        state.last_number = number;
        state.bytes += body.len();
        let known = CallError::DeadlineExceeded;
        state.entries.push_back(Entry {
            number,
            kind,
            key,
            body,
            deadline,
            more,
            waiter: Some(waiter),
            known,
            attempts: 0,
            generation: 0,
        });
    }

    /// Tries again until everything has left, while there is no room.
    fn flush_later(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state.lock().is_flushing, true) {
            return;
        }
        let stream = Arc::clone(self);
        self.environment.spawn(async move {
            loop {
                tokio::time::sleep(FULL_AGAIN).await;
                if stream.flush() == Flushed::All {
                    return;
                }
            }
        });
    }

    /// The claim to try again ends when everything was sent.
    fn flush(self: &Arc<Self>) -> Flushed {
        let (flushed, stuck) = {
            let mut state = self.state.lock();
            let (flushed, stuck) = self.flush_locked(&mut state);
            state.is_flushing = flushed == Flushed::Full;
            (flushed, stuck)
        };
        Self::settle(flushed, stuck)
    }

    /// The shard is executed elsewhere from now on, or nowhere. Everything unanswered is sent again, in order.
    pub(super) fn redirect(self: &Arc<Self>, destination: Option<Destination>) {
        let now = self.environment.now();
        let mut expired = Vec::new();
        let (flushed, stuck) = {
            let mut state = self.state.lock();
            state.destination = destination;
            state.generation += 1;
            state.sent = 0;
            for entry in &mut state.entries {
                if entry.is_over(now) {
                    expired.extend(entry.waiter.take().map(|waiter| (waiter, entry.known.clone())));
                }
            }
            state.drop_answered();
            self.flush_locked(&mut state)
        };
        expired.into_iter().for_each(|(waiter, known)| waiter.tell(Err(known)));
        if Self::settle(flushed, stuck) == Flushed::Full {
            self.flush_later();
        }
    }

    /// Tells callers whose request no executor has got that there is none.
    pub(super) fn refuse_unsent(&self) {
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            if state.destination.is_some() {
                return;
            }
            let unsent = state.entries.iter_mut().filter(|entry| entry.attempts == 0);
            for entry in unsent.filter(|entry| matches!(entry.waiter, Some(Waiter::Caller(_)))) {
                refused.extend(entry.waiter.take());
            }
            state.drop_answered();
        }
        refused.into_iter().for_each(|waiter| waiter.tell(Err(super::no_leader(self.to))));
    }

    /// Sends what the current executor has not got. A message that it did not take is returned, to be settled when
    /// the lock is free: its way back needs the lock.
    fn flush_locked(self: &Arc<Self>, state: &mut State) -> (Flushed, Option<Message>) {
        let Some(destination) = state.destination.clone() else { return (Flushed::All, None) };
        let acknowledged = state.entries.front().map_or(state.last_number, |first| first.number - 1);
        while let Some(entry) = state.entries.get(state.sent) {
            if entry.waiter.is_none() {
                state.sent += 1;
                continue;
            }
            let generation = state.generation;
            let position = Position { stream: self.id, number: entry.number, acknowledged, generation };
            let envelope = self.envelope(entry, position, generation);
            match destination.push(self.to, Message::Command(envelope)) {
                Ok(()) => {
                    let entry = &mut state.entries[state.sent];
                    entry.attempts += 1;
                    entry.generation = generation;
                    state.sent += 1;
                }
                Err(MailboxError::Full(message)) => return (Flushed::Full, Some(message)),
                Err(MailboxError::Closed(message)) => {
                    state.destination = None;
                    return (Flushed::All, Some(message));
                }
            }
        }
        (Flushed::All, None)
    }

    /// Drops a message that did not leave, without its silence being taken for an unknown outcome.
    fn settle(flushed: Flushed, stuck: Option<Message>) -> Flushed {
        if let Some(message) = stuck {
            message.refuse(CallError::NotCommitted);
        }
        flushed
    }

    fn envelope(self: &Arc<Self>, entry: &Entry, position: Position, generation: u64) -> Envelope {
        let mut pending =
            PendingAnswer { stream: Arc::clone(self), number: entry.number, generation, is_done: false };
        Envelope {
            kind: entry.kind,
            key: entry.key.clone(),
            body: entry.body.clone().into(),
            reply: ReplyTo::Stream(Box::new(move |answer| pending.answer(answer))),
            position: Some(Box::new(position)),
            deadline: entry.deadline,
            more: entry.more.clone(),
        }
    }

    fn answered(self: &Arc<Self>, number: u64, generation: u64, answer: Answer) {
        if matches!(answer, Answer::Busy) {
            return self.no_room(number, generation);
        }
        let waiter = {
            let mut state = self.state.lock();
            let Some(at) = state.find(number) else { return };
            match answer {
                Answer::Busy => return,
                Answer::Moved(known) => {
                    // A later word that it never happened does not take back an earlier unknown outcome.
                    if state.entries[at].known != CallError::OutcomeUnknown
                        && known == CallError::OutcomeUnknown
                    {
                        state.entries[at].known = known;
                    }
                    return;
                }
                Answer::Outcome(Err(CallError::NotCommitted))
                    if generation != state.entries[at].generation =>
                {
                    return;
                }
                Answer::Outcome(outcome) => {
                    let waiter = state.entries[at].waiter.take();
                    state.drop_answered();
                    waiter.map(|waiter| (waiter, outcome))
                }
            }
        };
        if let Some((waiter, outcome)) = waiter {
            waiter.tell(outcome);
        }
    }

    /// The executor had no room for this message, so it takes none of those behind it: all of them are sent again, soon.
    fn no_room(self: &Arc<Self>, number: u64, generation: u64) {
        {
            let mut state = self.state.lock();
            let Some(at) = state.find(number) else { return };
            if generation != state.generation || at >= state.sent {
                return;
            }
            let sent = std::mem::replace(&mut state.sent, at);
            state.generation += 1;
            for entry in state.entries.range_mut(at..sent) {
                entry.attempts = entry.attempts.saturating_sub(1);
            }
        }
        self.flush_later();
    }

    /// The caller waits no longer. Returns what is known of the message.
    pub(super) fn give_up(&self, number: u64) -> CallError {
        let mut state = self.state.lock();
        let Some(at) = state.find(number) else { return CallError::DeadlineExceeded };
        let was_sent = at < state.sent || state.destination.is_some();
        let known = match &state.entries[at].known {
            CallError::DeadlineExceeded if !was_sent => super::no_leader(self.to),
            known => known.clone(),
        };
        state.entries[at].waiter = None;
        state.drop_answered();
        known
    }

    /// How many messages are unanswered.
    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

impl State {
    fn find(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }

    /// Takes the last entry back, which never left.
    fn take_back(&mut self) {
        if let Some(last) = self.entries.pop_back() {
            self.bytes -= last.body.len();
            self.last_number -= 1;
        }
    }

    fn drop_answered(&mut self) {
        while self.entries.front().is_some_and(|first| first.waiter.is_none()) {
            if let Some(first) = self.entries.pop_front() {
                self.bytes -= first.body.len();
            }
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

/// The way back of one message. Dropping it unanswered means that its executor is gone.
struct PendingAnswer {
    stream: Arc<Stream>,
    number: u64,
    generation: u64,
    is_done: bool,
}

impl PendingAnswer {
    fn answer(&mut self, answer: Answer) {
        self.is_done = true;
        self.stream.clone().answered(self.number, self.generation, answer);
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        if !self.is_done {
            self.answer(Answer::Moved(CallError::OutcomeUnknown));
        }
    }
}

/// How long a full mailbox is left alone before the next try.
pub(super) const FULL_AGAIN: Duration = Duration::from_millis(5);
