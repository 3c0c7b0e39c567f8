//! Casts to other entities: committed with the effects of the handler, sent until acknowledged.

use std::collections::{BTreeSet, VecDeque};

use playhouse_cluster::store::StoreError;

use super::{
    keys::{self, Family},
    pending::Pending,
    records::{DeadLetter, Meta, OutboxCast, decode, encode},
    streams::scan_all,
};
use crate::entity::OutgoingCast;

/// How many dead letters a shard keeps; the oldest goes first.
pub(super) const DEAD_LETTERS_MAX: u64 = 1_000;
/// How many bytes of dead letters are shown at once; the one that reaches this is the last. With it they fit into one frame of a lane.
const SHOWN_BYTES_MAX: usize = 4 << 20;

/// Casts that are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeSet<u64>,
    /// Acknowledged, but still stored: removed with the next proposal, or soon.
    acknowledged: Vec<u64>,
}

impl Outbox {
    /// Reads what is stored; all of it is sent again.
    pub(super) fn load(pending: &Pending) -> Result<(Self, Vec<(u64, OutboxCast)>), StoreError> {
        let mut casts = Vec::new();
        for (key, value) in scan_all(pending, Family::Outbox)? {
            if let Some(number) = keys::parse_number(&key) {
                casts.push((number, decode("an outbox cast", &value)?));
            }
        }
        let waiting = casts.iter().map(|(number, _)| *number).collect();
        Ok((Self { waiting, acknowledged: Vec::new() }, casts))
    }

    /// How many casts wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a cast to the open proposal.
    pub(super) fn add(&mut self, pending: &mut Pending, meta: &mut Meta, cast: &OutgoingCast) -> u64 {
        meta.outbox_last += 1;
        let number = meta.outbox_last;
        let record = OutboxCast { target: cast.target.clone(), body: cast.body.clone() };
        pending.put(keys::number(Family::Outbox, number), encode(&record));
        self.waiting.insert(number);
        number
    }

    /// The cast has arrived, or never will. `false` when that was known.
    pub(super) fn done(&mut self, number: u64) -> bool {
        let is_news = self.waiting.remove(&number);
        if is_news {
            self.acknowledged.push(number);
        }
        is_news
    }

    /// Acknowledged casts that are still stored.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Removes acknowledged casts in the open proposal.
    pub(super) fn write(&mut self, pending: &mut Pending) {
        for number in self.acknowledged.drain(..) {
            pending.remove(keys::number(Family::Outbox, number));
        }
    }
}

/// What the outbox holds under `number`.
pub(super) fn read_cast(pending: &Pending, number: u64) -> Result<Option<OutboxCast>, StoreError> {
    let stored = pending.get(&keys::number(Family::Outbox, number))?.0;
    stored.map(|bytes| decode("an outbox cast", &bytes)).transpose()
}

/// Keeps a message that could not be delivered; the oldest makes room.
pub(super) fn bury(pending: &mut Pending, meta: &mut Meta, letter: &DeadLetter) {
    meta.dead_letter_last += 1;
    meta.dead_letters += 1;
    if meta.dead_letters > DEAD_LETTERS_MAX {
        let oldest = meta.dead_letter_last + 1 - meta.dead_letters;
        pending.remove(keys::number(Family::DeadLetter, oldest));
        meta.dead_letters -= 1;
    }
    tracing::warn!(target_entity = %letter.target, reason = letter.reason, "a message could not be delivered");
    pending.put(keys::number(Family::DeadLetter, meta.dead_letter_last), letter.encode());
}

/// The newest dead letters, oldest first: at most `limit`, and not many more than [`SHOWN_BYTES_MAX`] bytes of them.
pub(super) fn dead_letters(
    pending: &Pending,
    meta: &Meta,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let count = meta.dead_letters.min(limit as u64);
    let (mut letters, mut bytes) = (VecDeque::new(), 0);
    for number in (meta.dead_letter_last + 1 - count..=meta.dead_letter_last).rev() {
        let (Some(stored), _) = pending.get(&keys::number(Family::DeadLetter, number))? else { continue };
        bytes += stored.len();
        letters.push_front(DeadLetter::decode(&stored)?);
        if bytes >= SHOWN_BYTES_MAX {
            break;
        }
    }
    Ok(letters.into())
}
