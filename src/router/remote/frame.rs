//! What travels on an entity lane.

use std::{fmt, time::Duration};

use playhouse_cluster::codec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::carrier::{Carrier, CarrierError};
use crate::{
    protocol::{CallError, Content, EntityView, Key, Page, Published, Reply, TraceContext},
    shard::{DeadLetter, More, Position, StreamId},
};

/// Matches an answer with what it answers, on one lane. 0: nobody waits.
pub(super) type Ticket = u64;

/// What the node that dialed says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question<'a> {
    /// The kinds that it knows, in the order by which its commands will name them. Comes first.
    Kinds(#[serde(borrow)] Vec<&'a str>),
    /// A command.
    Command(Command<'a>),
    /// Shows an entity.
    View { ticket: Ticket, shard: u16, kind: &'a str, key: &'a str },
    /// Lists entities.
    List { ticket: Ticket, shard: u16, kind: &'a str, prefix: &'a str, after: Option<Key>, limit: u32 },
    /// Subscribes to what an entity publishes.
    Subscribe { ticket: Ticket, shard: u16, kind: &'a str, key: &'a str, after: Option<u64> },
    /// Ends a subscription.
    Unsubscribe { ticket: Ticket },
    /// Reads dead letters.
    DeadLetters { ticket: Ticket, shard: u16, limit: u32 },
}

/// A command for an entity.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Command<'a> {
    pub(super) ticket: Ticket,
    pub(super) shard: u16,
    /// For which leadership it is. Another one must not take it: what was sent before it may have been refused.
    pub(super) term: u64,
    /// Its place among the introduced ones; [`WireMore`] has the name of one that the sender does not know.
    pub(super) kind: u16,
    pub(super) key: &'a str,
    pub(super) content: Content,
    #[serde(borrow)]
    pub(super) body: Raw<'a>,
    pub(super) position: Option<WirePosition>,
    /// How long somebody still waits.
    pub(super) time_left: Option<Duration>,
    pub(super) more: Option<WireMore>,
}

/// Where a command stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WirePosition {
    stream: StreamId,
    number: u64,
    /// How far behind the number.
    behind: u64,
    generation: u64,
}

/// What only some commands have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireMore {
    request_id: Option<String>,
    idempotency_key: Option<String>,
    trace: Option<TraceContext>,
    pub(super) kind: Option<String>,
}

/// What the node that was dialed says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer<'a> {
    /// All shards that it leads, with their terms. Others that it named before it leads no more.
    Leads(Vec<(u16, u64)>),
    /// It leads this shard in this term from now on; `None`: no longer.
    Lead { shard: u16, term: Option<u64> },
    /// The reply to a command.
    Reply {
        ticket: Ticket,
        #[serde(borrow)]
        body: Raw<'a>,
        revision: u64,
    },
    /// There is no reply, for good.
    Failed { ticket: Ticket, error: CallError },
    /// The executor ended first; this much is known.
    Moved { ticket: Ticket, known: CallError },
    /// There was no room for this command, and there is none for those behind it in its stream, until it comes again.
    Busy { ticket: Ticket },
    /// An entity.
    View { ticket: Ticket, view: EntityView },
    /// Entities.
    Page { ticket: Ticket, page: Page },
    /// Dead letters.
    DeadLetters { ticket: Ticket, letters: Vec<DeadLetter> },
    /// A subscription stands, behind this revision.
    Subscribed { ticket: Ticket, after: u64 },
    /// For a subscriber.
    Item { ticket: Ticket, published: Published },
    /// A subscription ended here.
    Ended { ticket: Ticket },
}

impl WirePosition {
    pub(super) fn of(position: Position) -> Self {
        let Position { stream, number, acknowledged, generation } = position;
        Self { stream, number, behind: number.saturating_sub(acknowledged), generation }
    }

    pub(super) fn position(self) -> Position {
        let Self { stream, number, behind, generation } = self;
        Position { stream, number, acknowledged: number.saturating_sub(behind), generation }
    }
}

impl WireMore {
    pub(super) fn of(more: &More) -> Self {
        Self {
            request_id: more.request_id.as_ref().map(|id| id.0.to_string()),
            idempotency_key: more.idempotency_key.as_ref().map(ToString::to_string),
            trace: more.trace.clone(),
            kind: more.kind.as_ref().map(ToString::to_string),
        }
    }

    /// What it has beside the name of a kind, which is nothing unless a client sent it.
    pub(super) fn into_more(self, arrived: tokio::time::Instant) -> Option<More> {
        let is_of_client =
            self.request_id.is_some() || self.idempotency_key.is_some() || self.trace.is_some();
        is_of_client.then(|| More {
            arrived: Some(arrived),
            request_id: self.request_id.map(|id| crate::protocol::RequestId(id.into())),
            idempotency_key: self.idempotency_key.map(Into::into),
            trace: self.trace,
            kind: None,
        })
    }
}

impl<'a> Answer<'a> {
    /// What it answers; `None` for news.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Leads(_) | Self::Lead { .. } => None,
            Self::Reply { ticket, .. }
            | Self::Failed { ticket, .. }
            | Self::Moved { ticket, .. }
            | Self::Busy { ticket }
            | Self::View { ticket, .. }
            | Self::Page { ticket, .. }
            | Self::DeadLetters { ticket, .. }
            | Self::Subscribed { ticket, .. }
            | Self::Item { ticket, .. }
            | Self::Ended { ticket } => Some(*ticket),
        }
    }

    pub(super) fn reply(ticket: Ticket, reply: &'a Reply) -> Self {
        Self::Reply { ticket, body: Raw(&reply.body), revision: reply.revision }
    }
}

/// Puts one frame on the lane.
pub(super) fn push<T: Serialize>(carrier: &dyn Carrier, frame: &T) -> Result<(), CarrierError> {
    carrier.push(&mut |buffer| {
        let encoded = codec::encode_into(frame, std::mem::take(buffer));
        *buffer = encoded.expect("frames have known lengths");
    })
}

/// Bytes that lie in the frame itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> de::Visitor<'de> for Borrowed {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes that lie in the frame")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Raw<'de>, E> {
                Ok(Raw(bytes))
            }
        }
        deserializer.deserialize_bytes(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_borrows_from_its_frame_and_costs_little() {
        let command = Command {
            ticket: 7,
            shard: 3,
            term: 2,
            kind: 1,
            key: "account-00000042",
            content: Content::Binary,
            body: Raw(&[1, 2, 3]),
            position: Some(WirePosition::of(Position {
                stream: StreamId::Shard(crate::protocol::ShardId(9)),
                number: 8,
                acknowledged: 7,
                generation: 1,
            })),
            time_left: None,
            more: None,
        };
        let frame = codec::encode(&Question::Command(command)).unwrap();
        assert!(frame.len() <= 36, "{} bytes", frame.len());
        let Question::Command(decoded) = codec::decode(&frame).unwrap() else { panic!("another frame") };
        assert_eq!((decoded.key, decoded.body), ("account-00000042", Raw(&[1, 2, 3])));
    }

    #[test]
    fn damaged_frames_are_errors() {
        assert!(codec::decode::<Question>(&[200]).is_err());
        assert!(codec::decode::<Question>(&[]).is_err());
        assert!(codec::decode::<Answer>(&[2, 1, 255, 255]).is_err());
    }
}
