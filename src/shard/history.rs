//! What entities publish: kept for a while, and given to subscribers in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use playhouse_cluster::store::StoreError;
use serde::{Deserialize, Serialize};

use super::{
    envelope::Subscriber,
    keys::{self, Family, Of},
    pending::{Pending, ProposalNumber},
    records::{decode, encode},
};
use crate::{
    entity::KindIndex,
    protocol::{Key, Published},
};

/// How many items of one entity are kept.
const ITEMS_MAX: u64 = 256;

/// How many items may be published while a new subscriber waits for its history.
const EARLY_MAX: usize = 1_024;

/// What an entity has published so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Publications {
    /// The revision of the last item.
    last: u64,
    /// The revision of the first item that is kept.
    first_kept: u64,
}

/// Items with their revisions.
pub(super) type Items = Vec<(u64, Bytes)>;

/// Adds items to an entity's history; part of the open proposal.
pub(super) fn publish(pending: &mut Pending, of: Of<'_>, items: Vec<Bytes>) -> Result<Items, StoreError> {
    let mut so_far = read(pending, of)?.0;
    let mut numbered = Items::new();
    for item in items {
        so_far.last += 1;
        pending.put(keys::entity_number(Family::Item, of, so_far.last), item.clone());
        numbered.push((so_far.last, item));
    }
    so_far.first_kept = so_far.first_kept.max(1);
    while so_far.last - so_far.first_kept >= ITEMS_MAX {
        pending.remove(keys::entity_number(Family::Item, of, so_far.first_kept));
        so_far.first_kept += 1;
    }
    pending.put(keys::entity(Family::Published, of), encode(&so_far));
    Ok(numbered)
}

fn read(pending: &Pending, of: Of<'_>) -> Result<(Publications, ProposalNumber), StoreError> {
    let (stored, proposal) = pending.get(&keys::entity(Family::Published, of))?;
    let so_far = stored.map(|bytes| decode("publications", &bytes)).transpose()?.unwrap_or_default();
    Ok((so_far, proposal))
}

/// Forgets the kept items of an entity. Its revisions go on counting.
pub(super) fn clear(pending: &mut Pending, of: Of<'_>) -> Result<(), StoreError> {
    let mut so_far = read(pending, of)?.0;
    if so_far.last == 0 {
        return Ok(());
    }
    (so_far.first_kept..=so_far.last)
        .for_each(|number| pending.remove(keys::entity_number(Family::Item, of, number)));
    so_far.first_kept = so_far.last + 1;
    pending.put(keys::entity(Family::Published, of), encode(&so_far));
    Ok(())
}

/// What a new subscriber has missed.
pub(super) struct Missed {
    /// Everything behind this revision is told, or a gap is. It may be one that does not exist.
    pub(super) after: u64,
    pub(super) gap: Option<u64>,
    pub(super) items: Items,
    /// The last revision so far.
    pub(super) last: u64,
    pub(super) proposal: ProposalNumber,
}

/// Reads what came after revision `after`; `None`: nothing was missed.
pub(super) fn missed(pending: &Pending, of: Of<'_>, after: Option<u64>) -> Result<Missed, StoreError> {
    let (so_far, proposal) = read(pending, of)?;
    let after = after.unwrap_or(so_far.last);
    let first = so_far.first_kept.max(after.saturating_add(1));
    let gap = (first > after.saturating_add(1)).then_some(first);
    let from = keys::entity_number(Family::Item, of, first);
    let to = keys::entity_number(Family::Item, of, u64::MAX);
    let pairs = pending.scan(&from, &to, usize::MAX)?;
    let items = pairs.into_iter().filter_map(|(key, item)| Some((keys::parse_number(&key)?, item))).collect();
    Ok(Missed { after, gap, items, last: so_far.last, proposal })
}

/// Who listens to which entity.
#[derive(Default)]
pub(super) struct Subscribers {
    by_entity: BTreeMap<(KindIndex, Key), Vec<Listener>>,
    /// All of them.
    count: usize,
}

struct Listener {
    to: Subscriber,
    /// Items up to this revision were sent; `None` until the history was sent.
    sent: Option<u64>,
    /// Items that were published before the history was sent.
    early: Items,
    number: u64,
}

impl Subscribers {
    /// Adds a listener that hears nothing until [`start`](Self::start).
    pub(super) fn add(&mut self, kind: KindIndex, key: &Key, to: Subscriber, number: u64) {
        let listeners = self.by_entity.entry((kind, key.clone())).or_default();
        listeners.push(Listener { to, sent: None, early: Items::new(), number });
        self.count += 1;
    }

    /// Sends what was missed; from now on the listener hears everything.
    pub(super) fn start(&mut self, kind: KindIndex, key: &Key, number: u64, missed: Missed) {
        let Some(listeners) = self.by_entity.get_mut(&(kind, key.clone())) else { return };
        let Some(listener) = listeners.iter_mut().find(|listener| listener.number == number) else { return };
        listener.sent = Some(missed.last);
        let gap = missed.gap.map(|first| Published::Gap { first });
        let items = missed.items.into_iter().map(|(revision, item)| Published::Item { revision, item });
        let early = std::mem::take(&mut listener.early);
        let sent = gap.into_iter().chain(items).all(|published| listener.to.try_send(published).is_ok());
        if !sent || !listener.hear(&early) {
            self.remove(kind, key, number);
        }
    }

    /// Takes a listener away.
    pub(super) fn remove(&mut self, kind: KindIndex, key: &Key, number: u64) {
        self.retain(kind, key, |listener| listener.number != number);
    }

    /// Gives items to all listeners. One that is too slow or gone is dropped: its channel closes, and it
    /// subscribes again behind the last revision that it saw.
    pub(super) fn publish(&mut self, kind: KindIndex, key: &Key, items: &Items) {
        self.retain(kind, key, |listener| listener.hear(items));
    }

    fn retain(&mut self, kind: KindIndex, key: &Key, stays: impl FnMut(&mut Listener) -> bool) {
        let entity = (kind, key.clone());
        let Some(listeners) = self.by_entity.get_mut(&entity) else { return };
        let before = listeners.len();
        listeners.retain_mut(stays);
        self.count -= before - listeners.len();
        if listeners.is_empty() {
            self.by_entity.remove(&entity);
        }
    }

    /// Drops listeners that are gone.
    pub(super) fn sweep(&mut self) {
        self.by_entity.retain(|_, listeners| {
            listeners.retain(|listener| !listener.to.is_closed());
            !listeners.is_empty()
        });
        self.count = self.by_entity.values().map(Vec::len).sum();
    }

    /// How many listen.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

impl Listener {
    fn hear(&mut self, items: &Items) -> bool {
        let Some(sent) = self.sent else {
            self.early.extend(items.iter().cloned());
            return self.early.len() <= EARLY_MAX;
        };
        for (revision, item) in items.iter().filter(|(revision, _)| *revision > sent) {
            let published = Published::Item { revision: *revision, item: item.clone() };
            if self.to.try_send(published).is_err() {
                return false;
            }
            self.sent = Some(*revision);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn those_who_listen_are_counted_however_they_leave() {
        let (mut all, kind) = (Subscribers::default(), KindIndex(0));
        let [one, other] = ["one", "other"].map(|key| Key::new(key).unwrap());
        let mut ends = Vec::new();
        for (number, key) in (0..).zip([&one, &one, &one, &other]) {
            let (to, items) = mpsc::channel(1);
            all.add(kind, key, to, number);
            let missed = Missed { after: 0, gap: None, items: Items::new(), last: 0, proposal: 0 };
            all.start(kind, key, number, missed);
            ends.push(items);
        }
        assert_eq!(all.len(), 4);
        all.remove(kind, &one, 0);
        all.remove(kind, &one, 0);
        assert_eq!(all.len(), 3);
        let items = vec![(1, Bytes::new()), (2, Bytes::new())];
        all.publish(kind, &one, &items);
        assert_eq!(all.len(), 1, "two were too slow");
        ends.clear();
        all.sweep();
        assert_eq!((all.len(), all.by_entity.len()), (0, 0));
    }
}
