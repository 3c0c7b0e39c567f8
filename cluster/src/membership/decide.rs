//! From one configuration to the next.

mod batch;
mod join;
mod leave;
mod lifecycle;
mod loss;
mod moves;

pub use batch::Decided;
pub use loss::Loss;

use super::{ClusterState, Command, Former, Intent, Member, MemberState, Refusal};
use crate::consensus::RaftId;

impl ClusterState {
    /// The configuration after `command`, with the next revision. `Ok(None)`: the command changes nothing.
    ///
    /// `now_ms` is the wall clock of the leader. If it is behind an earlier leader's, that one's counts.
    ///
    /// # Errors
    ///
    /// When the command must not be obeyed. Nothing was changed.
    pub fn decide(&self, command: &Command, now_ms: u64) -> Result<Option<Self>, Refusal> {
        let mut next = self.clone();
        next.clock_ms = self.clock_ms.max(now_ms);
        next.obey(command)?;
        let _ = next.let_go();
        let clock_ms = std::mem::replace(&mut next.clock_ms, self.clock_ms);
        if next == *self {
            return Ok(None);
        }
        next.clock_ms = clock_ms;
        next.revision += 1;
        Ok(Some(next))
    }

    fn obey(&mut self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::Join { node, other_is_heard } => self.join(node, *other_is_heard),
            Command::Reached { raft_id, incarnation } => self.reached(*raft_id, *incarnation),
            Command::Drain { raft_id, incarnation } => self.drain(*raft_id, *incarnation),
            Command::Undrain { raft_id } => self.undrain(*raft_id),
            Command::Unreachable { raft_id, incarnation } => self.unreachable(*raft_id, *incarnation),
            Command::Replace { raft_id } => self.replace(*raft_id),
            Command::Leave { names, force } => self.leave(names, *force),
            Command::Scale { set, to, force } => self.scale(set, *to, *force),
            Command::Forget { raft_id } => self.forget(*raft_id),
            Command::Moved { which, voters, at } => self.moved(*which, voters, *at),
            Command::Plan(plan) => self.begin(plan),
        }
    }

    /// Who wants to leave and holds nothing has left. Whether there was anybody.
    fn let_go(&mut self) -> bool {
        let wants = |member: &&Member| member.intent == Intent::Leave && member.state != MemberState::Left;
        let wanting: Vec<_> = self.members.values().filter(wants).map(|member| member.raft_id).collect();
        let mut has_anybody_left = false;
        for raft_id in wanting {
            if !self.holds_replicas(raft_id) {
                let now_ms = self.clock_ms;
                self.known(raft_id).expect("it was found above").enter(MemberState::Left, now_ms);
                has_anybody_left = true;
            }
        }
        has_anybody_left
    }

    fn known(&mut self, raft_id: RaftId) -> Result<&mut Member, Refusal> {
        let unknown = || Refusal::Unknown { what: format!("with the volume {}", raft_id.0) };
        self.members.get_mut(&raft_id).ok_or_else(unknown)
    }

    /// The Raft id never comes back. Its replicas go to `replaced_by`, or to anybody.
    fn retire(&mut self, raft_id: RaftId, replaced_by: Option<RaftId>) -> Result<(), Refusal> {
        let Member { name, incarnation, .. } = self.known(raft_id)?.clone();
        self.forget_oldest_former()?;
        self.members.remove(&raft_id);
        for former in self.former.iter_mut().filter(|former| former.replaced_by == Some(raft_id)) {
            former.replaced_by = replaced_by;
        }
        let since_ms = self.clock_ms;
        self.former.push(Former { raft_id, name, incarnation, replaced_by, since_ms });
        Ok(())
    }

    /// Makes room for one. What is still a voter somewhere is not forgotten.
    fn forget_oldest_former(&mut self) -> Result<(), Refusal> {
        if self.former.len() < super::FORMER_MAX {
            return Ok(());
        }
        let oldest = self.former.iter().position(|former| !self.holds_replicas(former.raft_id));
        let full = || Refusal::Full { what: "former members with replicas".into(), max: super::FORMER_MAX };
        self.former.remove(oldest.ok_or_else(full)?);
        Ok(())
    }
}
