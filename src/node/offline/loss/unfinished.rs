//! A recovery that was interrupted when everything was done but its last line in the record.
//!
//! Asked for again it would be refused: by what is on the volume now, nobody is lost any more.

use playhouse_cluster::{
    consensus::{GroupId, Recovery},
    identity::StoppedVolume,
    store::Store,
};

use super::{
    super::{AuditEntry, RecoveredGroup},
    LossWanted, RecoverError,
};
use crate::node::cluster::system::SYSTEM;

/// The last of `steps`, if it is what is wanted, and only the line is missing that says that it was done.
pub(super) fn find(
    mut steps: Vec<AuditEntry>,
    store: &Store,
    volume: &StoppedVolume,
    wanted: &LossWanted,
) -> Result<Option<AuditEntry>, RecoverError> {
    let last = steps.pop().filter(|last| !last.is_done && is_wanted(last, volume.name(), wanted));
    let Some(entry) = last.filter(|last| is_in_its_cluster(last, volume)) else { return Ok(None) };
    for group in &entry.groups {
        if !went_on(group, store, volume)? {
            return Ok(None);
        }
    }
    Ok(Some(entry))
}

/// The name of the volume may be among those that are lost: for what it had before.
fn is_wanted(entry: &AuditEntry, own: &str, wanted: &LossWanted) -> bool {
    let has = |shard: Option<u32>| entry.groups.iter().any(|group| group.shard == shard);
    let is_lost = |name: &String| wanted.lost.contains(name) || name == own;
    has(wanted.shard) && has(None) == wanted.shard.is_none() && entry.lost.iter().all(is_lost)
}

fn is_in_its_cluster(entry: &AuditEntry, volume: &StoppedVolume) -> bool {
    let now = volume.cluster_id().map(|id| id.to_string());
    entry.new_cluster_id.as_ref().is_none_or(|id| now.as_ref() == Some(id))
}

fn went_on(group: &RecoveredGroup, store: &Store, volume: &StoppedVolume) -> Result<bool, RecoverError> {
    let replica = Recovery::open(store, group.shard.map_or(SYSTEM, GroupId))?;
    Ok(replica.is_some_and(|replica| replica.survivor().went_on_from(volume.raft_id(), group.index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(shards: &[Option<u32>]) -> AuditEntry {
        let group = |shard: &Option<u32>| RecoveredGroup {
            shard: *shard,
            term: 1,
            index: 9,
            committed: 8,
            clock_ms: None,
            voters: Vec::new(),
        };
        AuditEntry {
            at_ms: 1,
            is_done: false,
            release: "1".to_owned(),
            node: "a".to_owned(),
            lost: vec!["a".to_owned(), "b".to_owned()],
            cluster_id: "77".to_owned(),
            new_cluster_id: None,
            groups: shards.iter().map(group).collect(),
        }
    }

    #[test]
    fn only_the_same_command_finishes_it() {
        let is_it = |shards: &[Option<u32>], shard, lost: &str| {
            let wanted = LossWanted { shard, lost: [lost.to_owned()].into(), has_consent: true };
            is_wanted(&entry(shards), "a", &wanted)
        };
        let (one, all) = ([Some(3)], [None, Some(0), Some(3)]);
        assert!(is_it(&one, Some(3), "b") && is_it(&all, None, "b"));
        assert!(!is_it(&one, Some(2), "b") && !is_it(&one, None, "b") && !is_it(&all, Some(3), "b"));
        assert!(!is_it(&one, Some(3), "c"), "somebody else was given up");
    }
}
