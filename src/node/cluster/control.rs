//! What nodes ask each other about the cluster, on the control lane.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use playhouse_cluster::{
    codec,
    consensus::RaftId,
    identity::Incarnation,
    membership::{
        Command,
        bootstrap::{Answer, Proposal},
    },
    peering::{Lane, Liveness, Peer, Peering, RequestError, Service, ServiceId},
};
use serde::{Deserialize, Serialize};

use super::{
    formation::Formation,
    system::{ExecuteError, System},
};
use crate::{
    node::{report::NodeReport, wiring::Report},
    process::{Observer, ProcessReport},
};

/// The service that answers questions about the cluster.
pub(in crate::node) const CONTROL: ServiceId = ServiceId(2);

/// What a node asks another.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::node) enum Ask {
    /// Carry this out, if you lead the system group.
    Execute(Command),
    /// Do you accept this cluster?
    Propose(Proposal),
    /// Is this volume certainly a member of your cluster?
    HasAdopted(RaftId),
    /// Which incarnation of this volume do you know from the configuration?
    Incarnation(RaftId),
    /// Do you hear this node, in this incarnation?
    Hears(RaftId, Incarnation),
    /// Tell what you lead and how you are.
    Report,
    /// Tell which processes you have, so many rows of each list.
    Processes { rows_max: usize },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::node) enum Told {
    /// Done; the configuration has this revision now.
    Executed { revision: u64 },
    /// Not done.
    NotExecuted(ExecuteError),
    /// Whether it is accepted; `None`: this node cannot say now.
    Proposed(Option<Answer>),
    /// Whether it certainly is.
    HasAdopted(bool),
    /// The incarnation that is known. `None`: nothing is known of it.
    Incarnation(Option<Incarnation>),
    /// Whether it is heard.
    Hears(bool),
    /// What it leads and how it is.
    Report(Box<NodeReport>),
    /// Its processes; `None`: it has none.
    Processes(Option<Box<ProcessReport>>),
}

/// Answers questions of peers; what is not there yet is filled in while the node starts.
#[derive(Clone, Default)]
pub(in crate::node) struct Control {
    rooms: Arc<Mutex<Rooms>>,
}

/// What questions are answered from. Taken away when the node stops: peers may hold this longer than the volume may stay
/// open.
#[derive(Clone, Default)]
struct Rooms {
    system: Option<System>,
    peering: Option<Peering>,
    formation: Option<Formation>,
    report: Option<Report>,
    observer: Option<Observer>,
}

impl Control {
    pub(in crate::node) fn set_system(&self, system: System) {
        self.rooms.lock().system = Some(system);
    }

    pub(in crate::node) fn set_peering(&self, peering: Peering) {
        self.rooms.lock().peering = Some(peering);
    }

    pub(in crate::node) fn set_formation(&self, formation: Formation) {
        self.rooms.lock().formation = Some(formation);
    }

    pub(in crate::node) fn set_report(&self, report: Report) {
        self.rooms.lock().report = Some(report);
    }

    pub(in crate::node) fn set_observer(&self, observer: Observer) {
        self.rooms.lock().observer = Some(observer);
    }

    /// Answers nothing any more.
    pub(in crate::node) fn clear(&self) {
        let rooms = std::mem::take(&mut *self.rooms.lock());
        drop(rooms);
    }

    fn rooms(&self) -> Rooms {
        self.rooms.lock().clone()
    }

    async fn answer(self, from: Arc<Peer>, ask: Ask) -> Result<Told, String> {
        let rooms = self.rooms();
        match ask {
            Ask::Execute(command) => Ok(match self.execute(command).await {
                Ok(revision) => Told::Executed { revision },
                Err(error) => Told::NotExecuted(error),
            }),
            Ask::Propose(proposal) => {
                let formation = rooms.formation.ok_or("this node is starting")?;
                let answer = formation.asked(&from.name, proposal).await;
                answer.map(Told::Proposed).map_err(|error| error.to_string())
            }
            Ask::HasAdopted(raft_id) => {
                let known = rooms.system.and_then(|system| system.known().borrow().clone());
                Ok(Told::HasAdopted(known.is_some_and(|state| state.has_adopted(raft_id))))
            }
            Ask::Incarnation(raft_id) => self.tell_incarnation(raft_id).map(Told::Incarnation),
            Ask::Hears(raft_id, incarnation) => {
                let peering = rooms.peering.ok_or("this node is starting")?;
                Ok(Told::Hears(hears(&peering, raft_id, incarnation)))
            }
            Ask::Report => {
                let report = rooms.report.ok_or("this node is starting")?;
                Ok(Told::Report(Box::new(report())))
            }
            Ask::Processes { rows_max } => Ok(Told::Processes(match rooms.observer {
                Some(observer) => Some(Box::new(observer.look(rows_max.min(ROWS_MAX)).await)),
                // A node that is starting has none that anybody could see.
                None => None,
            })),
        }
    }

    /// Which start of a volume the configuration knows.
    fn tell_incarnation(&self, raft_id: RaftId) -> Result<Option<Incarnation>, String> {
        let known = self.rooms().system.and_then(|system| system.known().borrow().clone());
        // "I do not know" must not be taken for "nobody knows".
        let known = known.ok_or("this node does not know the configuration yet")?;
        Ok(known.member(raft_id).map(|member| member.incarnation))
    }

    /// As the leader of the system group.
    async fn execute(&self, mut command: Command) -> Result<u64, ExecuteError> {
        let rooms = self.rooms();
        let system = rooms.system.ok_or(ExecuteError::NotLeader { leader: None })?;
        if let Command::Join { node, other_is_heard } = &mut command {
            // Only the leader's own ears count.
            *other_is_heard = rooms.peering.is_some_and(|peering| {
                let peers = peering.peers().borrow().clone();
                let other = |peer: &Peer| peer.name == node.name && peer.raft_id != node.raft_id;
                peers.values().any(|status| status.liveness == Liveness::Alive && other(&status.peer))
            });
        }
        system.execute(&command).await
    }
}

/// Whether this start of a node is heard here.
pub(in crate::node) fn hears(peering: &Peering, raft_id: RaftId, incarnation: Incarnation) -> bool {
    let peers = peering.peers().borrow().clone();
    peers
        .get(&raft_id)
        .is_some_and(|status| status.liveness == Liveness::Alive && status.peer.incarnation == incarnation)
}

impl Service for Control {
    fn receive(&self, from: &Arc<Peer>, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let (control, from) = (self.clone(), Arc::clone(from));
        Box::pin(async move {
            let ask = codec::decode(&request).map_err(|error| error.to_string())?;
            let told = control.answer(from, ask).await?;
            codec::encode(&told).map(Bytes::from).map_err(|error| error.to_string())
        })
    }
}

/// Asks a peer.
pub(in crate::node) async fn ask(peering: &Peering, to: RaftId, ask: &Ask) -> Result<Told, RequestError> {
    ask_over(peering, Lane::Control, to, ask).await
}

/// Asks a peer over this lane.
pub(in crate::node) async fn ask_over(
    peering: &Peering,
    lane: Lane,
    to: RaftId,
    ask: &Ask,
) -> Result<Told, RequestError> {
    let encoded = codec::encode(ask).map_err(|error| RequestError::Refused(error.to_string()))?;
    let asked = peering.request(to, lane, CONTROL, encoded.into());
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
    let late = || RequestError::Unreachable { to, reason: "no answer in time".to_owned() };
    let answer = answer.map_err(|_| late())??;
    codec::decode(&answer).map_err(|error| RequestError::Refused(error.to_string()))
}

/// How many rows of each list of processes a peer gets.
const ROWS_MAX: usize = 1_000;
/// How long a peer may take to answer.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use playhouse_cluster::{
        consensus::{self, Isolated},
        environment::Environment,
        store::{Config, Memory, Store},
    };

    use super::*;

    /// A node that had just started said that nobody knew the volume; so an old copy of it was let in.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_know_the_configuration_does_not_say_that_nobody_knows() {
        let environment = Environment::simulated(1);
        let store = Store::start(Memory::new(), &environment, Config::default()).unwrap();
        let control = Control::default();
        let asked = RaftId(7);
        control.tell_incarnation(asked).unwrap_err();
        let config = consensus::Config::default();
        let system = System::open(RaftId(1), &store, Arc::new(Isolated), &config, &environment);
        control.set_system(system.await.unwrap());
        let refused = control.tell_incarnation(asked).unwrap_err();
        assert_eq!(refused, "this node does not know the configuration yet");
    }
}
