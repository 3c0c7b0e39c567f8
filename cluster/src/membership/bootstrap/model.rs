//! Nodes that bootstrap in a bad world: messages are lost, doubled and late, networks are cut, nodes crash between any two
//! actions, clocks run back, volumes are lost or run twice.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::*;

/// What may happen.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// The names on the list.
    pub(super) listed: usize,
    /// Which of them may lose their volume. 0 is the initiator.
    pub(super) losers: &'static [usize],
    /// Whether the initiator's old volumes may run on.
    pub(super) has_ghosts: bool,
    pub(super) policy: Policy,
}

struct Disk {
    name: String,
    accepted: Option<Acceptance>,
    adopted: Option<ClusterId>,
    incarnation: Incarnation,
    process: Option<Bootstrap>,
}

#[derive(Clone)]
struct Message {
    from: String,
    to: String,
    event: Event,
}

pub(super) struct World {
    random: SmallRng,
    weather: Weather,
    rules: Rules,
    names: Vec<String>,
    /// All there ever were; the place is the Raft id.
    disks: Vec<Disk>,
    /// The newest disk of each name.
    current: BTreeMap<String, usize>,
    wire: Vec<Message>,
    closed: BTreeSet<(String, String)>,
    clock: u64,
    /// Who ever adopted what.
    history: Vec<(String, ClusterId)>,
}

const OUTSIDER: &str = "canary-0";
const WIRE_MAX: usize = 60;

impl World {
    pub(super) fn new(weather: Weather, seed: u64) -> Self {
        let listed: Vec<_> = (0..weather.listed).map(|number| format!("playhouse-{number}")).collect();
        let rules = Rules::new(listed[0].clone(), listed.iter().cloned().collect()).unwrap();
        // Another set of nodes with the same configuration; its 0 is not the initiator.
        let names: Vec<_> = listed.into_iter().chain([OUTSIDER.to_owned()]).collect();
        let mut world = Self {
            random: SmallRng::seed_from_u64(seed),
            weather,
            rules,
            names: names.clone(),
            disks: Vec::new(),
            current: BTreeMap::new(),
            wire: Vec::new(),
            closed: BTreeSet::new(),
            clock: 100,
            history: Vec::new(),
        };
        for name in names {
            world.give_volume(name);
        }
        world
    }

    /// Whatever comes to its mind.
    pub(super) fn happen(&mut self) {
        self.clock += 1;
        match self.random.random_range(0..100) {
            0..55 => self.carry(),
            55..70 => {
                let disk = self.any_running();
                self.step(disk, Event::Retry);
            }
            70..85 => self.try_join(),
            85..92 => {
                let disk = self.random.random_range(0..self.disks.len());
                self.start(disk);
            }
            92..96 => {
                let disk = self.any_running();
                self.crash(disk);
            }
            96 => self.lose_volume(),
            _ => self.cut_or_mend(),
        }
    }

    /// From here on nothing goes wrong any more; who is stuck gets the empty volume that the message asks for. Returns how
    /// many that were.
    pub(super) fn heal(&mut self) -> usize {
        self.closed.clear();
        self.clock += 10_000;
        let ghosts: Vec<_> = (0..self.disks.len()).filter(|disk| !self.is_current(*disk)).collect();
        ghosts.into_iter().for_each(|disk| self.crash(disk));
        let mut remedies = 0;
        for round in 0..12 {
            for name in self.names.clone() {
                let disk = self.current[&name];
                self.crash(disk);
                self.start(disk);
            }
            for _ in 0..20 {
                for disk in self.current.clone().into_values() {
                    self.step(disk, Event::Retry);
                }
                while let Some(message) = self.wire.pop() {
                    self.deliver(message);
                }
                self.everybody_joins();
            }
            if round == 5 {
                let promised = |disk: &usize| self.disks[*disk].adopted.is_none();
                let stuck: Vec<_> = self.current.values().copied().filter(promised).collect();
                remedies += stuck.len();
                stuck.into_iter().for_each(|disk| self.give_volume(self.disks[disk].name.clone()));
            }
        }
        remedies
    }

    /// The clusters that anybody but the initiator's name ever adopted.
    pub(super) fn ever_joined(&self) -> BTreeSet<ClusterId> {
        let others = self.history.iter().filter(|(name, _)| name != self.rules.initiator());
        others.map(|(_, cluster_id)| *cluster_id).collect()
    }

    /// The clusters of the volumes that the other listed names have now.
    pub(super) fn joined_now(&self) -> BTreeSet<ClusterId> {
        let disks = self.current.iter().filter(|(name, _)| self.rules.is_candidate(name));
        disks.filter_map(|(_, disk)| self.disks[*disk].adopted).collect()
    }

    /// The cluster of each name now.
    pub(super) fn clusters_now(&self) -> Vec<Option<ClusterId>> {
        self.current.values().map(|disk| self.disks[*disk].adopted).collect()
    }

    pub(super) fn founded(&self) -> BTreeSet<ClusterId> {
        self.history.iter().map(|(_, cluster_id)| *cluster_id).collect()
    }

    fn give_volume(&mut self, name: String) {
        self.current.insert(name.clone(), self.disks.len());
        let (accepted, adopted, process) = (None, None, None);
        self.disks.push(Disk { name, accepted, adopted, incarnation: Incarnation(0), process });
        self.start(self.disks.len() - 1);
    }

    fn lose_volume(&mut self) {
        let Some(loser) = self.weather.losers.choose(&mut self.random) else { return };
        let name = self.names[*loser].clone();
        if !(self.weather.has_ghosts && name == self.rules.initiator()) {
            self.crash(self.current[&name]);
        }
        self.give_volume(name);
    }

    fn is_current(&self, disk: usize) -> bool {
        self.current[&self.disks[disk].name] == disk
    }

    fn start(&mut self, number: usize) {
        let may_run = self.is_current(number)
            || self.weather.has_ghosts && self.disks[number].name == self.rules.initiator();
        if !may_run || self.disks[number].process.is_some() {
            return;
        }
        let skew = self.random.random_range(0..90);
        let drawn = ClusterId(self.random.random());
        let disk = &mut self.disks[number];
        disk.incarnation = Incarnation((self.clock - skew).max(disk.incarnation.0 + 1));
        let own = Own {
            name: disk.name.clone(),
            raft_id: RaftId(number as u64),
            incarnation: disk.incarnation,
            adopted: disk.adopted,
        };
        let process = Bootstrap::new(self.rules.clone(), own, disk.accepted.clone(), drawn);
        disk.process = Some(Bootstrap { policy: self.weather.policy, ..process });
    }

    fn crash(&mut self, disk: usize) {
        self.disks[disk].process = None;
    }

    fn running(&self) -> Vec<usize> {
        (0..self.disks.len()).filter(|disk| self.disks[*disk].process.is_some()).collect()
    }

    fn any_running(&mut self) -> usize {
        let running = self.running();
        running.choose(&mut self.random).copied().unwrap_or(0)
    }

    /// Delivers, doubles or loses one message, in any order.
    fn carry(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let number = self.random.random_range(0..self.wire.len());
        let message = match self.random.random_range(0..10) {
            0 => return drop(self.wire.swap_remove(number)),
            1 => self.wire[number].clone(),
            _ => self.wire.swap_remove(number),
        };
        self.deliver(message);
    }

    fn deliver(&mut self, message: Message) {
        if self.is_closed(&message.from, &message.to) {
            return;
        }
        let at_home = |disk: &usize| self.disks[*disk].name == message.to;
        let homes: Vec<_> = self.running().into_iter().filter(at_home).collect();
        if let Some(disk) = homes.choose(&mut self.random).copied() {
            self.step(disk, message.event);
        }
    }

    fn step(&mut self, disk: usize, event: Event) {
        let Some(process) = &mut self.disks[disk].process else { return };
        for action in process.step(event) {
            if self.random.random_range(0..40) == 0 && self.clock < 10_000 {
                return self.crash(disk);
            }
            self.perform(disk, action);
        }
    }

    fn perform(&mut self, disk: usize, action: Action) {
        let from = self.disks[disk].name.clone();
        match action {
            Action::Store(acceptance) => self.disks[disk].accepted = Some(acceptance),
            Action::Ask { peer, proposal } => {
                let event = Event::Asked { peer: from.clone(), proposal };
                self.send(Message { from, to: peer, event });
            }
            Action::Answer { peer, answer } => {
                let event = Event::Answered { peer: from.clone(), answer };
                self.send(Message { from, to: peer, event });
            }
            Action::Found { cluster_id } => self.adopt(disk, cluster_id),
            Action::Join { .. } | Action::Report(_) => {}
        }
    }

    fn send(&mut self, message: Message) {
        if self.wire.len() < WIRE_MAX {
            self.wire.push(message);
        }
    }

    fn adopt(&mut self, number: usize, cluster_id: ClusterId) {
        let disk = &mut self.disks[number];
        assert!(disk.adopted.is_none_or(|adopted| adopted == cluster_id), "a volume belongs to one cluster");
        disk.adopted = Some(cluster_id);
        self.history.push((disk.name.clone(), cluster_id));
        self.step(number, Event::Adopted { cluster_id });
    }

    /// Somebody without a cluster meets somebody with one.
    fn try_join(&mut self) {
        let (guest, host) = (self.any_running(), self.any_running());
        self.join(guest, host);
    }

    fn everybody_joins(&mut self) {
        for guest in self.running() {
            for host in self.running() {
                self.join(guest, host);
            }
        }
    }

    fn join(&mut self, guest: usize, host: usize) {
        let (name, peer) = (self.disks[guest].name.clone(), self.disks[host].name.clone());
        let Some(cluster_id) = self.disks[host].adopted else { return };
        if self.disks[guest].adopted.is_some() || self.is_closed(&name, &peer) {
            return;
        }
        self.step(guest, Event::Met { peer, cluster_id });
        let has_adopted = |id: RaftId| self.disks[id.0 as usize].adopted == Some(cluster_id);
        let Some(process) = &self.disks[guest].process else { return };
        let is_admitted = name != OUTSIDER || !self.is_beginning(cluster_id);
        // It may have been about to found, and is not asked twice.
        let is_free = process.phase != Phase::Founding;
        if is_admitted && is_free && process.check_join(cluster_id, has_adopted).is_ok() {
            self.adopt(guest, cluster_id);
        }
    }

    /// As the state of the cluster tells.
    fn is_beginning(&self, cluster_id: ClusterId) -> bool {
        let joined =
            self.history.iter().filter(|(name, id)| *id == cluster_id && self.rules.is_candidate(name));
        let names: BTreeSet<_> = joined.map(|(name, _)| name).collect();
        names.len() <= self.rules.others().count() / 2
    }

    fn is_closed(&self, one: &str, other: &str) -> bool {
        let (one, other) = (one.min(other), one.max(other));
        self.closed.contains(&(one.to_owned(), other.to_owned()))
    }

    fn cut_or_mend(&mut self) {
        let one = self.names.choose(&mut self.random).unwrap().clone();
        let other = self.names.choose(&mut self.random).unwrap().clone();
        let pair = if one < other { (one, other) } else { (other, one) };
        if !self.closed.remove(&pair) {
            self.closed.insert(pair);
        }
    }
}
