//! Who should lead which shard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::pool::score;
use crate::{
    consensus::RaftId,
    membership::{ClusterState, Member, Shard, Which},
};

/// Which track leads which shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tracks {
    /// Any member may lead any shard.
    #[default]
    Any,
    /// By shard, the track that its leader must be on while a voter of that track is able to lead. None: any.
    ByShard(Vec<Option<String>>),
}

/// Who can lead a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Its voters that are able to.
    pub able: BTreeSet<RaftId>,
    /// Who leads by preference so far.
    pub preferred: Option<RaftId>,
}

/// A preferred leader for each shard that has somebody who can lead.
///
/// *Bound*: no other choice has a smaller sum of squares of leaderships per member. So all members are within one of
/// each other whenever any choice achieves that, and the most loaded one leads as few as possible in any case. It holds
/// because a choice of leaders is a semi-matching, and one without a path from a member to another with two fewer
/// leaderships (along shards that the first leads and the next could lead) is optimal. Preferences that do not stand
/// in the way stay as they are.
///
/// ```
/// use playhouse_cluster::{consensus::RaftId, placement::{Choice, preferred_leaders}};
///
/// let any = Choice { able: [RaftId(1), RaftId(2)].into(), preferred: Some(RaftId(1)) };
/// let one = Choice { able: [RaftId(1)].into(), preferred: None };
/// assert_eq!(preferred_leaders(&[any, one]), [Some(RaftId(2)), Some(RaftId(1))]);
/// ```
#[must_use]
pub fn preferred_leaders(shards: &[Choice]) -> Vec<Option<RaftId>> {
    let mut leaders = Leaders::new(shards);
    leaders.fill();
    // Each path takes one leadership from somebody who has two more: fewer paths than that are enough.
    let paths_max = shards.len() * leaders.led.len();
    for _ in 0..paths_max {
        let Some(path) = leaders.path_down() else { break };
        path.into_iter().for_each(|(shard, to)| leaders.give(shard, to));
    }
    leaders.by_shard
}

/// What is to be changed in the state.
pub(super) fn changes(state: &ClusterState, tracks: &Tracks) -> Vec<(u32, Option<RaftId>)> {
    let choice = |(number, shard)| choice(state, tracks, number, shard);
    let choices: Vec<_> = state.map().iter().enumerate().map(choice).collect();
    let wanted = preferred_leaders(&choices);
    let pairs = (0..state.shards()).zip(wanted.into_iter().zip(state.map()));
    pairs
        .filter(|(_, (wanted, shard))| *wanted != shard.preferred_leader)
        .map(|(number, (wanted, _))| (number, wanted))
        .collect()
}

/// The voters that are able to lead: those that stay voters before those that go, those of the track before others.
fn choice(state: &ClusterState, tracks: &Tracks, number: usize, shard: &Shard) -> Choice {
    let members = shard.replicas.voters.iter().filter_map(|voter| state.member(*voter));
    let available: Vec<_> = members.filter(|member| member.is_available()).collect();
    let planned = shard.replicas.planned();
    let available = those_or_all(available, |member| planned.contains(&member.raft_id));
    let track = match tracks {
        Tracks::Any => None,
        Tracks::ByShard(tracks) => tracks.get(number).and_then(Option::as_ref),
    };
    let able = those_or_all(available, |member| track.is_none_or(|track| member.track == *track));
    let preferred = shard.preferred_leader;
    Choice { able: able.into_iter().map(|member| member.raft_id).collect(), preferred }
}

fn those_or_all(members: Vec<&Member>, are: impl Fn(&Member) -> bool) -> Vec<&Member> {
    let those: Vec<_> = members.iter().copied().filter(|member| are(member)).collect();
    if those.is_empty() { members } else { those }
}

/// A choice that gets better.
struct Leaders<'a> {
    shards: &'a [Choice],
    by_shard: Vec<Option<RaftId>>,
    led: BTreeMap<RaftId, BTreeSet<usize>>,
}

impl<'a> Leaders<'a> {
    /// Everybody keeps what they may keep.
    fn new(shards: &'a [Choice]) -> Self {
        let able = shards.iter().flat_map(|shard| &shard.able);
        let led = able.map(|id| (*id, BTreeSet::new())).collect();
        let mut leaders = Self { shards, by_shard: vec![None; shards.len()], led };
        for (number, shard) in shards.iter().enumerate() {
            if let Some(keeper) = shard.preferred.filter(|id| shard.able.contains(id)) {
                leaders.give(number, keeper);
            }
        }
        leaders
    }

    /// The rest goes to whoever has least.
    fn fill(&mut self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let least = shard.able.iter().min_by_key(|id| (self.led[*id].len(), !score_of(number, **id)));
            if let (None, Some(least)) = (self.by_shard[number], least) {
                self.give(number, *least);
            }
        }
    }

    fn give(&mut self, shard: usize, to: RaftId) {
        let from = self.by_shard[shard].replace(to);
        from.and_then(|from| self.led.get_mut(&from)).map(|led| led.remove(&shard));
        self.led.entry(to).or_default().insert(shard);
    }

    /// Shards to give away and to whom, so that a member with many has one fewer and one with few has one more.
    fn path_down(&self) -> Option<Vec<(usize, RaftId)>> {
        let loads: BTreeSet<_> = self.led.values().map(BTreeSet::len).collect();
        loads.into_iter().rev().find_map(|load| self.path_from(load))
    }

    fn path_from(&self, load: usize) -> Option<Vec<(usize, RaftId)>> {
        let from = self.led.iter().filter(|(_, led)| led.len() == load).map(|(id, _)| *id);
        let mut queue: VecDeque<_> = from.collect();
        let mut way: BTreeMap<RaftId, Option<(usize, RaftId)>> = queue.iter().map(|id| (*id, None)).collect();
        while let Some(giver) = queue.pop_front() {
            for (shard, to) in self.gifts(giver) {
                if way.contains_key(&to) {
                    continue;
                }
                way.insert(to, Some((shard, giver)));
                if self.led[&to].len() + 2 <= load {
                    return Some(back_track(&way, to));
                }
                queue.push_back(to);
            }
        }
        None
    }

    /// What a member could give, and to whom.
    fn gifts(&self, giver: RaftId) -> impl Iterator<Item = (usize, RaftId)> {
        let led = self.led[&giver].iter();
        led.flat_map(|shard| self.shards[*shard].able.iter().map(move |to| (*shard, *to)))
    }
}

fn back_track(way: &BTreeMap<RaftId, Option<(usize, RaftId)>>, end: RaftId) -> Vec<(usize, RaftId)> {
    let mut path = Vec::new();
    let mut at = end;
    while let Some((shard, giver)) = way[&at] {
        path.push((shard, at));
        at = giver;
    }
    path
}

fn score_of(shard: usize, raft_id: RaftId) -> u64 {
    score(Which::Shard(u32::try_from(shard).unwrap_or(u32::MAX)), raft_id)
}
