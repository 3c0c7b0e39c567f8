//! Order and one effect per request, in bounded memory.
//!
//! As Kafka's idempotent producer: whoever sends to a shard numbers its messages, and the shard keeps the highest
//! number with an effect, and the replies that were not acknowledged yet, in the same proposal as the effects.

use std::collections::{BTreeMap, VecDeque};

use playhouse_cluster::store::StoreError;
use serde::{Deserialize, Serialize};

use super::{
    envelope::{KeptReply, Position, StreamId},
    keys::{self, Family},
    pending::{Pending, ProposalNumber},
    records::{decode, encode},
};

/// What a stream has brought so far.
#[derive(Debug, Default)]
struct Stream {
    stored: Progress,
    /// The proposal that `stored.executed` is part of.
    proposal: ProposalNumber,
    /// Numbers whose reply is kept.
    kept: VecDeque<u64>,
    is_dirty: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The highest number that had an effect, or is a dead letter here.
    pub(super) executed: u64,
    /// Replies up to here were received.
    pub(super) acknowledged: u64,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Execute it.
    New,
    /// It was executed; this was its reply (`None` for streams that need none).
    Executed { reply: Option<KeptReply>, proposal: ProposalNumber },
    /// It had no effect, and later messages of its stream had one: executing it now would break their order.
    Passed { proposal: ProposalNumber },
    /// A newer start of the same router has spoken, or the reply was acknowledged before.
    Stale,
}

/// All streams that this shard knows.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_id: BTreeMap<StreamId, Stream>,
}

impl Streams {
    /// Reads what is stored.
    pub(super) fn load(pending: &Pending) -> Result<Self, StoreError> {
        let mut streams = Self::default();
        for (key, value) in scan_all(pending, Family::Stream)? {
            let Some(id) = keys::parse_stream(&key) else { continue };
            let stored = decode("a stream position", &value)?;
            streams.by_id.insert(id, Stream { stored, ..Stream::default() });
        }
        for (key, _) in scan_all(pending, Family::Reply)? {
            if let (Some(id), Some(number)) = (keys::parse_stream(&key), keys::parse_number(&key)) {
                streams.by_id.entry(id).or_default().kept.push_back(number);
            }
        }
        Ok(streams)
    }

    /// Where a message stands. Notes its acknowledgement.
    pub(super) fn check(&mut self, pending: &Pending, position: &Position) -> Result<Standing, StoreError> {
        if self.is_fenced(position.stream) {
            return Ok(Standing::Stale);
        }
        let Some(stream) = self.by_id.get_mut(&position.stream) else { return Ok(Standing::New) };
        if position.acknowledged > stream.stored.acknowledged {
            stream.stored.acknowledged = position.acknowledged;
            stream.is_dirty = true;
        }
        if position.number > stream.stored.executed {
            return Ok(Standing::New);
        }
        let proposal = stream.proposal;
        if position.is_of_outbox() {
            return Ok(Standing::Executed { reply: None, proposal });
        }
        if position.number <= stream.stored.acknowledged {
            return Ok(Standing::Stale);
        }
        match pending.get(&keys::stream_number(position.stream, position.number))? {
            (Some(reply), proposal) => {
                let reply = decode("a kept reply", &reply)?;
                Ok(Standing::Executed { reply: Some(reply), proposal })
            }
            (None, _) => Ok(Standing::Passed { proposal }),
        }
    }

    /// Notes that the message had an effect, which is part of the open proposal. For a cast of an outbox a dead letter is one.
    pub(super) fn executed(&mut self, pending: &mut Pending, position: &Position, reply: &KeptReply) {
        if !self.by_id.contains_key(&position.stream) {
            self.forget_older(pending, position.stream);
        }
        let stream = self.by_id.entry(position.stream).or_default();
        stream.stored.executed = stream.stored.executed.max(position.number);
        stream.stored.acknowledged = stream.stored.acknowledged.max(position.acknowledged);
        stream.proposal = pending.open_number();
        stream.is_dirty = true;
        if matches!(position.stream, StreamId::Router { .. }) {
            stream.kept.push_back(position.number);
            pending.put(keys::stream_number(position.stream, position.number), encode(reply));
        }
    }

    /// Writes what changed into the open proposal. Acknowledgements alone do not make a proposal.
    pub(super) fn write(&mut self, pending: &mut Pending) {
        for (id, stream) in self.by_id.iter_mut().filter(|(_, stream)| stream.is_dirty) {
            stream.is_dirty = false;
            while let Some(number) = stream.kept.front().copied() {
                if number > stream.stored.acknowledged {
                    break;
                }
                stream.kept.pop_front();
                pending.remove(keys::stream_number(*id, number));
            }
            pending.put(keys::stream(Family::Stream, *id), encode(&stream.stored));
        }
    }

    fn is_fenced(&self, id: StreamId) -> bool {
        let StreamId::Router { node, incarnation } = id else { return false };
        let newer = StreamId::Router { node, incarnation: incarnation.saturating_add(1) };
        let newest = StreamId::Router { node, incarnation: u64::MAX };
        incarnation < u64::MAX && self.by_id.range(newer..=newest).next().is_some()
    }

    /// A router that started again does not come back for the replies of its former life.
    fn forget_older(&mut self, pending: &mut Pending, id: StreamId) {
        let StreamId::Router { node, incarnation } = id else { return };
        let oldest = StreamId::Router { node, incarnation: 0 };
        let own = StreamId::Router { node, incarnation };
        let older: Vec<StreamId> = self.by_id.range(oldest..own).map(|(id, _)| *id).collect();
        for id in older {
            let Some(stream) = self.by_id.remove(&id) else { continue };
            stream.kept.iter().for_each(|number| pending.remove(keys::stream_number(id, *number)));
            pending.remove(keys::stream(Family::Stream, id));
        }
    }
}

/// All pairs of a family; only for families that are small by design.
pub(super) fn scan_all(
    pending: &Pending,
    family: Family,
) -> Result<playhouse_cluster::store::Pairs, StoreError> {
    const AT_ONCE: usize = 1_024;
    let mut all = Vec::new();
    let mut from = family.start();
    loop {
        let pairs = pending.scan(&from, &family.end(), AT_ONCE)?;
        let count = pairs.len();
        if let Some((last, _)) = pairs.last() {
            from = [last, &b"\0"[..]].concat().into();
        }
        all.extend(pairs);
        if count < AT_ONCE {
            return Ok(all);
        }
    }
}
