//! A node introduces itself.

use super::super::{ClusterState, Intent, MEMBERS_MAX, Member, MemberState, Node, Refusal, Volume};
use crate::consensus::RaftId;

impl ClusterState {
    pub(super) fn join(&mut self, node: &Node, other_is_heard: bool) -> Result<(), Refusal> {
        self.check_cluster(node)?;
        let member = node.to_member(self.clock_ms)?;
        if self.former.iter().any(|former| former.raft_id == node.raft_id) {
            return Err(never_again(node));
        }
        match self.members.get(&node.raft_id) {
            Some(known) => {
                let restarted = restart(known, node, member)?;
                self.members.extend(restarted.map(|member| (member.raft_id, member)));
                Ok(())
            }
            // It belongs here, yet nobody knows it: it was forgotten.
            None if node.volume != Volume::New => Err(never_again(node)),
            None => self.admit(member, other_is_heard),
        }
    }

    fn check_cluster(&self, node: &Node) -> Result<(), Refusal> {
        match node.volume {
            Volume::Of(other) if other != self.cluster_id => {
                Err(Refusal::OtherCluster { cluster: self.cluster_id, node: other })
            }
            _ if node.shards != self.shards() => {
                Err(Refusal::OtherShards { cluster: self.shards(), node: node.shards })
            }
            _ => Ok(()),
        }
    }

    /// A volume that was never here before.
    fn admit(&mut self, mut member: Member, other_is_heard: bool) -> Result<(), Refusal> {
        self.check_listed(&member.name)?;
        let predecessor = self.member_named(&member.name).cloned();
        if let Some(other) = predecessor {
            member.intent = self.take_over(&other, member.raft_id, other_is_heard)?;
        }
        self.make_room()?;
        self.members.insert(member.raft_id, member);
        Ok(())
    }

    /// In the beginning only those who took part in the bootstrap are admitted: what they hold rules out a second cluster.
    fn check_listed(&self, name: &str) -> Result<(), Refusal> {
        match &self.beginning {
            Some(rules) if !rules.members().contains(name) => {
                Err(Refusal::NotListedYet { name: name.to_owned(), rules: rules.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The name returns with a new volume: the old one is lost, unless it has left before. The new member takes the
    /// place of the old one; if that was about to leave, so is the new one.
    fn take_over(&mut self, old: &Member, new: RaftId, other_is_heard: bool) -> Result<Intent, Refusal> {
        if old.state == MemberState::Left {
            self.retire(old.raft_id, None)?;
            return Ok(Intent::Stay);
        }
        if other_is_heard {
            return Err(Refusal::NameInUse { name: old.name.clone(), other: old.raft_id });
        }
        self.retire(old.raft_id, Some(new))?;
        Ok(if old.intent == Intent::Leave { Intent::Leave } else { Intent::Stay })
    }

    /// Room for one more member: of those that left, the first to have left is only remembered as former.
    fn make_room(&mut self) -> Result<(), Refusal> {
        if self.members.len() < MEMBERS_MAX {
            return Ok(());
        }
        let left = self
            .members
            .values()
            .filter(|member| member.state == MemberState::Left && !self.holds_replicas(member.raft_id));
        let first = left.min_by_key(|member| member.since_ms).map(|member| member.raft_id);
        let full = || Refusal::Full { what: "members".to_owned(), max: MEMBERS_MAX };
        self.retire(first.ok_or_else(full)?, None)
    }
}

/// The member after a restart; none if it is the start that is known.
fn restart(known: &Member, node: &Node, member: Member) -> Result<Option<Member>, Refusal> {
    if known.name != node.name {
        return Err(Refusal::OtherName { raft_id: known.raft_id, name: known.name.clone() });
    }
    if known.state == MemberState::Left {
        return Err(never_again(node));
    }
    if known.incarnation == node.incarnation {
        return Ok(None);
    }
    // Its own start is always the newest, or nearly so; what it remembers of the one before tells.
    if node.previous.min(node.incarnation) < known.incarnation {
        let (name, known) = (node.name.clone(), known.incarnation);
        return Err(Refusal::RestoredVolume { name, known, volume: node.previous });
    }
    let intent = if known.intent == Intent::Leave { Intent::Leave } else { Intent::Stay };
    Ok(Some(Member { intent, ..member }))
}

fn never_again(node: &Node) -> Refusal {
    Refusal::Former { raft_id: node.raft_id, name: node.name.clone() }
}
