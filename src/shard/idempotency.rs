//! At most one effect per idempotency key and entity within a window.
//!
//! The record is part of the same proposal as the effect. A retry that comes while the first request is still on its
//! way finds the record in what is pending, and waits for the same commit. Reads and refusals leave no record.

use compact_str::CompactString;
use playhouse_cluster::store::StoreError;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    envelope::KeptReply,
    keys::{self, Family, Of},
    pending::{Pending, ProposalNumber},
    records::{Meta, decode, encode},
};
use crate::protocol::CallError;

/// How many expired records one batch removes at most.
const EXPIRED_PER_BATCH_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IdempotentReply {
    body_hash: u128,
    until_ms: u64,
    reply: KeptReply,
}

/// What is known of an idempotency key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: execute.
    No,
    /// This was the reply.
    Yes { reply: KeptReply, proposal: ProposalNumber },
    /// It was used with another body.
    OtherBody { proposal: ProposalNumber },
}

/// The records of one shard.
#[derive(Debug)]
pub(super) struct Idempotency {
    window_ms: u64,
    bytes_max: u64,
    next_expiry_ms: Option<u64>,
}

impl Idempotency {
    pub(super) fn load(pending: &Pending, window_ms: u64, bytes_max: u64) -> Result<Self, StoreError> {
        let mut records = Self { window_ms, bytes_max, next_expiry_ms: None };
        records.find_next_expiry(pending, &Family::Expiry.start())?;
        Ok(records)
    }

    /// Looks a key up. A record past its window counts as gone.
    pub(super) fn find(
        &self,
        pending: &Pending,
        of: Of<'_>,
        key: &CompactString,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Known, StoreError> {
        let (Some(record), proposal) = pending.get(&keys::entity_name(Family::Idempotent, of, key))? else {
            return Ok(Known::No);
        };
        let record: IdempotentReply = decode("an idempotency record", &record)?;
        Ok(match record {
            record if record.until_ms <= now_ms => Known::No,
            record if record.body_hash == xxh3_128(body) => Known::Yes { reply: record.reply, proposal },
            _ => Known::OtherBody { proposal },
        })
    }

    /// Whether there is room for one more record, before the command is executed.
    pub(super) fn check_room(&self, meta: &Meta) -> Result<(), CallError> {
        if meta.idempotency_bytes < self.bytes_max {
            return Ok(());
        }
        let what = format!("idempotency records of this shard take {} bytes already", meta.idempotency_bytes);
        Err(CallError::Overloaded { what })
    }

    /// Keeps a reply for the window.
    pub(super) fn keep(
        &mut self,
        pending: &mut Pending,
        meta: &mut Meta,
        of: Of<'_>,
        key: &CompactString,
        body: &[u8],
        reply: KeptReply,
    ) -> Result<(), StoreError> {
        self.replace(pending, meta, of, key)?;
        let until_ms = meta.clock_ms.saturating_add(self.window_ms);
        let record = encode(&IdempotentReply { body_hash: xxh3_128(body), until_ms, reply });
        let by_key = keys::entity_name(Family::Idempotent, of, key);
        let by_time = keys::timed(Family::Expiry, until_ms, of, key);
        meta.idempotency_bytes += (by_key.len() + record.len() + by_time.len()) as u64;
        pending.put(by_key, record);
        pending.put(by_time, bytes::Bytes::new());
        self.next_expiry_ms = Some(self.next_expiry_ms.map_or(until_ms, |next| next.min(until_ms)));
        Ok(())
    }

    /// Forgets an expired record whose key is used again before it was removed.
    fn replace(
        &self,
        pending: &mut Pending,
        meta: &mut Meta,
        of: Of<'_>,
        key: &CompactString,
    ) -> Result<(), StoreError> {
        let (Some(record), _) = pending.get(&keys::entity_name(Family::Idempotent, of, key))? else {
            return Ok(());
        };
        let until_ms = decode::<IdempotentReply>("an idempotency record", &record)?.until_ms;
        let by_time = keys::timed(Family::Expiry, until_ms, of, key);
        self.forget(pending, meta, of, key, until_ms, by_time.len())?;
        pending.remove(by_time);
        Ok(())
    }

    /// Removes records past their window.
    pub(super) fn expire(&mut self, pending: &mut Pending, meta: &mut Meta) -> Result<(), StoreError> {
        let Some(next) = self.next_expiry_ms.filter(|next| *next <= meta.clock_ms) else { return Ok(()) };
        // Nothing expires earlier, so the search need not pass the remains of what has expired.
        let from = keys::number(Family::Expiry, next);
        let to = keys::timed_end(Family::Expiry, meta.clock_ms);
        for (by_time, _) in pending.scan(&from, &to, EXPIRED_PER_BATCH_MAX)? {
            if let Some((until_ms, kind, key, name)) = keys::parse_timed(&by_time) {
                let by_time_bytes = by_time.len();
                self.forget(pending, meta, Of { kind, key: &key }, name, until_ms, by_time_bytes)?;
            }
            pending.remove(by_time);
        }
        self.find_next_expiry(pending, &from)
    }

    /// Removes the record unless the key was used again since.
    fn forget(
        &self,
        pending: &mut Pending,
        meta: &mut Meta,
        of: Of<'_>,
        name: &str,
        until_ms: u64,
        by_time_bytes: usize,
    ) -> Result<(), StoreError> {
        let by_key = keys::entity_name(Family::Idempotent, of, name);
        let (Some(record), _) = pending.get(&by_key)? else { return Ok(()) };
        let kept: IdempotentReply = decode("an idempotency record", &record)?;
        if kept.until_ms == until_ms {
            let bytes = (by_key.len() + record.len() + by_time_bytes) as u64;
            meta.idempotency_bytes = meta.idempotency_bytes.saturating_sub(bytes);
            pending.remove(by_key);
        }
        Ok(())
    }

    fn find_next_expiry(&mut self, pending: &Pending, from: &[u8]) -> Result<(), StoreError> {
        let first = pending.scan(from, &Family::Expiry.end(), 1)?;
        self.next_expiry_ms = first.first().and_then(|(key, _)| keys::parse_timed(key)).map(|parts| parts.0);
        Ok(())
    }

    /// The time of the next expiry.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.next_expiry_ms
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use playhouse_cluster::{consensus::Term, store::Memory};

    use super::*;
    use crate::{protocol::Key, testing::group::Solo};

    /// A key that was used again after its window, before the old record was removed, counted its bytes twice for ever.
    #[test]
    fn a_key_used_again_after_its_window_counts_its_bytes_once() {
        let mut pending = Pending::new(Arc::new(Solo::new(Memory::new(), Term(1))));
        let mut records = Idempotency::load(&pending, 1_000, u64::MAX).unwrap();
        let (mut meta, key) = (Meta::default(), Key::new("k").unwrap());
        let of = Of { kind: "counter", key: &key };
        let mut keep = |pending: &mut Pending, meta: &mut Meta| {
            let reply = KeptReply { body: bytes::Bytes::new(), revision: 1 };
            records.keep(pending, meta, of, &"once".into(), b"{}", reply).unwrap();
        };
        keep(&mut pending, &mut meta);
        let one = meta.idempotency_bytes;
        meta.clock_ms = 5_000;
        keep(&mut pending, &mut meta);
        assert!(meta.idempotency_bytes <= one + 8, "{} after {one}", meta.idempotency_bytes);
    }
}
