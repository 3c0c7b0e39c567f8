//! The cluster becomes smaller, on purpose.

use std::collections::BTreeSet;

use super::super::{ClusterState, Intent, Member, MemberState, Refusal};
use crate::consensus::RaftId;

impl ClusterState {
    pub(super) fn leave(&mut self, names: &BTreeSet<String>, force: bool) -> Result<(), Refusal> {
        let unknown = |name: &String| Refusal::Unknown { what: name.clone() };
        let found = names
            .iter()
            .map(|name| self.member_named(name).map(|member| member.raft_id).ok_or_else(|| unknown(name)));
        let leaving = found.collect::<Result<BTreeSet<_>, _>>()?;
        self.change_intents(&leaving, &BTreeSet::new(), force)
    }

    pub(super) fn scale(&mut self, set: &str, to: u32, force: bool) -> Result<(), Refusal> {
        let (mut leaving, mut staying) = (BTreeSet::new(), BTreeSet::new());
        for member in self.members.values() {
            match member.ordinal() {
                Some((other, _)) if other != set => {}
                Some((_, ordinal)) if ordinal >= to => drop(leaving.insert(member.raft_id)),
                Some(_) => drop(staying.insert(member.raft_id)),
                None => {}
            }
        }
        if leaving.is_empty() && staying.is_empty() {
            return Err(Refusal::Unknown { what: format!("called {set}-0, {set}-1, …") });
        }
        self.change_intents(&leaving, &staying, force)
    }

    fn change_intents(
        &mut self,
        leaving: &BTreeSet<RaftId>,
        staying: &BTreeSet<RaftId>,
        force: bool,
    ) -> Result<(), Refusal> {
        let needed = self.voters_wanted();
        let mut has_more_leavers = false;
        for member in self.members.values_mut().filter(|member| member.state != MemberState::Left) {
            if leaving.contains(&member.raft_id) {
                has_more_leavers |= member.intent != Intent::Leave;
                member.intent = Intent::Leave;
            } else if staying.contains(&member.raft_id) && member.intent == Intent::Leave {
                member.intent = Intent::Stay;
            }
        }
        if has_more_leavers { self.check_who_stays(needed, force) } else { Ok(()) }
    }

    /// Two nodes are safe, yet stop when one of them does; one node has the only copy.
    fn check_who_stays(&self, needed: usize, force: bool) -> Result<(), Refusal> {
        let stays = |member: &&Member| member.stays() && member.is_live();
        match self.members.values().filter(stays).count() {
            0 => Err(Refusal::NobodyStays),
            staying if staying < needed && !force => Err(Refusal::TooFewStay { staying, needed }),
            _ => Ok(()),
        }
    }
}
