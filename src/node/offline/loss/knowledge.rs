//! Whether a volume may go on alone, by what it knows of its cluster. Pure.
//!
//! What a volume knows is old: its log of the group may miss the last changes of voters, and so may its configuration. So a shard
//! goes on alone only when every other volume that could have a replica by either of them is one that the cluster never accepts
//! again. That is decided in one order for all: of two volumes, the one that was given up first cannot learn that the other was.

use std::collections::BTreeSet;

use playhouse_cluster::{
    consensus::{LogPosition, RaftId, Survivor},
    membership::{ClusterState, MemberState, Replicas, Which},
};

use super::RecoverError;

/// What the volume knows.
pub(super) struct Knowledge {
    pub(super) own: RaftId,
    /// The name of its node.
    pub(super) name: String,
    pub(super) state: ClusterState,
}

impl Knowledge {
    /// Everything goes on here, under a cluster id that no other volume knows. Returns who is lost.
    pub(super) fn check_all(
        &self,
        system: &Survivor,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<RaftId>, RecoverError> {
        let lost = names.iter().map(|name| self.member_named(name)).collect::<Result<BTreeSet<_>, _>>()?;
        if !system.is_lost_without(&lost) {
            return Err(self.has_quorum(Which::System, system, &lost));
        }
        let stays = |raft_id: RaftId| raft_id == self.own || lost.contains(&raft_id);
        let members = self.state.members().values();
        let behind = members.filter(|member| member.state != MemberState::Left && !stays(member.raft_id));
        let names: Vec<_> = behind.map(|member| member.name.as_str()).collect();
        if names.is_empty() { Ok(lost) } else { Err(RecoverError::LeftBehind { names: names.join(", ") }) }
    }

    /// One shard goes on here while the rest of the cluster lives. Returns the volumes that are lost with it.
    pub(super) fn check_shard(
        &self,
        shard: u32,
        replica: Option<&Survivor>,
        system: &Survivor,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<RaftId>, RecoverError> {
        let which = Which::Shard(shard);
        let Some(mapped) = self.state.replicas(which) else {
            return Err(RecoverError::NoSuchShard { shard, shards: self.state.shards() });
        };
        names.iter().try_for_each(|name| self.check_name(name))?;
        if self.is_refused(self.own) {
            return Err(RecoverError::GivenUp);
        }
        // A replica that the configuration does not want here would not even be opened.
        let replica = self.check_votes(which, replica.filter(|_| mapped.involves(self.own)))?;
        let others = self.others(mapped, replica);
        let lost = self.volumes_of(names, &others);
        if !is_lost(mapped, replica, &lost) {
            return Err(self.has_quorum(which, replica, &lost));
        }
        if system.is_lost_without(&lost) {
            return Err(RecoverError::SystemLost);
        }
        let left: Vec<_> = others.difference(&lost).collect();
        if !left.is_empty() {
            let (names, LogPosition { term, index }) = (self.names(left).join(", "), replica.last);
            return Err(RecoverError::OthersLeft { which: which.to_string(), names, term, index });
        }
        self.check_fenced(which, mapped, replica, &others)?;
        Ok(others)
    }

    /// The replica of the group, which must have a vote.
    pub(super) fn check_votes<'a>(
        &self,
        which: Which,
        replica: Option<&'a Survivor>,
    ) -> Result<&'a Survivor, RecoverError> {
        replica.filter(|replica| replica.votes(self.own)).ok_or_else(|| {
            let voters = self.state.replicas(which).into_iter().flat_map(|mapped| &mapped.voters);
            RecoverError::NoReplica { which: which.to_string(), voters: self.names(voters).join(", ") }
        })
    }

    /// What people call these volumes.
    pub(super) fn names<'a>(&self, ids: impl IntoIterator<Item = &'a RaftId>) -> Vec<String> {
        let former = |id: &RaftId| self.state.former().iter().find(|former| former.raft_id == *id);
        let name = |id: &RaftId| {
            let member = self.state.member(*id).map(|member| &member.name);
            member.or_else(|| former(id).map(|former| &former.name)).cloned()
        };
        let mut names: Vec<_> =
            ids.into_iter().map(|id| name(id).unwrap_or_else(|| format!("{:016x}", id.0))).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The volume of a member that is lost.
    fn member_named(&self, name: &str) -> Result<RaftId, RecoverError> {
        self.check_name(name)?;
        self.state.member_named(name).map(|member| member.raft_id).ok_or_else(|| self.unknown(name))
    }

    /// Somebody else has the name, or had it.
    fn check_name(&self, name: &str) -> Result<(), RecoverError> {
        if name == self.name {
            return Err(RecoverError::Own { name: name.to_owned() });
        }
        let is_former = self.state.former().iter().any(|former| former.name == name);
        let is_known = is_former || self.state.member_named(name).is_some();
        if is_known { Ok(()) } else { Err(self.unknown(name)) }
    }

    fn unknown(&self, name: &str) -> RecoverError {
        let members: Vec<_> = self.state.members().values().map(|member| member.name.as_str()).collect();
        RecoverError::Unknown { name: name.to_owned(), members: members.join(", ") }
    }

    fn has_quorum(&self, which: Which, replica: &Survivor, lost: &BTreeSet<RaftId>) -> RecoverError {
        let (lost, left): (Vec<_>, Vec<_>) =
            replica.voters.iter().flatten().partition(|voter| lost.contains(voter));
        RecoverError::HasQuorum {
            which: which.to_string(),
            lost: if lost.is_empty() { "those that are lost".into() } else { self.names(lost).join(", ") },
            left: self.names(left).join(", "),
        }
    }

    /// Every other volume that has a replica with a vote, or may have one soon: by the log here, and by the configuration, of which
    /// one may know of moves that the other has not seen.
    fn others(&self, mapped: &Replicas, replica: &Survivor) -> BTreeSet<RaftId> {
        let wanted = mapped.wanted.iter().flat_map(|wanted| &wanted.voters);
        let all = replica.voters.iter().flatten().chain(&mapped.voters).chain(wanted);
        all.copied().filter(|id| *id != self.own).collect()
    }

    /// Of `others`, the volumes that are lost with these names: those that the names have now, or had before. The name of a lost
    /// volume belongs to an empty one by now. What the name of this volume had before is gone as well.
    fn volumes_of(&self, names: &BTreeSet<String>, others: &BTreeSet<RaftId>) -> BTreeSet<RaftId> {
        let is_named = |name: &String| names.contains(name) || *name == self.name;
        let former = self.state.former().iter().map(|former| (former.raft_id, &former.name));
        let members = self.state.members().values().map(|member| (member.raft_id, &member.name));
        let named = former.chain(members).filter(|(_, name)| is_named(name)).map(|(id, _)| id);
        named.filter(|id| others.contains(id)).collect()
    }

    /// The cluster lets none of these volumes come back.
    fn check_fenced(
        &self,
        which: Which,
        mapped: &Replicas,
        replica: &Survivor,
        others: &BTreeSet<RaftId>,
    ) -> Result<(), RecoverError> {
        let accepted: Vec<_> = others.iter().filter(|id| !self.is_refused(**id)).collect();
        if accepted.is_empty() {
            return Ok(());
        }
        let (which, volumes) = (which.to_string(), self.volumes(&accepted));
        let has_voted = |id: &RaftId| replica.votes(*id) || mapped.voters.contains(id);
        if accepted.into_iter().any(has_voted) {
            Err(RecoverError::NotFenced { which, volumes })
        } else {
            Err(RecoverError::Arriving { which, volumes })
        }
    }

    /// What people call these volumes, and which of that name they are.
    fn volumes(&self, ids: &[&RaftId]) -> String {
        let volume = |id: &&RaftId| format!("{} (Raft id {:016x})", self.names([*id]).join(""), id.0);
        let mut volumes: Vec<_> = ids.iter().map(volume).collect();
        volumes.sort();
        volumes.join(", ")
    }

    /// Whether the cluster never accepts the volume again. Of one that was never heard of here it may know more elsewhere.
    fn is_refused(&self, id: RaftId) -> bool {
        let has_left = self.state.member(id).is_some_and(|member| member.state == MemberState::Left);
        has_left || self.state.former().iter().any(|former| former.raft_id == id)
    }
}

/// Whether the majority of a shard is lost: by the voters that its own log says, or by those of the configuration, if the log
/// misses the last moves. A group of one lacks nobody.
fn is_lost(mapped: &Replicas, replica: &Survivor, lost: &BTreeSet<RaftId>) -> bool {
    let is_alone = replica.voters.iter().all(|voters| voters.len() == 1);
    let is_lost_by_map = mapped.voters.difference(lost).count() * 2 <= mapped.voters.len();
    !is_alone && (replica.is_lost_without(lost) || is_lost_by_map)
}

#[cfg(test)]
mod tests;
