//! Shards that begin with copies of which each has its own moment.
//!
//! What goes through between shards was cut at different places. Casts are numbered by the shard that sends them, and the
//! receiver keeps the highest number that it has executed. If the receiver was copied later than the sender, it has executed
//! numbers that the sender would give out again, and would take new casts for old ones. So the sender goes on behind the
//! highest number that anybody has executed. What the receiver has not executed, and the sender does not hold any more, is
//! lost; nothing is executed twice.
//!
//! What gateways wait for ended with their cluster, so the positions of their streams and the replies that are kept for them are
//! left out. Replies to requests with an idempotency key are part of the state.

use std::collections::BTreeMap;

use bytes::Bytes;
use playhouse_cluster::store::StoreError;

use super::{
    envelope::StreamId,
    keys::{self, Family},
    records::{Meta, decode, encode},
    streams::Progress,
};
use crate::protocol::ShardId;

/// Joins copies of all shards. First all pairs are [noted](Self::note), then all go through [`Self::pair`].
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// The highest number of each shard's casts that was executed anywhere.
    executed: BTreeMap<ShardId, u64>,
}

impl Reconciliation {
    /// Notes a pair of any shard.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn note(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if family(key) != Some(Family::Stream) {
            return Ok(());
        }
        if let Some(StreamId::Shard(shard)) = keys::parse_stream(key) {
            let progress: Progress = decode("a stream position", value)?;
            let highest = self.executed.entry(shard).or_default();
            *highest = progress.executed.max(*highest);
        }
        Ok(())
    }

    /// The value with which a pair of `shard` goes on; `None`: without it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn pair(&self, shard: ShardId, key: &[u8], value: Bytes) -> Result<Option<Bytes>, StoreError> {
        Ok(match family(key) {
            Some(Family::Reply) => None,
            Some(Family::Stream) => {
                matches!(keys::parse_stream(key), Some(StreamId::Shard(_))).then_some(value)
            }
            Some(Family::Meta) => Some(self.meta(shard, decode("the numbers of the shard", &value)?)),
            _ => Some(value),
        })
    }

    /// A pair that every shard has when it goes on: for one that had none. One that came from the copy is better.
    #[must_use]
    pub fn first_pair(&self, shard: ShardId) -> (Bytes, Bytes) {
        (numbers_key(), self.meta(shard, Meta::default()))
    }

    fn meta(&self, shard: ShardId, mut meta: Meta) -> Bytes {
        let executed = self.executed.get(&shard).copied().unwrap_or_default();
        meta.outbox_last = meta.outbox_last.max(executed);
        encode(&meta)
    }
}

/// The key under which a shard keeps its numbers and its clock.
#[must_use]
pub fn numbers_key() -> Bytes {
    Family::Meta.start()
}

/// The numbers with which a shard goes on that lost the end of its history: far behind those that it had given out, which
/// receivers have executed.
///
/// # Errors
///
/// When `stored` cannot be read.
pub fn numbers_after_loss(stored: Option<&[u8]>) -> Result<Bytes, StoreError> {
    let mut meta: Meta =
        stored.map(|bytes| decode("the numbers of the shard", bytes)).transpose()?.unwrap_or_default();
    meta.outbox_last = meta.outbox_last.saturating_add(LOST_CASTS_MAX);
    Ok(encode(&meta))
}

/// How far the clock of a shard was, in milliseconds since the Unix epoch, by its stored numbers. 0: nothing ever happened.
///
/// # Errors
///
/// When `stored` cannot be read.
pub fn clock_of(stored: Option<&[u8]>) -> Result<u64, StoreError> {
    let meta: Option<Meta> = stored.map(|bytes| decode("the numbers of the shard", bytes)).transpose()?;
    Ok(meta.map_or(0, |meta| meta.clock_ms))
}

/// No shard sends so many casts in the part of its history that a lost majority had and nobody else.
const LOST_CASTS_MAX: u64 = 1 << 32;

/// Those that matter here.
fn family(key: &[u8]) -> Option<Family> {
    let families = [Family::Stream, Family::Reply, Family::Meta];
    families.into_iter().find(|family| key.first() == Some(&(*family as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: ShardId = ShardId(3);

    fn position(stream: StreamId, executed: u64) -> (Bytes, Bytes) {
        (keys::stream(Family::Stream, stream), encode(&Progress { executed, acknowledged: 0 }))
    }

    fn meta(bytes: &Bytes) -> Meta {
        decode("the numbers of the shard", bytes).unwrap()
    }

    /// A receiver that was copied later took new casts of the sender for old ones, and they were lost without a trace.
    #[test]
    fn a_sender_goes_on_behind_what_receivers_have_executed() {
        let mut all = Reconciliation::default();
        for executed in [40, 90, 60] {
            let (key, value) = position(StreamId::Shard(SENDER), executed);
            all.note(&key, &value).unwrap();
            assert_eq!(
                all.pair(ShardId(1), &key, value.clone()).unwrap(),
                Some(value),
                "it is kept as it is"
            );
        }
        let numbers = |outbox_last| encode(&Meta { outbox_last, clock_ms: 7, ..Meta::default() });
        let restored = |shard, outbox_last| {
            let value = all.pair(shard, &Family::Meta.start(), numbers(outbox_last)).unwrap().unwrap();
            meta(&value)
        };
        assert_eq!(restored(SENDER, 50), Meta { outbox_last: 90, clock_ms: 7, ..Meta::default() });
        assert_eq!(restored(SENDER, 100).outbox_last, 100);
        assert_eq!(restored(ShardId(4), 50).outbox_last, 50);
        assert_eq!(meta(&all.first_pair(SENDER).1).outbox_last, 90, "it had sent nothing when it was copied");
    }

    #[test]
    fn a_shard_that_lost_its_end_goes_on_far_behind_what_it_sent() {
        let stored = encode(&Meta { outbox_last: 9, clock_ms: 7, ..Meta::default() });
        let after = meta(&numbers_after_loss(Some(&stored)).unwrap());
        assert_eq!((after.outbox_last, after.clock_ms), (9 + LOST_CASTS_MAX, 7));
        assert_eq!((clock_of(Some(&stored)).unwrap(), clock_of(None).unwrap()), (7, 0));
        assert_eq!(meta(&numbers_after_loss(None).unwrap()).outbox_last, LOST_CASTS_MAX);
        assert!(numbers_after_loss(Some(b"")).is_err());
    }

    #[test]
    fn what_gateways_waited_for_is_left_out_and_everything_else_is_kept() {
        let all = Reconciliation::default();
        let router = StreamId::Router { node: 1, incarnation: 2 };
        let (key, value) = position(router, 5);
        assert_eq!(all.pair(SENDER, &key, value.clone()).unwrap(), None);
        assert_eq!(all.pair(SENDER, &keys::stream_number(router, 5), value.clone()).unwrap(), None);
        for first in *b"evchtuixod" {
            let key = [first, b'k'];
            assert_eq!(all.pair(SENDER, &key, value.clone()).unwrap(), Some(value.clone()), "{first}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let mut all = Reconciliation::default();
        let (key, _) = position(StreamId::Shard(SENDER), 5);
        assert!(all.note(&key, b"").is_err());
        assert!(all.pair(SENDER, &Family::Meta.start(), Bytes::new()).is_err());
    }
}
