//! Members that do what the configuration says, and leaders that confirm each move.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::{
    identity::{ClusterId, Incarnation},
    membership::{Command, MemberState},
    membership::{Founding, Member, Node, Replicas, Volume, bootstrap::Rules},
};

pub struct Simulation {
    pub state: ClusterState,
    pub config: Config,
    pub now_ms: u64,
    /// Replicas of shards that came or went for good; one that comes for one that goes counts once.
    pub moved: usize,
    /// By number: the newest volume of `n-0`, `n-1`, …
    ids: Vec<RaftId>,
    zones: Vec<String>,
    next_id: u64,
    log_index: u64,
}

const CLUSTER: ClusterId = ClusterId(7);

impl Simulation {
    /// One member after the other, each settled in.
    pub fn grown(shards: u32, replication_factor: u8, zones: &[&str]) -> Self {
        let rules = Rules::new("n-0".into(), ["n-0".to_owned()].into()).unwrap();
        let founding = Founding { rules, cluster_id: CLUSTER, shards, replication_factor };
        let founder = node(0, RaftId(1000), zones[0], "stable", shards);
        let mut simulation = Self {
            state: ClusterState::found(founding, &founder, 0).unwrap(),
            config: Config::default(),
            now_ms: 0,
            moved: 0,
            ids: vec![RaftId(1000)],
            zones: vec![zones[0].to_owned()],
            next_id: 1001,
            log_index: 0,
        };
        for zone in &zones[1..] {
            simulation.join(zone);
            simulation.settle();
        }
        simulation
    }

    pub fn join(&mut self, zone: &str) {
        self.join_on(zone, "stable");
    }

    pub fn join_on(&mut self, zone: &str, track: &str) {
        let number = self.ids.len();
        let raft_id = self.draw();
        self.ids.push(raft_id);
        self.zones.push(zone.to_owned());
        let node = node(number, raft_id, zone, track, self.state.shards());
        self.command(Command::Join { node, other_is_heard: false });
        self.reach(number);
    }

    pub fn lose_volume(&mut self, number: usize) {
        self.ids[number] = self.draw();
        let node = node(number, self.ids[number], &self.zones[number], "stable", self.state.shards());
        self.command(Command::Join { node, other_is_heard: false });
    }

    pub fn restart(&mut self, number: usize) {
        let (previous, raft_id) = (self.member(number).incarnation, self.id(number));
        let incarnation = Incarnation(previous.0 + 1);
        let node = node(number, raft_id, &self.zones[number], "stable", self.state.shards());
        let node = Node { incarnation, previous, volume: Volume::Of(CLUSTER), ..node };
        self.command(Command::Join { node, other_is_heard: false });
    }

    pub fn reach(&mut self, number: usize) {
        let (raft_id, incarnation) = (self.id(number), self.member(number).incarnation);
        self.command(Command::Reached { raft_id, incarnation });
    }

    pub fn drain(&mut self, number: usize) {
        let (raft_id, incarnation) = (self.id(number), self.member(number).incarnation);
        self.command(Command::Drain { raft_id, incarnation });
    }

    pub fn down(&mut self, number: usize) {
        let (raft_id, incarnation) = (self.id(number), self.member(number).incarnation);
        self.command(Command::Unreachable { raft_id, incarnation });
    }

    pub fn command(&mut self, command: Command) {
        let decided = self.state.decide(&command, self.now_ms);
        if let Some(next) = decided.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}")) {
            self.state = next;
        }
    }

    pub fn outlook(&self) -> Outlook {
        outlook(&self.state, &self.config, self.now_ms)
    }

    /// What placement plans is never refused.
    pub fn plan(&mut self) {
        let plan = self.outlook().plan;
        self.command(Command::Plan(plan));
        assert!(self.moving().len() <= self.config.moves_max + 1);
    }

    /// Plans and moves until there is nothing more to do, in a bounded number of rounds.
    pub fn settle(&mut self) {
        let rounds_max = 10 + 10 * self.state.map().len();
        for _ in 0..rounds_max {
            let before = self.state.revision();
            self.plan();
            for which in self.moving() {
                self.confirm(which);
            }
            if self.state.revision() == before {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.outlook());
    }

    pub fn moving(&self) -> Vec<Which> {
        let all = std::iter::once(Which::System).chain((0..self.state.shards()).map(Which::Shard));
        all.filter(|which| self.state.replicas(*which).unwrap().wanted.is_some()).collect()
    }

    /// The group moved as wanted, if it could.
    pub fn confirm(&mut self, which: Which) {
        let replicas = self.state.replicas(which).unwrap();
        let arrives = replicas.arriving().is_none_or(|id| self.state.is_live(id));
        if !self.state.has_quorum(&replicas.voters) || !arrives {
            return;
        }
        let voters = replicas.planned().clone();
        self.moved += usize::from(which != Which::System);
        self.log_index += 1;
        self.command(Command::Moved { which, voters, at: self.log_index });
    }

    pub fn id(&self, number: usize) -> RaftId {
        self.ids[number]
    }

    pub fn number(&self, id: RaftId) -> usize {
        self.ids.iter().position(|other| *other == id).unwrap()
    }

    pub fn name(&self, number: usize) -> String {
        format!("n-{number}")
    }

    pub fn names(&self) -> usize {
        self.ids.len()
    }

    pub fn member(&self, number: usize) -> &Member {
        self.state.member(self.ids[number]).unwrap()
    }

    pub fn held(&self, id: RaftId) -> BTreeSet<usize> {
        let map = self.state.map().iter().enumerate();
        map.filter(|(_, shard)| shard.replicas.voters.contains(&id)).map(|(number, _)| number).collect()
    }

    /// By number.
    pub fn loads(&self) -> Vec<usize> {
        self.ids.iter().map(|id| self.held(*id).len()).collect()
    }

    pub fn leads(&self, number: usize) -> usize {
        let id = self.id(number);
        self.state.map().iter().filter(|shard| shard.preferred_leader == Some(id)).count()
    }

    pub fn zones_of(&self, replicas: &Replicas) -> BTreeSet<&str> {
        replicas.voters.iter().map(|id| &*self.state.member(*id).unwrap().zone).collect()
    }

    pub fn is_at_rest(&self) {
        let outlook = self.outlook();
        assert!(outlook.plan.is_empty() && outlook.remaining == 0, "{outlook:?}");
    }

    /// All that are up hold the same, give or take one.
    pub fn is_even(&self) {
        let up = (0..self.ids.len()).filter(|number| self.is_up(*number));
        within_one(up.map(|number| self.loads()[number]));
    }

    pub fn is_even_in_each_zone(&self) {
        let mut zones: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, load) in self.loads().into_iter().enumerate() {
            zones.entry(&self.zones[number]).or_default().push(load);
        }
        zones.into_values().for_each(within_one);
    }

    pub fn has_even_leaders(&self) {
        within_one((0..self.ids.len()).filter(|number| self.is_up(*number)).map(|number| self.leads(number)));
    }

    /// No zone has more than `max` voters of a shard.
    pub fn is_spread(&self, max: usize) {
        for shard in self.state.map() {
            let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
            for voter in &shard.replicas.voters {
                *zones.entry(&self.state.member(*voter).unwrap().zone).or_default() += 1;
            }
            assert!(zones.values().all(|count| *count <= max), "{zones:?}");
        }
    }

    fn is_up(&self, number: usize) -> bool {
        self.member(number).state == MemberState::Up
    }

    fn draw(&mut self) -> RaftId {
        self.next_id += 1;
        RaftId(self.next_id)
    }
}

fn within_one(counts: impl IntoIterator<Item = usize>) {
    let counts: Vec<_> = counts.into_iter().collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

fn node(number: usize, raft_id: RaftId, zone: &str, track: &str, shards: u32) -> Node {
    Node {
        name: format!("n-{number}"),
        raft_id,
        incarnation: Incarnation(1),
        previous: Incarnation(0),
        volume: Volume::New,
        shards,
        zone: zone.to_owned(),
        track: track.to_owned(),
        release: "1.0.0".to_owned(),
        protocol: (1, 1),
    }
}
