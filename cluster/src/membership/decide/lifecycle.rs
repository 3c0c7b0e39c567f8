//! Members come, restart, fall silent and are forgotten.

use super::super::{ClusterState, Intent, Member, MemberState, Refusal};
use crate::{consensus::RaftId, identity::Incarnation};

impl ClusterState {
    pub(super) fn reached(&mut self, raft_id: RaftId, start: Incarnation) -> Result<(), Refusal> {
        let now_ms = self.clock_ms;
        let member = self.started(raft_id, start)?;
        if matches!(member.state, MemberState::Joining | MemberState::Down) {
            member.enter(MemberState::Up, now_ms);
            member.return_to_stay();
            self.end_beginning();
        }
        Ok(())
    }

    pub(super) fn drain(&mut self, raft_id: RaftId, start: Incarnation) -> Result<(), Refusal> {
        let now_ms = self.clock_ms;
        let member = self.started(raft_id, start)?;
        match member.state {
            MemberState::Joining | MemberState::Up => member.enter(MemberState::Draining, now_ms),
            MemberState::Draining => {}
            MemberState::Down | MemberState::Left => return Err(wrong(member, "running")),
        }
        Ok(())
    }

    pub(super) fn undrain(&mut self, raft_id: RaftId) -> Result<(), Refusal> {
        let now_ms = self.clock_ms;
        let member = self.known(raft_id)?;
        match member.state {
            // It may have begun to drain before it was up.
            MemberState::Draining => member.enter(MemberState::Joining, now_ms),
            MemberState::Joining | MemberState::Up => {}
            MemberState::Down | MemberState::Left => return Err(wrong(member, "running")),
        }
        Ok(())
    }

    pub(super) fn unreachable(&mut self, raft_id: RaftId, start: Incarnation) -> Result<(), Refusal> {
        let now_ms = self.clock_ms;
        let member = self.started(raft_id, start)?;
        if member.is_live() {
            member.enter(MemberState::Down, now_ms);
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, raft_id: RaftId) -> Result<(), Refusal> {
        let member = self.known(raft_id)?;
        if member.state != MemberState::Down {
            return Err(wrong(member, "down"));
        }
        if member.intent == Intent::Stay {
            member.intent = Intent::Replace;
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, raft_id: RaftId) -> Result<(), Refusal> {
        let holds = self.holds_replicas(raft_id);
        let member = self.known(raft_id)?;
        if holds || !matches!(member.state, MemberState::Down | MemberState::Left) {
            return Err(wrong(member, "gone: it must have left, or be down and hold no replica"));
        }
        self.retire(raft_id, None)
    }

    /// The member, if `start` is its last; one that has left has no start any more.
    fn started(&mut self, raft_id: RaftId, start: Incarnation) -> Result<&mut Member, Refusal> {
        let member = self.known(raft_id)?;
        if member.state == MemberState::Left {
            return Err(wrong(member, "a member any more: it has left"));
        }
        if member.incarnation != start {
            return Err(Refusal::EarlierStart { name: member.name.clone(), known: member.incarnation });
        }
        Ok(member)
    }
}

impl Member {
    /// Who is back is not replaced.
    fn return_to_stay(&mut self) {
        if self.intent == Intent::Replace {
            self.intent = Intent::Stay;
        }
    }
}

fn wrong(member: &Member, wanted: &str) -> Refusal {
    Refusal::WrongState { name: member.name.clone(), wanted: wanted.to_owned() }
}
