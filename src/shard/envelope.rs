//! What a shard receives.

use std::any::Any;

use bytes::Bytes;
use compact_str::CompactString;
use playhouse_cluster::consensus::Term;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    entity::KindIndex,
    protocol::{
        Body, CallError, EntityId, EntityView, Key, KindName, Page, Payload, Published, Reply, RequestId,
        ShardId, TraceContext,
    },
};

/// Who numbers the messages of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StreamId {
    /// The router of a node since one of its starts. A newer incarnation fences the older one.
    Router {
        /// The node's Raft id.
        node: u64,
        /// Since which start.
        incarnation: u64,
    },
    /// The outbox of a shard, whoever leads it.
    Shard(ShardId),
}

/// Where in its stream a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which stream.
    pub stream: StreamId,
    /// Its number, counting up from 1. Numbers may be left out, never used twice.
    pub number: u64,
    /// Replies up to this number have arrived and may be forgotten.
    pub acknowledged: u64,
    /// Counts how often the sender began to send again. Where one message of a generation found no room, those behind it
    /// must find none either.
    pub generation: u64,
}

impl Position {
    /// Whether it is a cast from an outbox.
    pub(super) fn is_of_outbox(&self) -> bool {
        matches!(self.stream, StreamId::Shard(_))
    }
}

/// Who waits for the reply.
pub enum ReplyTo {
    /// Nobody.
    Nobody,
    /// A caller on this node.
    Caller(oneshot::Sender<Result<Reply, CallError>>),
    /// The stream that the message came by.
    Stream(Box<dyn FnOnce(Answer) + Send>),
}

/// What a stream hears of a message.
#[derive(Debug)]
pub enum Answer {
    /// This is the outcome.
    Outcome(Result<Reply, CallError>),
    /// The executor ended first; this much is known. The same message may be sent again, with the same number.
    Moved(CallError),
    /// There was no room for it where it came to: send it again, with the same number, and all behind it.
    Busy,
}

impl ReplyTo {
    /// Gives the outcome to whoever waits. Nobody may be there any more.
    pub fn send(self, outcome: Result<Reply, CallError>) {
        match self {
            Self::Nobody => {}
            Self::Caller(caller) => drop(caller.send(outcome)),
            Self::Stream(answer) => answer(Answer::Outcome(outcome)),
        }
    }

    /// Tells whoever waits that there was no room for it.
    pub fn busy(self) {
        match self {
            Self::Stream(answer) => answer(Answer::Busy),
            other => other
                .send(Err(CallError::Overloaded { what: "the mailbox of this shard is full".to_owned() })),
        }
    }

    /// Tells whoever waits that the executor ended before there was an outcome.
    pub fn moved(self, known: CallError) {
        match self {
            Self::Stream(answer) => answer(Answer::Moved(known)),
            other => other.send(Err(known)),
        }
    }
}

/// A command for an entity.
pub struct Envelope {
    /// The kind, by its position in the registry of this node; [`KindIndex::UNKNOWN`]: see [`More::kind`].
    pub kind: KindIndex,
    /// Which entity.
    pub key: Key,
    /// The command.
    pub body: Payload,
    /// Who waits.
    pub reply: ReplyTo,
    /// Where it stands in its stream; `None` for kinds that the sender's node knows to be `Volatile`.
    pub position: Option<Box<Position>>,
    /// When nobody waits any more. A message that is not executed by then is not executed.
    pub deadline: Option<Instant>,
    /// What only some messages have.
    pub more: Option<Box<More>>,
}

/// What only some messages have.
#[derive(Clone, Debug, Default)]
pub struct More {
    /// When it arrived at this node.
    pub arrived: Option<Instant>,
    /// Its name in logs and traces.
    pub request_id: Option<RequestId>,
    /// Given by the client.
    pub idempotency_key: Option<CompactString>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// The name of a kind that this node does not have: another release may, and it may lead the shard.
    pub kind: Option<KindName>,
}

impl More {
    /// What a command must carry whose kind is `kind` here.
    #[must_use]
    pub fn naming(kind: KindIndex, name: &KindName) -> Option<Box<Self>> {
        (!kind.is_known()).then(|| Box::new(Self { kind: Some(name.clone()), ..Self::default() }))
    }
}

/// Where items for a subscriber go.
pub type Subscriber = mpsc::Sender<Published>;

/// Anything that a shard receives.
pub enum Message {
    /// A command.
    Command(Envelope),
    /// The result of spawned work, as the kind's own command type.
    Returned {
        /// The kind.
        kind: KindIndex,
        /// Which entity.
        key: Key,
        /// The command.
        command: Box<dyn Any + Send>,
    },
    /// The outcome of casts from our outbox.
    CastDone {
        /// Their number in the outbox.
        number: u64,
        /// What became of it.
        outcome: CastOutcome,
    },
    /// Shows an entity.
    View {
        /// The kind.
        kind: KindName,
        /// Which entity.
        key: Key,
        /// Who waits.
        reply: oneshot::Sender<Result<EntityView, CallError>>,
    },
    /// Lists entities.
    List {
        /// The kind.
        kind: KindName,
        /// Keys that start so.
        prefix: String,
        /// Keys behind this one.
        after: Option<Key>,
        /// At most this many.
        limit: usize,
        /// Who waits.
        reply: oneshot::Sender<Result<Page, CallError>>,
    },
    /// Subscribes to what an entity publishes.
    Subscribe {
        /// The kind.
        kind: KindName,
        /// Which entity.
        key: Key,
        /// Items behind this revision; `None`: from now on.
        after: Option<u64>,
        /// Where they go.
        subscriber: Subscriber,
        /// Hears that the subscription stands, and behind which revision.
        reply: oneshot::Sender<Result<u64, CallError>>,
    },
    /// Reads dead letters.
    DeadLetters {
        /// At most this many, the newest.
        limit: usize,
        /// Who waits.
        reply: oneshot::Sender<Result<Vec<super::DeadLetter>, CallError>>,
    },
    /// Commands that found no room, and that nobody waits for.
    Lost(Box<super::Lost>),
}

impl Message {
    /// What the message counts in a mailbox, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Command(envelope) => size_of::<Self>() + envelope.body.heap_bytes(),
            _ => size_of::<Self>(),
        }
    }

    /// The kind of the entity that it is for, if it is a command that a client waits for and that can be executed.
    #[must_use]
    pub fn kind_for_client(&self) -> Option<KindIndex> {
        match self {
            Self::Command(Envelope { kind, more: Some(_), .. }) if kind.is_known() => Some(*kind),
            _ => None,
        }
    }

    /// Whether the shard's own work depends on it: such a message is never refused.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Returned { .. } | Self::CastDone { .. } | Self::Lost(_))
    }

    /// Tells whoever waits that it was not executed.
    pub fn refuse(self, error: CallError) {
        match self {
            Self::Command(envelope) => envelope.reply.moved(error),
            Self::View { reply, .. } => drop(reply.send(Err(error))),
            Self::List { reply, .. } => drop(reply.send(Err(error))),
            Self::Subscribe { reply, .. } => drop(reply.send(Err(error))),
            Self::DeadLetters { reply, .. } => drop(reply.send(Err(error))),
            Self::Returned { .. } | Self::CastDone { .. } | Self::Lost(_) => {}
        }
    }
}

/// A cast from the outbox, committed and not acknowledged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The shard whose entity sent it.
    pub source: ShardId,
    /// In which term that shard's executor runs.
    pub term: Term,
    /// Its number in the outbox.
    pub number: u64,
    /// To whom.
    pub target: EntityId,
    /// The command.
    pub body: Body,
}

/// What became of a cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CastOutcome {
    /// Its target has dealt with it: it was executed, or refused by the entity, or is a dead letter there.
    Executed,
    /// It cannot be delivered, now or later, and only this says so: it could not be sent to a `Volatile` target, it failed at one whose
    /// kind the sender's node does not know, or at a release whose shards keep no letters of what was cast to them.
    Undeliverable {
        /// Why.
        reason: String,
    },
}

/// A reply as it is kept for a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptReply {
    pub(super) body: Bytes,
    pub(super) revision: u64,
}

impl From<KeptReply> for Reply {
    fn from(kept: KeptReply) -> Self {
        Self { body: kept.body, revision: kept.revision }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mailboxes move millions of them per second; what is rare lies behind a pointer.
    #[test]
    fn no_message_is_larger_than_a_command() {
        assert_eq!(size_of::<Message>(), size_of::<Envelope>());
        assert!(size_of::<Envelope>() <= 144, "{}", size_of::<Envelope>());
    }
}
