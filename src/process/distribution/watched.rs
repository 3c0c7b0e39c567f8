//! Both ends of watching: processes of the peer that somebody here watches, and processes of this node that the peer watches.

use std::{collections::BTreeMap, sync::Arc};

use super::mirror::Mirror;
use crate::process::{ProcessId, life::NoticeId, link::Peer};

/// The least number of mirrors at which idle ones are looked for.
const SWEEP_FROM: usize = 1_024;

/// What is watched over one connection. Gone when it closes.
pub(super) struct Watched {
    /// Of the peer, by number.
    mirrors: BTreeMap<u64, Arc<Mirror>>,
    /// Idle ones are looked for when there are so many.
    sweep_at: usize,
    /// Of this node, by number.
    own: BTreeMap<u64, Own>,
}

struct Own {
    peer: Arc<dyn Peer>,
    /// `None` as long as it is being watched for the first time.
    notice: Option<NoticeId>,
}

impl Watched {
    pub(super) fn new() -> Self {
        Self { mirrors: BTreeMap::new(), sweep_at: SWEEP_FROM, own: BTreeMap::new() }
    }

    /// How many processes of the peer are watched here.
    pub(super) fn mirrors_len(&self) -> usize {
        self.mirrors.len()
    }

    /// How many processes of this node the peer watches.
    pub(super) fn own_len(&self) -> usize {
        self.own.len()
    }

    pub(super) fn mirror(&self, number: u64) -> Option<Arc<Mirror>> {
        self.mirrors.get(&number).cloned()
    }

    /// There is one more mirror.
    pub(super) fn reflect(&mut self, id: ProcessId) -> Arc<Mirror> {
        let mirror = Mirror::new(id);
        self.mirrors.insert(id.number(), Arc::clone(&mirror));
        mirror
    }

    /// Takes out the mirrors that nobody needs, if it is time to look.
    pub(super) fn sweep(&mut self) -> Vec<u64> {
        if self.mirrors.len() < self.sweep_at {
            return Vec::new();
        }
        let idle = self.mirrors.iter().filter(|(_, mirror)| mirror.is_idle());
        let idle: Vec<u64> = idle.map(|(number, _)| *number).collect();
        idle.iter().for_each(|number| drop(self.mirrors.remove(number)));
        self.sweep_at = (self.mirrors.len() * 2).max(SWEEP_FROM);
        idle
    }

    /// The process of the peer has ended.
    pub(super) fn ended(&mut self, number: u64) -> Option<Arc<Mirror>> {
        self.mirrors.remove(&number)
    }

    /// The peer watches a process of this node. Whether it did not before.
    pub(super) fn begin(&mut self, number: u64, peer: &Arc<dyn Peer>) -> bool {
        let is_new = !self.own.contains_key(&number);
        self.own.entry(number).or_insert_with(|| Own { peer: Arc::clone(peer), notice: None });
        is_new
    }

    /// What will tell the peer. Given back if the peer watches it no more.
    pub(super) fn began(&mut self, number: u64, notice: NoticeId) -> Option<NoticeId> {
        match self.own.get_mut(&number) {
            Some(own) => {
                own.notice = Some(notice);
                None
            }
            None => Some(notice),
        }
    }

    /// The peer watches it no more, or it has ended.
    pub(super) fn end(&mut self, number: u64) -> Option<(Arc<dyn Peer>, NoticeId)> {
        let own = self.own.remove(&number)?;
        own.notice.map(|notice| (own.peer, notice))
    }

    /// Nothing is watched any more.
    #[allow(clippy::type_complexity)] // Both halves of it.
    pub(super) fn close(self) -> (Vec<Arc<Mirror>>, Vec<(Arc<dyn Peer>, NoticeId)>) {
        let own = self.own.into_values().filter_map(|own| own.notice.map(|notice| (own.peer, notice)));
        (self.mirrors.into_values().collect(), own.collect())
    }
}
