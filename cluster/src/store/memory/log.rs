//! The log of batches that are not synced, as it would lie on a disk.
//!
//! ```text
//! record  = length of body: u32 LE │ xxh3_64 of body: u64 LE │ body
//! body    = postcard of the list of changes: (key, value or nothing)
//! ```

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    codec,
    store::{Batch, Op},
};

const HEAD_BYTES: usize = 12;

/// All records, one behind the other.
pub(super) fn encode(batches: &[Batch]) -> Vec<u8> {
    let mut log = Vec::new();
    for batch in batches {
        let changes: Vec<_> = batch.ops().iter().map(change).collect();
        let body = codec::encode(&changes).expect("lists of bytes can be encoded");
        let length = u32::try_from(body.len()).expect("the store refuses larger batches");
        log.extend_from_slice(&length.to_le_bytes());
        log.extend_from_slice(&xxh3_64(&body).to_le_bytes());
        log.extend_from_slice(&body);
    }
    log
}

/// All whole records, up to the first that is not.
pub(super) fn decode(mut log: &[u8]) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some((body, rest)) = split_record(log) {
        let Ok(changes) = codec::decode::<Vec<(Bytes, Option<Bytes>)>>(body) else { break };
        let mut batch = Batch::new();
        changes.into_iter().map(op).for_each(|op| batch.push(op));
        batches.push(batch);
        log = rest;
    }
    batches
}

/// The body of the first record and what is behind it, if the record is whole.
fn split_record(log: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = log.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    debug_assert_eq!(log.len(), HEAD_BYTES + body.len() + rest.len());
    (xxh3_64(body) == u64::from_le_bytes(*checksum)).then_some((body, rest))
}

fn change(op: &Op) -> (&Bytes, Option<&Bytes>) {
    match op {
        Op::Put(key, value) => (key, Some(value)),
        Op::Remove(key) => (key, None),
    }
}

fn op((key, value): (Bytes, Option<Bytes>)) -> Op {
    value.map_or(Op::Remove(key.clone()), |value| Op::Put(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(keys: &[&'static str]) -> Batch {
        let mut batch = Batch::new();
        keys.iter().for_each(|key| batch.put(*key, *key));
        batch.remove("gone");
        batch
    }

    /// Wherever the log is cut, what is read is a prefix of whole batches.
    #[test]
    fn a_cut_log_holds_a_prefix_of_whole_batches() {
        let batches = [batch(&["a", "b"]), batch(&["c"]), batch(&["d", "e", "f"])];
        let log = encode(&batches);
        for kept in 0..=log.len() {
            let found = decode(&log[..kept]);
            assert_eq!(found, batches[..found.len()]);
        }
        assert_eq!(decode(&log).len(), 3);
    }
}
