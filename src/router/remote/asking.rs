//! The end that asks: what waits for answers of one peer, on one lane.

use std::sync::Arc;

use parking_lot::Mutex;
use playhouse_cluster::{
    codec::{self, DecodeError},
    collections::Map,
    consensus::{RaftId, Term},
    environment::Environment,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    carrier::{Carrier, CarrierError},
    frame::{Answer, Command, Question, Raw, Ticket, WireMore, WirePosition, push},
};
use crate::{
    entity::KindRegistry,
    protocol::{CallError, EntityView, Page, Reply, ShardId},
    shard::{self, DeadLetter, Envelope, MailboxError, Message, ReplyTo, Subscriber},
};

/// How many questions may wait for answers of one peer on one lane. Past this the sender is refused.
const WAITING_MAX: usize = 262_144;

/// A peer that leads shards, as reached over one lane. A cheap handle.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    peer: RaftId,
    carrier: Arc<dyn Carrier>,
    environment: Environment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Ticket,
    waiting: Map<Ticket, Waiting>,
    is_closed: bool,
}

/// Who waits for an answer.
enum Waiting {
    Reply(ReplyTo),
    View(oneshot::Sender<Result<EntityView, CallError>>),
    Page(oneshot::Sender<Result<Page, CallError>>),
    DeadLetters(oneshot::Sender<Result<Vec<DeadLetter>, CallError>>),
    Subscription { subscriber: Subscriber, reply: oneshot::Sender<Result<u64, CallError>> },
    Items(Subscriber),
}

/// What a peer says about leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It leads these shards and no others.
    Leads(Vec<(ShardId, Term)>),
    /// It leads this shard from now on, or no longer.
    Lead(ShardId, Option<Term>),
}

impl Remote {
    /// Begins to ask `peer` over `carrier`, which must be new.
    ///
    /// # Errors
    ///
    /// [`CarrierError`], when it broke already.
    pub fn open(
        peer: RaftId,
        carrier: Arc<dyn Carrier>,
        kinds: &KindRegistry,
        environment: Environment,
    ) -> Result<Self, CarrierError> {
        let names: Vec<String> = kinds.descriptions().map(|kind| kind.kind.to_string()).collect();
        push(&*carrier, &Question::Kinds(names.iter().map(String::as_str).collect()))?;
        let state = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { peer, carrier, environment, state }) })
    }

    /// Who answers.
    #[must_use]
    pub fn peer(&self) -> RaftId {
        self.shared.peer
    }

    /// Whether both are the same lane.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Sends a message to the executor of `shard` there, in `term`.
    ///
    /// # Errors
    ///
    /// [`MailboxError`], with the message.
    #[allow(clippy::result_large_err)] // As of a mailbox.
    pub fn push(&self, shard: ShardId, term: Term, message: Message) -> Result<(), MailboxError> {
        if matches!(message, Message::Command(Envelope { reply: ReplyTo::Nobody, .. })) {
            return self.push_unasked((shard, term), message);
        }
        let mut state = self.shared.state.lock();
        if state.is_closed {
            return Err(MailboxError::Closed(message));
        }
        if state.waiting.len() >= WAITING_MAX {
            return Err(MailboxError::Full(message));
        }
        let ticket = state.last + 1;
        match self.write(ticket, (shard, term), &message) {
            Ok(()) => {}
            Err(CarrierError::Full) => return Err(MailboxError::Full(message)),
            Err(CarrierError::Closed) => return Err(MailboxError::Closed(message)),
            Err(CarrierError::TooLarge) => {
                self.refuse_later(message);
                return Ok(());
            }
        }
        state.last = ticket;
        if let Some(waiting) = Waiting::of(message) {
            state.waiting.insert(ticket, waiting);
        }
        Ok(())
    }

    /// A message without an answer: nothing is noted, and the carrier keeps the order.
    #[allow(clippy::result_large_err)]
    fn push_unasked(&self, to: (ShardId, Term), message: Message) -> Result<(), MailboxError> {
        match self.write(0, to, &message) {
            Ok(()) => Ok(()),
            Err(CarrierError::Full) => Err(MailboxError::Full(message)),
            Err(CarrierError::Closed) => Err(MailboxError::Closed(message)),
            Err(CarrierError::TooLarge) => {
                self.refuse_later(message);
                Ok(())
            }
        }
    }

    fn write(&self, ticket: Ticket, to: (ShardId, Term), message: &Message) -> Result<(), CarrierError> {
        let shard = to.0.0;
        let question = match message {
            Message::Command(envelope) => Question::Command(self.command(ticket, to, envelope)),
            Message::View { kind, key, .. } => {
                Question::View { ticket, shard, kind: kind.as_str(), key: key.as_str() }
            }
            Message::List { kind, prefix, after, limit, .. } => {
                let limit = u32::try_from(*limit).unwrap_or(u32::MAX);
                let kind = kind.as_str();
                Question::List { ticket, shard, kind, prefix, after: after.clone(), limit }
            }
            Message::Subscribe { kind, key, after, .. } => {
                let (kind, key) = (kind.as_str(), key.as_str());
                Question::Subscribe { ticket, shard, kind, key, after: *after }
            }
            Message::DeadLetters { limit, .. } => {
                Question::DeadLetters { ticket, shard, limit: u32::try_from(*limit).unwrap_or(u32::MAX) }
            }
            // They belong to an executor on this node, which is gone.
            Message::Returned { .. } | Message::CastDone { .. } | Message::Lost(_) => {
                return Err(CarrierError::Closed);
            }
        };
        push(&*self.shared.carrier, &question)
    }

    fn command<'a>(&self, ticket: Ticket, to: (ShardId, Term), envelope: &'a Envelope) -> Command<'a> {
        let now = || self.shared.environment.now();
        let position = envelope.position.as_deref().map(|position| WirePosition::of(*position));
        Command {
            ticket: if matches!(envelope.reply, ReplyTo::Nobody) { 0 } else { ticket },
            shard: to.0.0,
            term: to.1.0,
            kind: envelope.kind.0,
            key: envelope.key.as_str(),
            content: envelope.body.content(),
            body: Raw(envelope.body.bytes()),
            position,
            time_left: envelope.deadline.map(|deadline| deadline.saturating_duration_since(now())),
            more: envelope.more.as_deref().map(WireMore::of),
        }
    }

    /// The sender may hold locks that the refusal needs.
    fn refuse_later(&self, message: Message) {
        let bytes = message.bytes() as u64;
        let error =
            CallError::TooLarge { what: "the message to the leader".to_owned(), bytes, bytes_max: bytes - 1 };
        self.shared.environment.spawn(async move {
            match message {
                Message::Command(envelope) => envelope.reply.send(Err(error)),
                other => other.refuse(error),
            }
        });
    }

    /// Hears one frame.
    ///
    /// # Errors
    ///
    /// When it is none: the lane must be closed.
    pub fn hear(&self, frame: &[u8]) -> Result<Option<News>, DecodeError> {
        match codec::decode(frame)? {
            Answer::Leads(leads) => {
                let leads = leads.into_iter().map(|(shard, term)| (ShardId(shard), Term(term)));
                return Ok(Some(News::Leads(leads.collect())));
            }
            Answer::Lead { shard, term } => return Ok(Some(News::Lead(ShardId(shard), term.map(Term)))),
            Answer::Reply { ticket, body, revision } => {
                let body = bytes::Bytes::copy_from_slice(body.0);
                self.answered(ticket, shard::Answer::Outcome(Ok(Reply { body, revision })));
            }
            Answer::Failed { ticket, error } => self.failed(ticket, error),
            Answer::Moved { ticket, known } => self.moved(ticket, known),
            Answer::Busy { ticket } => self.answered(ticket, shard::Answer::Busy),
            Answer::View { ticket, view } => {
                if let Some(Waiting::View(reply)) = self.take(ticket) {
                    drop(reply.send(Ok(view)));
                }
            }
            Answer::Page { ticket, page } => {
                if let Some(Waiting::Page(reply)) = self.take(ticket) {
                    drop(reply.send(Ok(page)));
                }
            }
            Answer::DeadLetters { ticket, letters } => {
                if let Some(Waiting::DeadLetters(reply)) = self.take(ticket) {
                    drop(reply.send(Ok(letters)));
                }
            }
            Answer::Subscribed { ticket, after } => self.subscribed(ticket, after),
            Answer::Item { ticket, published } => self.item(ticket, published),
            Answer::Ended { ticket } => drop(self.take(ticket)),
        }
        Ok(None)
    }

    fn take(&self, ticket: Ticket) -> Option<Waiting> {
        self.shared.state.lock().waiting.remove(&ticket)
    }

    fn answered(&self, ticket: Ticket, answer: shard::Answer) {
        if let Some(Waiting::Reply(reply)) = self.take(ticket) {
            match answer {
                shard::Answer::Outcome(outcome) => reply.send(outcome),
                shard::Answer::Moved(known) => reply.moved(known),
                shard::Answer::Busy => reply.busy(),
            }
        }
    }

    fn failed(&self, ticket: Ticket, error: CallError) {
        match self.take(ticket) {
            Some(Waiting::Reply(reply)) => reply.send(Err(error)),
            Some(other) => other.refuse(error),
            None => {}
        }
    }

    fn moved(&self, ticket: Ticket, known: CallError) {
        if let Some(waiting) = self.take(ticket) {
            waiting.refuse(known);
        }
    }

    fn subscribed(&self, ticket: Ticket, after: u64) {
        let Some(Waiting::Subscription { subscriber, reply }) = self.take(ticket) else { return };
        self.shared.state.lock().waiting.insert(ticket, Waiting::Items(subscriber));
        if reply.send(Ok(after)).is_err() {
            self.unsubscribe(ticket);
        }
    }

    /// A subscriber that is gone, or too slow, is dropped: the slow one goes on from kept history.
    fn item(&self, ticket: Ticket, published: crate::protocol::Published) {
        let sent = match self.shared.state.lock().waiting.get(&ticket) {
            Some(Waiting::Items(subscriber)) => subscriber.try_send(published),
            _ => return,
        };
        if let Err(mpsc::error::TrySendError::Full(_) | mpsc::error::TrySendError::Closed(_)) = sent {
            self.unsubscribe(ticket);
        }
    }

    fn unsubscribe(&self, ticket: Ticket) {
        drop(self.take(ticket));
        if let Err(error) = push(&*self.shared.carrier, &Question::Unsubscribe { ticket }) {
            // Its next item finds nobody, and we say it again.
            tracing::debug!(peer = self.shared.peer.0, %error, "could not end a subscription yet");
        }
    }

    /// Ends subscriptions that nobody reads any more.
    pub fn sweep(&self) {
        let is_over = |waiting: &Waiting| matches!(waiting, Waiting::Items(items) if items.is_closed());
        let state = self.shared.state.lock();
        let over = state.waiting.iter().filter(|(_, waiting)| is_over(waiting));
        let over: Vec<Ticket> = over.map(|(ticket, _)| *ticket).collect();
        drop(state);
        over.into_iter().for_each(|ticket| self.unsubscribe(ticket));
    }

    /// The lane broke: whoever waits hears that the outcome is unknown.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.shared.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(|waiting| waiting.refuse(CallError::OutcomeUnknown));
    }
}

impl Waiting {
    /// Who waits for what becomes of `message`.
    fn of(message: Message) -> Option<Self> {
        match message {
            Message::Command(Envelope { reply: ReplyTo::Nobody, .. }) => None,
            Message::Command(envelope) => Some(Self::Reply(envelope.reply)),
            Message::View { reply, .. } => Some(Self::View(reply)),
            Message::List { reply, .. } => Some(Self::Page(reply)),
            Message::DeadLetters { reply, .. } => Some(Self::DeadLetters(reply)),
            Message::Subscribe { subscriber, reply, .. } => Some(Self::Subscription { subscriber, reply }),
            Message::Returned { .. } | Message::CastDone { .. } | Message::Lost(_) => None,
        }
    }

    /// Tells whoever waits that the executor ended before there was an outcome.
    fn refuse(self, known: CallError) {
        match self {
            Self::Reply(reply) => reply.moved(known),
            Self::View(reply) => drop(reply.send(Err(known))),
            Self::Page(reply) => drop(reply.send(Err(known))),
            Self::DeadLetters(reply) => drop(reply.send(Err(known))),
            Self::Subscription { reply, .. } => drop(reply.send(Err(known))),
            Self::Items(_) => {}
        }
    }
}
