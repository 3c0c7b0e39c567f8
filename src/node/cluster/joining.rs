//! From an open volume to a member of the cluster.
//!
//! ```text
//! volume of no cluster ──▶ form one with the others, or ask a living one to be let in ──▶ adopt its id ─┐
//! volume of a cluster ──▶ is it the newest copy? ──▶ open the system group ──▶ ask to be let in again ──┴▶ member
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use playhouse_cluster::{
    consensus::{self, RaftId, Transport},
    environment::Environment,
    identity::{ClusterId, Identity, Incarnation},
    membership::{
        ClusterState, Command, Founding, Node as Candidate, Volume,
        bootstrap::{Action, Answer, Event, JoinError, Obstacle, Own, Proposal, Rules},
    },
    peering::{Liveness, Peer, Peering},
    store::Store,
};

use super::{
    control::{self, Ask, Control, Told},
    council::{Council, SubmitError, execute_through},
    formation::Formation,
    shards::Groups,
    system::{ExecuteError, SYSTEM, System},
};
use crate::node::{Bootstrap, Settings, StartError};

/// How long to wait before the next attempt.
const AGAIN: Duration = Duration::from_millis(200);
/// How long a node waits for a peer that may know a newer copy of its volume. In a whole cluster that starts, nobody does.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// How often a node that waits says why.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What joining needs.
pub(in crate::node) struct Joining<'a> {
    pub(in crate::node) settings: &'a Settings,
    pub(in crate::node) identity: &'a mut Identity,
    pub(in crate::node) store: &'a Store,
    pub(in crate::node) peering: Option<&'a Peering>,
    pub(in crate::node) transport: Arc<dyn Transport>,
    pub(in crate::node) control: &'a Control,
    pub(in crate::node) groups: &'a Groups,
    pub(in crate::node) environment: &'a Environment,
    pub(in crate::node) config: &'a consensus::Config,
}

impl Joining<'_> {
    /// Returns when this node is a member, and knows the configuration that says so.
    pub(in crate::node) async fn join(mut self) -> Result<Council, StartError> {
        self.settings.progress.waits_for("its cluster");
        let own = Own {
            name: self.identity.name().to_owned(),
            raft_id: self.identity.raft_id(),
            incarnation: self.identity.incarnation(),
            adopted: self.identity.cluster_id(),
        };
        let drawn = ClusterId(self.environment.random_u128());
        let formation = Formation::open(self.store, self.rules()?, own, drawn)?;
        self.control.set_formation(formation.clone());
        let system = match self.identity.cluster_id() {
            Some(_) => self.reopen(&formation).await?,
            None => self.form(&formation).await?,
        };
        let council =
            Council { system, peering: self.peering.cloned(), environment: self.environment.clone() };
        self.introduce(&council).await?;
        self.wait_until_known(&council).await;
        Ok(council)
    }

    fn rules(&self) -> Result<Rules, StartError> {
        let Bootstrap { initiator, members } = self.settings.bootstrap.clone();
        Rules::new(initiator, members).map_err(|error| StartError::Join { reason: error.to_string() })
    }

    fn candidate(&self) -> Candidate {
        let identity = &self.identity;
        Candidate {
            name: identity.name().to_owned(),
            raft_id: identity.raft_id(),
            incarnation: identity.incarnation(),
            previous: identity.previous_incarnation(),
            volume: identity.cluster_id().map_or(Volume::New, Volume::Of),
            shards: identity.shards().get(),
            zone: self.settings.place.zone.clone(),
            track: self.settings.place.track.clone(),
            release: crate::node::RELEASE.to_owned(),
            protocol: (1, 1),
        }
    }

    async fn open_system(&self) -> Result<System, StartError> {
        let own = self.identity.raft_id();
        let transport = Arc::clone(&self.transport);
        let system = System::open(own, self.store, transport, self.config, self.environment).await?;
        self.groups.insert(system.group(), SYSTEM);
        self.control.set_system(system.clone());
        if let (Some(peering), Some(cluster_id)) = (self.peering, self.identity.cluster_id()) {
            peering.set_cluster_id(cluster_id);
        }
        Ok(system)
    }

    /// The volume belongs to a cluster.
    async fn reopen(&self, formation: &Formation) -> Result<System, StartError> {
        self.check_newest().await?;
        let system = self.open_system().await?;
        // Between adopting the id, initialising the group and writing the first configuration it may have stopped anywhere.
        let is_unfounded = system.known().borrow().is_none() && system.is_alone();
        if is_unfounded && formation.is_founder().await {
            let cluster_id = self.identity.cluster_id().expect("it belongs to one");
            self.found(&system, cluster_id).await?;
        } else if system.is_alone() {
            system.group().elect().await?;
        }
        Ok(system)
    }

    /// A volume that was restored from a copy does not know what it promised since. Whoever knows a newer start of it says
    /// so.
    async fn check_newest(&self) -> Result<(), StartError> {
        let Some(peering) = self.peering else { return Ok(()) };
        let (own, previous) = (self.identity.raft_id(), self.identity.previous_incarnation());
        let deadline = self.environment.now() + ASKED_WITHIN;
        let mut answered: BTreeMap<RaftId, Option<Incarnation>> = BTreeMap::new();
        while answered.is_empty() && self.environment.now() < deadline {
            for peer in alive(peering) {
                if let Ok(Told::Incarnation(known)) =
                    control::ask(peering, peer.raft_id, &Ask::Incarnation(own)).await
                {
                    answered.insert(peer.raft_id, known);
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        let newest = answered.into_values().flatten().max();
        match newest.filter(|known| *known > previous) {
            None => Ok(()),
            Some(known) => Err(StartError::RestoredVolume { known, volume: previous }),
        }
    }

    async fn found(&self, system: &System, cluster_id: ClusterId) -> Result<(), StartError> {
        let founding = Founding {
            rules: self.rules()?,
            cluster_id,
            shards: self.identity.shards().get(),
            replication_factor: self.settings.place.replication_factor.get(),
        };
        let mut founder = self.candidate();
        founder.volume = Volume::New;
        let state = ClusterState::found(founding, &founder, self.environment.wall_ms());
        let state = state.map_err(|error| StartError::Join { reason: error.to_string() })?;
        system.found(&state).await?;
        tracing::info!(cluster = %cluster_id, "this node founded a new cluster");
        Ok(())
    }

    /// The volume belongs to no cluster: forms one, or joins one.
    async fn form(&mut self, formation: &Formation) -> Result<System, StartError> {
        let mut said = Said::default();
        loop {
            said.now = None;
            let mut actions = VecDeque::from(formation.step(Event::Retry).await?);
            for peer in self.peering.map(alive).unwrap_or_default() {
                if let Some(cluster_id) = peer.cluster_id {
                    if self.settings.cluster_id.is_some_and(|wanted| wanted != cluster_id) {
                        said.say(&format!(
                            "{} belongs to the cluster {cluster_id}, which is not cluster.id",
                            peer.name
                        ));
                        continue;
                    }
                    actions.extend(formation.step(Event::Met { peer: peer.name, cluster_id }).await?);
                }
            }
            while let Some(action) = actions.pop_front() {
                match action {
                    Action::Ask { peer, proposal } => {
                        if let Some(answer) = self.propose(&peer, proposal).await {
                            actions.extend(formation.step(Event::Answered { peer, answer }).await?);
                        }
                    }
                    Action::Found { cluster_id } => {
                        let identity = &mut *self.identity;
                        formation
                            .adopt_own(cluster_id, || Ok(identity.adopt_cluster_id(cluster_id)?))
                            .await?;
                        let system = self.open_system().await?;
                        self.found(&system, cluster_id).await?;
                        return Ok(system);
                    }
                    Action::Join { peer, cluster_id } => {
                        self.check_not_restored(&peer, cluster_id)?;
                        if let Some(system) =
                            self.ask_to_join(formation, &peer, cluster_id, &mut said).await?
                        {
                            return Ok(system);
                        }
                    }
                    Action::Report(obstacle) => said.obstacle(&obstacle),
                    Action::Store(_) | Action::Answer { .. } => {}
                }
            }
            let waits_for = said.now.take().unwrap_or_else(|| self.missing());
            said.waiting(self.environment.now(), &waits_for);
            self.settings.progress.waits_for(waits_for);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whom it waits for, if nobody says why it has to.
    fn missing(&self) -> String {
        let heard: BTreeSet<_> =
            self.peering.map(alive).unwrap_or_default().into_iter().map(|peer| peer.name).collect();
        let found =
            self.settings.links.as_ref().map_or(0, |links| links.discovery.addresses().borrow().len());
        let listed = self.settings.bootstrap.members.iter().filter(|name| *name != self.identity.name());
        let silent: Vec<_> = listed.filter(|name| !heard.contains(*name)).map(String::as_str).collect();
        let whom = match silent.as_slice() {
            [] => "the nodes of the bootstrap list to agree, or a living cluster".to_owned(),
            silent => format!("{} of the bootstrap list, or a living cluster", silent.join(", ")),
        };
        match (heard.len(), found) {
            (0, 0) => format!("{whom}: discovery finds no address of another node"),
            // Behind a headless service one of them is that of this node.
            (0, 1) => format!(
                "{whom}: discovery finds one address, which may be that of this node; nobody else answers"
            ),
            (0, found) => {
                format!("{whom}: no other node answers at any of the {found} addresses that discovery finds")
            }
            _ => whom,
        }
    }

    /// What was restored must not get into a cluster that has data of its own.
    fn check_not_restored(&self, peer: &str, cluster_id: ClusterId) -> Result<(), StartError> {
        match self.identity.restored_from() {
            None => Ok(()),
            Some(_) => Err(StartError::Restored { peer: peer.to_owned(), cluster_id }),
        }
    }

    async fn propose(&self, name: &str, proposal: Proposal) -> Option<Answer> {
        let peering = self.peering?;
        let peer = alive(peering).into_iter().find(|peer| peer.name == name)?;
        match control::ask(peering, peer.raft_id, &Ask::Propose(proposal)).await {
            Ok(Told::Proposed(answer)) => answer,
            _ => None,
        }
    }

    /// Asks a living cluster to be let in, through `peer`. `None`: not now.
    async fn ask_to_join(
        &mut self,
        formation: &Formation,
        peer: &str,
        cluster_id: ClusterId,
        said: &mut Said,
    ) -> Result<Option<System>, StartError> {
        let Some(peering) = self.peering else { return Ok(None) };
        let Some(peer) = alive(peering).into_iter().find(|other| other.name == peer) else { return Ok(None) };
        let adopted = match formation.check_join(cluster_id, |_| false).await {
            Ok(()) => None,
            Err(JoinError::Promised(ballot)) => {
                let told = control::ask(peering, peer.raft_id, &Ask::HasAdopted(ballot.initiator)).await;
                matches!(told, Ok(Told::HasAdopted(true))).then_some(ballot.initiator)
            }
            Err(error) => return Err(StartError::Join { reason: error.to_string() }),
        };
        let has_adopted = |raft_id: RaftId| adopted == Some(raft_id);
        if let Err(error) = formation.check_join(cluster_id, has_adopted).await {
            said.say(&error.to_string());
            return Ok(None);
        }
        let join = Command::Join { node: self.candidate(), other_is_heard: false };
        match execute_through(peering, peer.raft_id, &join).await {
            Ok(_) => {}
            Err(error) => {
                said.say(&format!("{} does not let this node in yet: {error}", peer.name));
                return Ok(None);
            }
        }
        let identity = &mut *self.identity;
        let adopt = || Ok(identity.adopt_cluster_id(cluster_id)?);
        match formation.adopt(cluster_id, has_adopted, adopt).await {
            Err(StartError::Join { reason }) => {
                // Meanwhile the volume accepted what another one proposed. To be let in twice is to be let in once.
                said.say(&reason);
                return Ok(None);
            }
            adopted => adopted?,
        }
        tracing::info!(cluster = %cluster_id, through = peer.name, "this node joined the cluster");
        self.open_system().await.map(Some)
    }

    /// Tells the cluster of this start. A refusal is for good.
    async fn introduce(&self, council: &Council) -> Result<(), StartError> {
        let join = Command::Join { node: self.candidate(), other_is_heard: false };
        let mut said = Said::default();
        loop {
            match council.submit(&join, SAY_EVERY).await {
                Ok(_) => return Ok(()),
                Err(SubmitError::Refused(refusal)) => {
                    return Err(StartError::Join { reason: refusal.to_string() });
                }
                Err(error @ SubmitError::NoQuorum { .. }) => {
                    said.say(&error.to_string());
                    self.settings.progress.waits_for(format!("its cluster to let it in: {error}"));
                }
            }
            if self.is_introduced_through_others(&join).await? {
                return Ok(());
            }
        }
    }

    /// The replica of a volume that was replaced may never hear of a leader: nobody sends to it, and nobody asks it for a vote.
    /// Others know one.
    async fn is_introduced_through_others(&self, join: &Command) -> Result<bool, StartError> {
        let Some(peering) = self.peering else { return Ok(false) };
        for peer in alive(peering) {
            match execute_through(peering, peer.raft_id, join).await {
                Ok(_) => return Ok(true),
                Err(ExecuteError::Refused(refusal)) => {
                    return Err(StartError::Join { reason: refusal.to_string() });
                }
                Err(_) => {}
            }
        }
        Ok(false)
    }

    async fn wait_until_known(&self, council: &Council) {
        self.settings.progress.waits_for("the configuration of its cluster that names this start");
        let (own, start) = (self.identity.raft_id(), self.identity.incarnation());
        let is_known = |known: &super::system::Known| {
            known
                .as_ref()
                .and_then(|state| state.member(own))
                .is_some_and(|member| member.incarnation == start)
        };
        // An error would mean that the group stopped; whoever uses it next hears so.
        drop(council.system.known().wait_for(is_known).await);
    }
}

fn alive(peering: &Peering) -> Vec<Peer> {
    let peers = peering.peers().borrow().clone();
    let alive = peers.values().filter(|status| status.liveness == Liveness::Alive);
    alive.map(|status| Peer::clone(&status.peer)).collect()
}

/// Says why a node waits: each reason once, and that it waits now and then.
#[derive(Default)]
struct Said {
    last: String,
    /// The latest reason.
    now: Option<String>,
    waiting_since: Option<tokio::time::Instant>,
}

impl Said {
    fn say(&mut self, reason: &str) {
        self.now = Some(reason.to_owned());
        if self.last != reason {
            reason.clone_into(&mut self.last);
            tracing::warn!(reason, "not a member of a cluster yet");
        }
    }

    fn obstacle(&mut self, obstacle: &Obstacle) {
        self.say(&obstacle.to_string());
    }

    fn waiting(&mut self, now: tokio::time::Instant, waits_for: &str) {
        let since = *self.waiting_since.get_or_insert(now);
        if now >= since + SAY_EVERY {
            self.waiting_since = Some(now);
            tracing::info!(waits_for, "not a member of a cluster yet");
        }
    }
}
