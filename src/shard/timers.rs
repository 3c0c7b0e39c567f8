//! Durable timers: a command that an entity sends itself at a time of the shard's clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use compact_str::CompactString;
use playhouse_cluster::store::StoreError;

use super::{
    keys::{self, Family, Of},
    pending::Pending,
    records::{decode, encode},
};
use crate::{
    entity::{KindIndex, TimerChange},
    protocol::{EntityId, Key, KindName},
};

/// A timer whose time has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) kind: String,
    pub(super) key: Key,
    pub(super) name: CompactString,
    pub(super) command: Bytes,
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTimer {
    /// Whose.
    pub entity: EntityId,
    /// Its name at that entity.
    pub name: CompactString,
    /// When it fires, in milliseconds of the shard's clock.
    pub at_ms: u64,
}

/// The timers of one shard. Only the time of the next one is in memory.
#[derive(Debug, Default)]
pub(super) struct Timers {
    next_ms: Option<u64>,
    /// Timers of `Volatile` kinds, in the order in which they fire.
    volatile: BTreeMap<(u64, VolatileTimer), Bytes>,
    /// When each of them fires.
    volatile_ms: BTreeMap<VolatileTimer, u64>,
}

/// Which timer of which `Volatile` entity.
type VolatileTimer = (KindIndex, Key, CompactString);

impl Timers {
    pub(super) fn load(pending: &Pending) -> Result<Self, StoreError> {
        let mut timers = Self::default();
        timers.find_next(pending, &Family::Due.start())?;
        Ok(timers)
    }

    /// When the next timer is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let volatile = self.volatile.first_key_value().map(|(key, _)| key.0);
        [self.next_ms, volatile].into_iter().flatten().min()
    }

    /// Writes a change of a durable timer into the open proposal.
    pub(super) fn change(
        &mut self,
        pending: &mut Pending,
        of: Of<'_>,
        change: TimerChange,
    ) -> Result<(), StoreError> {
        match change {
            TimerChange::Cancel { name } => self.remove(pending, of, &name),
            TimerChange::Set { name, at_ms, command } => {
                self.remove(pending, of, &name)?;
                pending.put(keys::entity_name(Family::Timer, of, &name), encode(&at_ms));
                pending.put(keys::timed(Family::Due, at_ms, of, &name), encode(&command));
                self.next_ms = Some(self.next_ms.map_or(at_ms, |next| next.min(at_ms)));
                Ok(())
            }
        }
    }

    fn remove(&mut self, pending: &mut Pending, of: Of<'_>, name: &str) -> Result<(), StoreError> {
        let by_name = keys::entity_name(Family::Timer, of, name);
        if let (Some(due), _) = pending.get(&by_name)? {
            let due_ms: u64 = decode("a timer", &due)?;
            pending.remove(keys::timed(Family::Due, due_ms, of, name));
            pending.remove(by_name);
        }
        Ok(())
    }

    /// Removes all durable timers of an entity.
    pub(super) fn remove_all(&mut self, pending: &mut Pending, of: Of<'_>) -> Result<(), StoreError> {
        let prefix = keys::entity_name(Family::Timer, of, "");
        let names = pending.scan(&prefix, &keys::after_prefix(&prefix), usize::MAX)?;
        for (key, _) in names {
            let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            self.remove(pending, of, &name)?;
        }
        Ok(())
    }

    /// Takes the first durable timer that is due out of the store; removing it is part of the open proposal. One at a
    /// time: the handler of one may cancel or move the next.
    pub(super) fn pop_due(&mut self, pending: &mut Pending, now_ms: u64) -> Result<Option<Due>, StoreError> {
        let Some(next) = self.next_ms.filter(|next| *next <= now_ms) else { return Ok(None) };
        // Nothing is set for an earlier time, so the search need not pass the remains of what has fired.
        self.find_next(pending, &keys::number(Family::Due, next))?;
        let Some(next) = self.next_ms.filter(|next| *next <= now_ms) else { return Ok(None) };
        let from = keys::number(Family::Due, next);
        let Some((by_time, command)) = pending.scan(&from, &Family::Due.end(), 1)?.pop() else {
            return Ok(None);
        };
        pending.remove(by_time.clone());
        let Some((_, kind, key, name)) = keys::parse_timed(&by_time) else {
            return self.pop_due(pending, now_ms);
        };
        pending.remove(keys::entity_name(Family::Timer, Of { kind, key: &key }, name));
        let (kind, name) = (kind.to_owned(), name.into());
        Ok(Some(Due { kind, key, name, command: decode("a timer", &command)? }))
    }

    fn find_next(&mut self, pending: &Pending, from: &[u8]) -> Result<(), StoreError> {
        let first = pending.scan(from, &Family::Due.end(), 1)?;
        self.next_ms = first.first().and_then(|(key, _)| keys::parse_timed(key)).map(|parts| parts.0);
        Ok(())
    }

    /// Changes a timer of a `Volatile` entity.
    pub(super) fn change_volatile(&mut self, kind: KindIndex, key: &Key, change: TimerChange) {
        let (name, set) = match change {
            TimerChange::Set { name, at_ms, command } => (name, Some((at_ms, command))),
            TimerChange::Cancel { name } => (name, None),
        };
        let timer = (kind, key.clone(), name);
        if let Some(at_ms) = self.volatile_ms.remove(&timer) {
            self.volatile.remove(&(at_ms, timer.clone()));
        }
        if let Some((at_ms, command)) = set {
            self.volatile_ms.insert(timer.clone(), at_ms);
            self.volatile.insert((at_ms, timer), command);
        }
    }

    /// How many timers of `Volatile` entities are set.
    pub(super) fn volatile_len(&self) -> usize {
        self.volatile.len()
    }

    /// Takes the first timer of a `Volatile` entity that is due.
    pub(super) fn pop_due_volatile(&mut self, now_ms: u64) -> Option<(KindIndex, Key, CompactString, Bytes)> {
        let first = self.volatile.first_entry().filter(|first| first.key().0 <= now_ms)?;
        let ((_, timer), command) = first.remove_entry();
        self.volatile_ms.remove(&timer);
        let (kind, key, name) = timer;
        Some((kind, key, name, command))
    }

    /// All timers, in the order in which they fire. Reads all that are durable.
    pub(super) fn all(
        &self,
        pending: &Pending,
        kind_name: impl Fn(KindIndex) -> KindName,
    ) -> Result<Vec<SetTimer>, StoreError> {
        let mut set = Vec::new();
        for (key, _) in super::streams::scan_all(pending, Family::Due)? {
            if let Some((at_ms, kind, key, name)) = keys::parse_timed(&key)
                && let Ok(kind) = KindName::new(kind)
            {
                set.push(SetTimer { entity: EntityId { kind, key }, name: name.into(), at_ms });
            }
        }
        set.extend(self.volatile.keys().map(|(at_ms, (kind, key, name))| SetTimer {
            entity: EntityId { kind: kind_name(*kind), key: key.clone() },
            name: name.clone(),
            at_ms: *at_ms,
        }));
        set.sort_by_key(|timer| timer.at_ms);
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: KindIndex = KindIndex(0);

    fn set(name: &str, at_ms: u64) -> TimerChange {
        TimerChange::Set { name: name.into(), at_ms, command: Bytes::new() }
    }

    #[test]
    fn a_timer_in_memory_that_is_set_again_is_moved_and_one_that_fired_is_gone() {
        let (mut timers, key) = (Timers::default(), Key::new("k").unwrap());
        for (name, at_ms) in [("a", 30), ("b", 20), ("a", 10)] {
            timers.change_volatile(KIND, &key, set(name, at_ms));
        }
        timers.change_volatile(KIND, &key, TimerChange::Cancel { name: "none".into() });
        assert_eq!((timers.volatile_len(), timers.next_ms()), (2, Some(10)));
        let fired = timers.pop_due_volatile(10).unwrap();
        assert_eq!((fired.2.as_str(), timers.pop_due_volatile(19)), ("a", None));
        timers.change_volatile(KIND, &key, set("a", 40));
        timers.change_volatile(KIND, &key, TimerChange::Cancel { name: "b".into() });
        assert_eq!((timers.volatile_len(), timers.next_ms()), (1, Some(40)));
        assert_eq!((timers.volatile.len(), timers.volatile_ms.len()), (1, 1), "nothing is left behind");
    }
}
