//! Order and one effect per request, in bounded memory.
//!
//! As Kafka's idempotent producer: whoever sends to a shard numbers its messages, and the shard keeps the highest
//! number with an effect, and the replies that were not acknowledged yet, in the same proposal as the effects.
//!
//! The replies of one proposal to one stream are one record, under the first of their numbers: as many records would be written, and
//! removed again, on each replica. It goes when all of them are acknowledged.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use playhouse_cluster::store::StoreError;
use serde::{Deserialize, Serialize};

use super::{
    envelope::{KeptReply, Position, StreamId},
    keys::{self, Family},
    pending::{Pending, ProposalNumber},
    records::{decode, encode},
};

/// About what a kept reply takes beside its body, in bytes.
const REPLY_OVERHEAD: usize = 24;

/// What a stream has brought so far.
#[derive(Debug, Default)]
struct Stream {
    stored: Progress,
    /// The proposal that `stored.executed` is part of.
    proposal: ProposalNumber,
    /// The records of replies that are kept.
    kept: VecDeque<KeptRecord>,
    /// What the record of the open proposal will hold; it is the last of those.
    open: Vec<(u64, KeptReply)>,
    is_dirty: bool,
}

/// The numbers that a record of replies may have.
#[derive(Clone, Copy, Debug)]
struct KeptRecord {
    first: u64,
    /// At least the last of them.
    last: u64,
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
    /// Those that the open proposal changes.
    dirty: Vec<StreamId>,
    /// The record that was read last: after a move everything is sent again, in its order.
    read: Option<ReadRecord>,
}

/// A record of replies as it is stored.
#[derive(Debug)]
struct ReadRecord {
    stream: StreamId,
    first: u64,
    /// The proposal that it is part of.
    proposal: ProposalNumber,
    replies: Vec<(u64, KeptReply)>,
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
                streams.by_id.entry(id).or_default().found(number);
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
            stream.touch(&mut self.dirty, position.stream);
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
        let number = position.number;
        if let Some(reply) = find(&stream.open, number) {
            return Ok(Standing::Executed { reply: Some(reply), proposal: pending.open_number() });
        }
        let Some(first) = stream.record_of(number) else { return Ok(Standing::Passed { proposal }) };
        let record = self.record(pending, position.stream, first)?;
        Ok(match find(&record.replies, number) {
            Some(reply) => Standing::Executed { reply: Some(reply), proposal: record.proposal },
            None => Standing::Passed { proposal },
        })
    }

    fn record(&mut self, pending: &Pending, stream: StreamId, first: u64) -> Result<&ReadRecord, StoreError> {
        let is_read = self.read.as_ref().is_some_and(|read| (read.stream, read.first) == (stream, first));
        if !is_read {
            self.read = Some(ReadRecord::of(pending, stream, first)?);
        }
        Ok(self.read.as_ref().expect("it was read"))
    }

    /// Notes that the message had an effect, which is part of the open proposal. For a cast of an outbox a dead letter is one.
    pub(super) fn executed(&mut self, pending: &mut Pending, position: &Position, reply: KeptReply) {
        if !self.by_id.contains_key(&position.stream) {
            self.forget_older(pending, position.stream);
        }
        let stream = self.by_id.entry(position.stream).or_default();
        stream.stored.executed = stream.stored.executed.max(position.number);
        stream.stored.acknowledged = stream.stored.acknowledged.max(position.acknowledged);
        stream.proposal = pending.open_number();
        stream.touch(&mut self.dirty, position.stream);
        if matches!(position.stream, StreamId::Router { .. }) {
            stream.keep(pending, position, reply);
        }
    }

    /// Writes what changed into the open proposal. Acknowledgements alone do not make a proposal.
    pub(super) fn write(&mut self, pending: &mut Pending) {
        self.read = None;
        for id in self.dirty.drain(..) {
            // It may be forgotten since.
            let Some(stream) = self.by_id.get_mut(&id) else { continue };
            stream.is_dirty = false;
            stream.write_replies(pending, id);
            while let Some(record) =
                stream.kept.pop_front_if(|record| record.last <= stream.stored.acknowledged)
            {
                pending.remove(keys::stream_number(id, record.first));
            }
            pending.put(keys::stream(Family::Stream, id), encode(&stream.stored));
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
            stream.kept.iter().for_each(|record| pending.remove(keys::stream_number(id, record.first)));
            pending.remove(keys::stream(Family::Stream, id));
        }
    }
}

impl Stream {
    fn touch(&mut self, dirty: &mut Vec<StreamId>, id: StreamId) {
        if !std::mem::replace(&mut self.is_dirty, true) {
            dirty.push(id);
        }
    }

    /// A record is stored. Those of a stream are found in their order.
    fn found(&mut self, first: u64) {
        if let Some(before) = self.kept.back_mut() {
            before.last = first - 1;
        }
        self.kept.push_back(KeptRecord { first, last: self.stored.executed.max(first) });
    }

    fn keep(&mut self, pending: &mut Pending, position: &Position, reply: KeptReply) {
        let number = position.number;
        if self.open.is_empty() {
            // The record is written when the proposal is closed; until then it has its place.
            self.kept.push_back(KeptRecord { first: number, last: number });
            pending.put(keys::stream_number(position.stream, number), Bytes::new());
        }
        pending.will_grow(reply.body.len() + REPLY_OVERHEAD);
        self.kept.back_mut().expect("the open record is there").last = number;
        self.open.push((number, reply));
    }

    fn write_replies(&mut self, pending: &mut Pending, id: StreamId) {
        let open = std::mem::take(&mut self.open);
        if let Some((first, _)) = open.first() {
            pending.put(keys::stream_number(id, *first), encode(&open));
        }
    }

    /// The first number of the record that may have the reply to a message; not of the open one.
    fn record_of(&self, number: u64) -> Option<u64> {
        let at = self.kept.partition_point(|record| record.first <= number).checked_sub(1)?;
        let first = self.kept[at].first;
        let is_open = self.open.first().is_some_and(|(open, _)| *open == first);
        (!is_open).then_some(first)
    }
}

impl ReadRecord {
    fn of(pending: &Pending, stream: StreamId, first: u64) -> Result<Self, StoreError> {
        let (stored, proposal) = pending.get(&keys::stream_number(stream, first))?;
        let replies = stored.map(|stored| decode("kept replies", &stored)).transpose()?.unwrap_or_default();
        Ok(Self { stream, first, proposal, replies })
    }
}

fn find(replies: &[(u64, KeptReply)], number: u64) -> Option<KeptReply> {
    let at = replies.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    Some(replies[at].1.clone())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use playhouse_cluster::{
        consensus::Term,
        store::{Engine, Memory},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::testing::group::Solo;

    const ROUTER: StreamId = StreamId::Router { node: 7, incarnation: 1 };

    fn position(number: u64, acknowledged: u64) -> Position {
        Position { stream: ROUTER, number, acknowledged, generation: 1 }
    }

    fn reply(number: u64) -> KeptReply {
        KeptReply { body: vec![b'x'; number as usize % 50].into(), revision: number }
    }

    fn pending() -> Pending {
        over(&Memory::new())
    }

    fn over(memory: &Arc<Memory>) -> Pending {
        Pending::new(Arc::new(Solo::new(Arc::clone(memory), Term(1))))
    }

    fn records(pending: &Pending) -> usize {
        scan_all(pending, Family::Reply).unwrap().len()
    }

    #[test]
    fn replies_of_one_proposal_are_one_record() {
        let (mut pending, mut streams) = (pending(), Streams::default());
        for number in 1..=30 {
            streams.executed(&mut pending, &position(number, 0), reply(number));
        }
        assert!(!pending.is_clean(), "replies alone are a reason to propose");
        let before = pending.open_bytes();
        assert!(
            before > (1..=30).map(|number| reply(number).body.len()).sum(),
            "they count before they are written"
        );
        streams.write(&mut pending);
        assert_eq!(pending.seal().batch.len(), 2, "the replies and the position");
        let again = streams.check(&pending, &position(17, 0)).unwrap();
        assert_eq!(again, Standing::Executed { reply: Some(reply(17)), proposal: 1 });

        streams.executed(&mut pending, &position(31, 29), reply(31));
        streams.write(&mut pending);
        pending.seal();
        assert_eq!(records(&pending), 2, "one reply of the first record is not acknowledged");
        streams.executed(&mut pending, &position(32, 30), reply(32));
        streams.write(&mut pending);
        assert_eq!(records(&pending), 2);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Executes the number that is so far ahead.
        Execute(u64),
        /// So many more were received.
        Acknowledge(u64),
        Seal,
        /// The store has what was sealed first.
        Apply,
        /// Another leader reads what is stored.
        Load,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (1..4_u64).prop_map(Step::Execute),
            2 => (0..6_u64).prop_map(Step::Acknowledge),
            2 => Just(Step::Seal),
            1 => Just(Step::Apply),
            1 => Just(Step::Load),
        ]
    }

    proptest! {
        #[test]
        fn each_reply_is_there_until_it_is_acknowledged(steps in prop::collection::vec(step(), 1..120)) {
            let memory = Memory::new();
            let (mut pending, mut streams) = (over(&memory), Streams::default());
            let (mut executed, mut acknowledged, mut sealed) = (Vec::new(), 0, VecDeque::new());
            for step in steps {
                let last = executed.last().copied().unwrap_or(0);
                match step {
                    Step::Execute(ahead) => {
                        let position = position(last + ahead, acknowledged);
                        prop_assert_eq!(streams.check(&pending, &position).unwrap(), Standing::New);
                        streams.executed(&mut pending, &position, reply(position.number));
                        executed.push(position.number);
                    }
                    Step::Acknowledge(more) => acknowledged = last.min(acknowledged + more),
                    Step::Seal => {
                        streams.write(&mut pending);
                        sealed.push_back(pending.seal());
                    }
                    Step::Apply => {
                        if let Some(first) = sealed.pop_front() {
                            memory.write(&first.batch).unwrap();
                            pending.applied(first.number, &first.keys);
                        }
                    }
                    Step::Load => {
                        streams.write(&mut pending);
                        sealed.push_back(pending.seal());
                        streams = Streams::load(&pending).unwrap();
                    }
                }
                for number in acknowledged + 1..=executed.last().copied().unwrap_or(0) {
                    let standing = streams.check(&pending, &position(number, acknowledged)).unwrap();
                    match standing {
                        Standing::Executed { reply: Some(found), .. } => prop_assert_eq!(found, reply(number)),
                        other => prop_assert!(
                            !executed.contains(&number) && matches!(other, Standing::Passed { .. }),
                            "{} is {:?}", number, other
                        ),
                    }
                }
            }
            let end = position(executed.last().copied().unwrap_or(0) + 1, executed.last().copied().unwrap_or(0));
            streams.check(&pending, &end).unwrap();
            streams.write(&mut pending);
            prop_assert_eq!(records(&pending), 0, "nothing is kept for ever");
        }
    }
}
