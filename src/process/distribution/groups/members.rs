//! Who is in which group, as one node knows it: its own processes, and what each connected peer has told. Pure.
//!
//! A peer tells all of its own processes when a connection opens, and each change after that, in order; what it told is forgotten
//! with the connection. So two nodes that are connected agree, whatever happened before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::process::{Home, ProcessId};

/// The members of groups on one node, by number, each with the name of its messages.
type OnNode = BTreeMap<Arc<str>, BTreeMap<u64, u64>>;

#[derive(Debug, Default)]
pub(super) struct Members {
    own: OnNode,
    /// The groups of each process in `own`.
    groups: BTreeMap<u64, BTreeSet<Arc<str>>>,
    /// How many memberships `own` has.
    own_len: usize,
    /// How many bytes it takes to tell them.
    own_bytes: usize,
    /// By session.
    peers: BTreeMap<u64, Told>,
}

/// What a peer told.
#[derive(Debug)]
struct Told {
    home: Home,
    groups: OnNode,
    /// How many memberships that are.
    len: usize,
}

/// More than what a group, beside its name, and what one of its members take on their way.
const GROUP_BYTES: usize = 128;
const MEMBER_BYTES: usize = 24;

/// A peer told of more members than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) id: ProcessId,
    /// Of the messages that it takes.
    pub(super) name: u64,
}

/// A group of this node: its name, the numbers of its first members, how many it has.
pub(in crate::process) type OwnGroup = (Arc<str>, Vec<u64>, usize);

impl Members {
    /// Whether the process was not in the group before.
    pub(super) fn join(&mut self, group: &Arc<str>, number: u64, name: u64) -> bool {
        let members = self.own.entry(Arc::clone(group)).or_default();
        if members.is_empty() {
            self.own_bytes += GROUP_BYTES + group.len();
        }
        let is_new = members.insert(number, name).is_none();
        if is_new {
            self.groups.entry(number).or_default().insert(Arc::clone(group));
            self.own_len += 1;
            self.own_bytes += MEMBER_BYTES;
        }
        is_new
    }

    /// Whether the process was in the group.
    pub(super) fn leave(&mut self, group: &str, number: u64) -> bool {
        let was_there = leave(&mut self.own, group, number);
        if was_there {
            self.own_len -= 1;
            self.own_bytes -= MEMBER_BYTES;
            if !self.own.contains_key(group) {
                self.own_bytes -= GROUP_BYTES + group.len();
            }
            if let Some(groups) = self.groups.get_mut(&number) {
                groups.remove(group);
                if groups.is_empty() {
                    self.groups.remove(&number);
                }
            }
        }
        was_there
    }

    /// A process of this node has ended. Returns the groups that it was in.
    pub(super) fn ended(&mut self, number: u64) -> Vec<Arc<str>> {
        let groups: Vec<_> = self.groups.get(&number).into_iter().flatten().cloned().collect();
        for group in &groups {
            self.leave(group, number);
        }
        groups
    }

    /// How often processes of this node have joined a group and not left it.
    pub(super) fn own_len(&self) -> usize {
        self.own_len
    }

    /// How many bytes it takes to tell a peer of them, at most.
    pub(super) fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// What this node tells its peers.
    pub(super) fn own(&self) -> impl Iterator<Item = (&Arc<str>, Vec<(u64, u64)>)> {
        self.own.iter().map(|(group, members)| (group, members.iter().map(|(a, b)| (*a, *b)).collect()))
    }

    /// The first of its own groups, and how many it has beside.
    pub(super) fn own_first(&self, members_max: usize, groups_max: usize) -> (Vec<OwnGroup>, usize) {
        let first = |members: &BTreeMap<u64, u64>| members.keys().take(members_max).copied().collect();
        let of = |(group, members): (&Arc<str>, &BTreeMap<u64, u64>)| {
            (Arc::clone(group), first(members), members.len())
        };
        (self.own.iter().take(groups_max).map(of).collect(), self.own.len().saturating_sub(groups_max))
    }

    /// A connection is open; nothing was told on it yet.
    pub(super) fn peer_up(&mut self, session: u64, home: Home) {
        self.peers.insert(session, Told { home, groups: OnNode::new(), len: 0 });
    }

    /// Returns who was not in the group before.
    pub(super) fn peer_joined(
        &mut self,
        session: u64,
        group: &str,
        joined: &[(u64, u64)],
        memberships_max: usize,
    ) -> Result<Vec<ProcessId>, TooMany> {
        let Some(told) = self.peers.get_mut(&session) else { return Ok(Vec::new()) };
        // A group without members is none.
        if joined.is_empty() {
            return Ok(Vec::new());
        }
        if told.len + joined.len() > memberships_max {
            return Err(TooMany);
        }
        let members = told.groups.entry(group.into()).or_default();
        let new = joined.iter().filter(|(number, name)| members.insert(*number, *name).is_none());
        let new: Vec<_> = new.map(|(number, _)| ProcessId::there(told.home, *number)).collect();
        told.len += new.len();
        Ok(new)
    }

    /// Returns who was in the group.
    pub(super) fn peer_left(&mut self, session: u64, group: &str, left: &[u64]) -> Vec<ProcessId> {
        let Some(told) = self.peers.get_mut(&session) else { return Vec::new() };
        let gone = left.iter().filter(|number| leave(&mut told.groups, group, **number));
        let gone: Vec<_> = gone.map(|number| ProcessId::there(told.home, *number)).collect();
        told.len -= gone.len();
        gone
    }

    /// A connection has closed. Returns who was in which group.
    pub(super) fn peer_down(&mut self, session: u64) -> Vec<(Arc<str>, Vec<ProcessId>)> {
        let Some(Told { home, groups, .. }) = self.peers.remove(&session) else { return Vec::new() };
        let gone = |members: BTreeMap<u64, u64>| {
            members.into_keys().map(|number| ProcessId::there(home, number)).collect()
        };
        groups.into_iter().map(|(group, members)| (group, gone(members))).collect()
    }

    /// The members on this node.
    pub(super) fn own_of(&self, group: &str) -> Vec<Member> {
        let members = self.own.get(group).into_iter().flatten();
        members.map(|(number, name)| Member { id: ProcessId::here(*number), name: *name }).collect()
    }

    /// All members, those on this node first.
    pub(super) fn all_of(&self, group: &str) -> Vec<Member> {
        let mut all = self.own_of(group);
        for Told { home, groups, .. } in self.peers.values() {
            let members = groups.get(group).into_iter().flatten();
            let there =
                |(number, name): (&u64, &u64)| Member { id: ProcessId::there(*home, *number), name: *name };
            all.extend(members.map(there));
        }
        all
    }

    /// All groups that have a member anywhere.
    pub(super) fn groups(&self) -> Vec<Arc<str>> {
        let peers = self.peers.values().flat_map(|told| told.groups.keys());
        let mut groups: Vec<_> = self.own.keys().chain(peers).cloned().collect();
        groups.sort();
        groups.dedup();
        groups
    }
}

fn leave(groups: &mut OnNode, group: &str, number: u64) -> bool {
    let Some(members) = groups.get_mut(group) else { return false };
    let was_there = members.remove(&number).is_some();
    if members.is_empty() {
        groups.remove(group);
    }
    was_there
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use playhouse_cluster::{consensus::RaftId, identity::Incarnation};
    use proptest::prelude::*;

    use super::*;

    const GROUPS: [&str; 2] = ["a", "b"];

    /// What one node tells another.
    enum News {
        Joined(Arc<str>, Vec<(u64, u64)>),
        Left(Arc<str>, u64),
    }

    /// Some nodes, and the connections between them: what is under way on each, in order.
    struct World {
        nodes: Vec<Members>,
        /// From, to: the session, and what waits. Both ends open and close at once; what waits is lost then.
        lanes: BTreeMap<(usize, usize), (u64, VecDeque<News>)>,
        sessions: u64,
        /// What a listener at each node has made of the changes.
        heard: Vec<BTreeSet<(Arc<str>, ProcessId)>>,
    }

    fn home(node: usize) -> Home {
        Home { node: RaftId(node as u64), incarnation: Incarnation(1) }
    }

    impl World {
        fn new(nodes: usize) -> Self {
            let heard = vec![BTreeSet::new(); nodes];
            let nodes = (0..nodes).map(|_| Members::default()).collect();
            Self { nodes, lanes: BTreeMap::new(), sessions: 0, heard }
        }

        fn tell(&mut self, from: usize, told: impl Fn() -> News) {
            for ((source, _), (_, waiting)) in &mut self.lanes {
                if *source == from {
                    waiting.push_back(told());
                }
            }
        }

        fn join(&mut self, node: usize, group: &str, number: u64) {
            let group: Arc<str> = group.into();
            if self.nodes[node].join(&group, number, 7) {
                self.tell(node, || News::Joined(group.clone(), vec![(number, 7)]));
            }
        }

        fn leave(&mut self, node: usize, group: &str, number: u64) {
            if self.nodes[node].leave(group, number) {
                self.tell(node, || News::Left(group.into(), number));
            }
        }

        fn end(&mut self, node: usize, number: u64) {
            for group in self.nodes[node].ended(number) {
                self.tell(node, || News::Left(group.clone(), number));
            }
        }

        fn connect(&mut self, one: usize, other: usize) {
            if one == other || self.lanes.contains_key(&(one, other)) {
                return;
            }
            for (from, to) in [(one, other), (other, one)] {
                self.sessions += 1;
                self.nodes[to].peer_up(self.sessions, home(from));
                let all = self.nodes[from].own().map(|(group, all)| News::Joined(group.clone(), all));
                let waiting = all.collect();
                self.lanes.insert((from, to), (self.sessions, waiting));
            }
        }

        fn cut(&mut self, one: usize, other: usize) {
            for (from, to) in [(one, other), (other, one)] {
                let Some((session, _)) = self.lanes.remove(&(from, to)) else { continue };
                for (group, gone) in self.nodes[to].peer_down(session) {
                    for id in gone {
                        assert!(self.heard[to].remove(&(group.clone(), id)), "left once");
                    }
                }
            }
        }

        fn deliver(&mut self, from: usize, to: usize) -> bool {
            let Some((session, waiting)) = self.lanes.get_mut(&(from, to)) else { return false };
            let Some(told) = waiting.pop_front() else { return false };
            match told {
                News::Joined(group, joined) => {
                    for id in self.nodes[to].peer_joined(*session, &group, &joined, 100).unwrap() {
                        assert!(self.heard[to].insert((group.clone(), id)), "joined once");
                    }
                }
                News::Left(group, number) => {
                    for id in self.nodes[to].peer_left(*session, &group, &[number]) {
                        assert!(self.heard[to].remove(&(group.clone(), id)), "left once");
                    }
                }
            }
            true
        }

        fn settle(&mut self) {
            let lanes: Vec<_> = self.lanes.keys().copied().collect();
            for (from, to) in lanes {
                while self.deliver(from, to) {}
            }
        }

        /// Who is in a group, by the books of everybody about himself.
        fn truth(&self, group: &str, seen_by: usize) -> BTreeSet<ProcessId> {
            let of = |(node, members): (usize, &Members)| {
                let to_id = move |member: Member| match node == seen_by {
                    true => member.id,
                    false => ProcessId::there(home(node), member.id.number()),
                };
                members.own_of(group).into_iter().map(to_id).collect::<Vec<_>>()
            };
            self.nodes.iter().enumerate().flat_map(of).collect()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(usize, usize, u64),
        Leave(usize, usize, u64),
        End(usize, u64),
        Connect(usize, usize),
        Cut(usize, usize),
        Deliver(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (node, group, number) = (0_usize..3, 0_usize..2, 0_u64..3);
        let step = prop_oneof![
            3 => (node.clone(), group.clone(), number.clone()).prop_map(|(a, b, c)| Step::Join(a, b, c)),
            2 => (node.clone(), group, number.clone()).prop_map(|(a, b, c)| Step::Leave(a, b, c)),
            1 => (node.clone(), number).prop_map(|(a, b)| Step::End(a, b)),
            2 => (node.clone(), node.clone()).prop_map(|(a, b)| Step::Connect(a, b)),
            1 => (node.clone(), node.clone()).prop_map(|(a, b)| Step::Cut(a, b)),
            6 => (node.clone(), node).prop_map(|(a, b)| Step::Deliver(a, b)),
        ];
        prop::collection::vec(step, 0..120)
    }

    #[test]
    fn a_peer_tells_of_so_many_members_and_of_no_empty_group() {
        let mut members = Members::default();
        members.peer_up(1, home(1));
        assert_eq!(members.peer_joined(1, "a", &[], 2), Ok(Vec::new()));
        assert!(members.groups().is_empty());
        assert_eq!(members.peer_joined(1, "a", &[(1, 7), (2, 7)], 2).map(|new| new.len()), Ok(2));
        assert_eq!(members.peer_joined(1, "b", &[(1, 7)], 2), Err(TooMany));
        assert_eq!(members.peer_left(1, "a", &[1]).len(), 1);
        assert_eq!(members.peer_joined(1, "b", &[(1, 7)], 2).map(|new| new.len()), Ok(1));
    }

    proptest! {
        /// Whatever joined, left and was cut off: once all are connected and all was delivered, everybody knows the same, and who
        /// listened to the changes has heard of each exactly once.
        #[test]
        fn nodes_agree_when_a_partition_heals(steps in steps()) {
            let mut world = World::new(3);
            for step in steps {
                match step {
                    Step::Join(node, group, number) => world.join(node, GROUPS[group], number),
                    Step::Leave(node, group, number) => world.leave(node, GROUPS[group], number),
                    Step::End(node, number) => world.end(node, number),
                    Step::Connect(one, other) => world.connect(one, other),
                    Step::Cut(one, other) => world.cut(one, other),
                    Step::Deliver(from, to) => drop(world.deliver(from, to)),
                }
            }
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                world.connect(one, other);
            }
            world.settle();
            for node in 0..3 {
                for group in GROUPS {
                    let known: BTreeSet<_> = world.nodes[node].all_of(group).into_iter().map(|member| member.id).collect();
                    prop_assert_eq!(&known, &world.truth(group, node));
                    let heard = world.heard[node].iter().filter(|(heard, _)| &**heard == group);
                    let heard: BTreeSet<_> = heard.map(|(_, id)| *id).collect();
                    let others: BTreeSet<_> = known.into_iter().filter(|id| id.home().is_some()).collect();
                    prop_assert_eq!(heard, others);
                }
                let own: usize = GROUPS.iter().map(|group| world.nodes[node].own_of(group).len()).sum();
                prop_assert_eq!(own, world.nodes[node].own_len());
                let groups = world.nodes[node].own().count();
                let bytes = own * MEMBER_BYTES + groups * (GROUP_BYTES + GROUPS[0].len());
                prop_assert_eq!(bytes, world.nodes[node].own_bytes());
                let indexed: usize = world.nodes[node].groups.values().map(BTreeSet::len).sum();
                prop_assert_eq!(own, indexed);
                for told in world.nodes[node].peers.values() {
                    prop_assert_eq!(told.len, told.groups.values().map(BTreeMap::len).sum::<usize>());
                }
            }
        }
    }
}
