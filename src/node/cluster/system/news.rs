//! Who has to look at a new configuration.
//!
//! Each group of a node has somebody who brings it to where the configuration wants it. While shards move, the configuration
//! changes many times in a second, and nearly all of them would look in vain.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use playhouse_cluster::{
    environment::watch,
    membership::{ClusterState, Which},
};

/// Tells groups of what concerns them. Bounded by the number of groups.
#[derive(Default)]
pub(super) struct News(Mutex<BTreeMap<Which, watch::Sender<()>>>);

impl News {
    /// Hears of what concerns this group, from now on.
    pub(super) fn of(&self, which: Which) -> watch::Receiver<()> {
        self.0.lock().entry(which).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// The configuration was `before`, and is `now`.
    pub(super) fn tell(&self, before: Option<&ClusterState>, now: Option<&ClusterState>) {
        let (Some(before), Some(now)) = (before, now) else {
            return self.0.lock().values().for_each(|reader| {
                reader.send_replace(());
            });
        };
        let are_new_members = before.members() != now.members();
        let mut readers = self.0.lock();
        readers.retain(|_, reader| !reader.is_closed());
        for (which, reader) in readers.iter() {
            if are_new_members || is_changed(*which, before, now) {
                reader.send_replace(());
            }
        }
    }
}

/// Whether what a mover looks at beside the members is another.
fn is_changed(which: Which, before: &ClusterState, now: &ClusterState) -> bool {
    match which {
        Which::System => before.system() != now.system(),
        Which::Shard(shard) => before.map().get(shard as usize) != now.map().get(shard as usize),
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::{consensus::RaftId, identity::Incarnation, membership::Command};

    use super::{super::tests::founded, *};

    /// Every group of a node once looked whenever any group of the cluster had moved.
    #[test]
    fn a_group_hears_of_itself_and_of_members_only() {
        let news = News::default();
        let [mut first, mut other, mut system] =
            [Which::Shard(0), Which::Shard(1), Which::System].map(|which| news.of(which));
        let mut heard = || {
            [&mut first, &mut other, &mut system].map(|reader| {
                let has_heard = reader.has_changed().unwrap();
                drop(reader.borrow_and_update());
                has_heard
            })
        };
        let begun = founded();
        news.tell(None, Some(&begun));
        assert_eq!(heard(), [true; 3]);
        let moved = |which| Command::Moved { which, voters: [RaftId(1)].into(), at: 7 };
        let next = begun.decide(&moved(Which::Shard(0)), 1).unwrap().unwrap();
        news.tell(Some(&begun), Some(&next));
        assert_eq!(heard(), [true, false, false]);
        let then = next.decide(&moved(Which::System), 2).unwrap().unwrap();
        news.tell(Some(&next), Some(&then));
        assert_eq!(heard(), [false, false, true]);
        let drain = Command::Drain { raft_id: RaftId(1), incarnation: Incarnation(1) };
        news.tell(Some(&then), then.decide(&drain, 3).unwrap().as_ref());
        assert_eq!(heard(), [true; 3]);
    }

    #[test]
    fn a_group_that_is_gone_is_forgotten() {
        let news = News::default();
        let (gone, _stays) = (news.of(Which::Shard(0)), news.of(Which::Shard(1)));
        drop(gone);
        news.tell(Some(&founded()), Some(&founded()));
        assert_eq!(news.0.lock().keys().collect::<Vec<_>>(), [&Which::Shard(1)]);
    }
}
