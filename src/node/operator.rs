//! What an operator can ask of a cluster through any of its nodes.
//!
//! Comes in: names of members. Leaves: an [`Overview`], or a change of the configuration that the system group carries out;
//! moving what has to move goes on afterwards, and the overview shows how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use playhouse_cluster::{
    consensus::RaftId,
    identity::ClusterId,
    membership::{ClusterState, Command, Member, MemberState, Refusal},
    peering::{Lane, Peering, RequestError},
};

use super::{
    cluster::{
        control::{self, Ask, Told},
        council::{Council, SubmitError},
    },
    copies::{Copies, CopyError, CopyHead, CopyId, Desk},
    report::NodeReport,
    standing::Standing,
    wiring::Report,
};
use crate::{
    backup::Part,
    process::{Observer, ProcessReport},
};

/// How long a member may take to tell how it is.
const REPORT_WITHIN: Duration = Duration::from_secs(2);
/// How long a member may take to tell of its processes: longer than its supervisors may take to answer.
const PROCESSES_WITHIN: Duration = Duration::from_secs(4);
/// Why nothing is told of the processes of a member.
const NO_ANSWER: &str = "it does not answer";
const NO_PROCESSES: &str = "it was told to have none: processes.remote is off";
/// How long the cluster may take to decide.
const DECIDE_WITHIN: Duration = Duration::from_secs(8);

/// What operators ask. A cheap handle, which keeps nothing alive: once the node has stopped it knows nothing.
#[derive(Clone)]
pub struct Operator {
    rooms: Arc<Mutex<Option<Rooms>>>,
}

#[derive(Clone)]
pub(super) struct Rooms {
    pub(super) council: Council,
    pub(super) own: RaftId,
    pub(super) standing: Standing,
    pub(super) copies: Desk,
    pub(super) report: Report,
    /// `None`: this node has no processes.
    pub(super) observer: Option<Observer>,
}

/// The processes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProcesses {
    /// Its name.
    pub name: String,
    /// What was seen of them.
    pub seen: Seen,
}

/// What was seen of the processes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What it told.
    Report(Box<ProcessReport>),
    /// Nothing.
    Nothing {
        /// Why.
        why: String,
    },
}

/// Gives the way to the leader of the system group, as long as the node runs.
pub(super) type WayToCouncil = Box<dyn Fn() -> Option<Council> + Send + Sync>;

/// Why an operator's command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// Nothing changed.
    #[error(
        "this node is not a member of a cluster; nothing was changed. Ask another one, or ask again when it is ready"
    )]
    NotMember,
    /// Nothing changed, and the text says why.
    #[error("{0}")]
    Refused(Refusal),
    /// It may or may not have happened.
    #[error("{reason}; it is not known whether anything changed, and asking again is safe")]
    NoQuorum {
        /// What was seen last.
        reason: String,
    },
}

/// The cluster, as one node knows it and as its members tell it now.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Who tells it.
    pub own: RaftId,
    /// The configuration that this node knows.
    pub state: Arc<ClusterState>,
    /// When that was, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Whether this node heard a majority lately. If not, the configuration may be an old one.
    pub hears_quorum: bool,
    /// What the members said; whoever did not answer is missing.
    pub reports: BTreeMap<RaftId, NodeReport>,
}

impl Overview {
    /// Members that should have answered, and did not.
    pub fn unheard(&self) -> impl Iterator<Item = &Member> {
        let members = self.state.members().values();
        members.filter(|it| it.state != MemberState::Left && !self.reports.contains_key(&it.raft_id))
    }
}

impl Operator {
    pub(super) fn new(rooms: Rooms) -> Self {
        Self { rooms: Arc::new(Mutex::new(Some(rooms))) }
    }

    /// Its processes can be looked at from now on.
    pub(super) fn set_observer(&self, observer: Observer) {
        if let Some(rooms) = self.rooms.lock().as_mut() {
            rooms.observer = Some(observer);
        }
    }

    /// The node stops.
    pub(super) fn clear(&self) {
        let rooms = self.rooms.lock().take();
        drop(rooms);
    }

    pub(super) fn rooms(&self) -> Option<Rooms> {
        self.rooms.lock().clone()
    }

    /// The way to the leader of the system group, for those who outlive the node: `None` then.
    pub(super) fn way_to_council(&self) -> WayToCouncil {
        let rooms = Arc::downgrade(&self.rooms);
        Box::new(move || rooms.upgrade()?.lock().as_ref().map(|rooms| rooms.council.clone()))
    }

    /// Asks all members at once how they are.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotMember`].
    pub async fn overview(&self) -> Result<Overview, OperatorError> {
        let rooms = self.rooms().ok_or(OperatorError::NotMember)?;
        let state = rooms.state()?;
        let members = state.members().values().filter(|member| member.state != MemberState::Left);
        let asked = members.map(|member| rooms.report_of(member.raft_id));
        let reports = futures_util::future::join_all(asked).await;
        Ok(Overview {
            own: rooms.own,
            now_ms: rooms.council.environment.wall_ms(),
            hears_quorum: rooms.standing.hears_quorum(),
            reports: reports.into_iter().flatten().map(|report| (report.raft_id, report)).collect(),
            state,
        })
    }

    /// Asks one member, or all that have not left, which processes it has; at most `rows_max` rows of each list. In the order of their
    /// names; one that does not answer is among them.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn processes(
        &self,
        name: Option<&str>,
        rows_max: usize,
    ) -> Result<Vec<NodeProcesses>, OperatorError> {
        let rooms = self.rooms().ok_or(OperatorError::NotMember)?;
        let state = rooms.state()?;
        let mut members: Vec<&Member> = match name {
            None => state.members().values().filter(|member| member.state != MemberState::Left).collect(),
            Some(name) => vec![state.member_named(name).ok_or_else(|| unknown(name))?],
        };
        members.sort_by(|one, other| one.name.cmp(&other.name));
        let asked = members.into_iter().map(|member| async {
            let seen = rooms.processes_of(member.raft_id, rows_max).await;
            let seen = seen.map_or_else(|why| Seen::Nothing { why }, |report| Seen::Report(Box::new(report)));
            NodeProcesses { name: member.name.clone(), seen }
        });
        Ok(futures_util::future::join_all(asked).await)
    }

    /// Which cluster this is, and how many shards it has.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotMember`].
    pub fn cluster(&self) -> Result<(ClusterId, u32), OperatorError> {
        let state = self.rooms().ok_or(OperatorError::NotMember)?.state()?;
        Ok((state.cluster_id(), state.shards()))
    }

    /// Opens a copy of a shard at one point in time, with everything that was acknowledged before.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; to ask again is safe.
    pub async fn open_copy(&self, shard: u32) -> Result<CopyHead, CopyError> {
        self.copies()?.open(shard).await
    }

    /// The next pairs of a copy, behind the key `after`. A part without pairs is the end.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; to ask again is safe.
    pub async fn read_copy(&self, id: CopyId, after: Option<Bytes>) -> Result<Part, CopyError> {
        self.copies()?.read(id, after).await
    }

    /// Gives a copy back. One that is forgotten ends by itself after a while.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; to ask again is safe.
    pub async fn close_copy(&self, id: CopyId) -> Result<(), CopyError> {
        self.copies()?.close(id).await
    }

    /// Keeps copies open that are read later.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; to ask again is safe.
    pub async fn keep_copies(&self, ids: &[CopyId]) -> Result<(), CopyError> {
        self.copies()?.keep(ids).await
    }

    fn copies(&self) -> Result<Copies, CopyError> {
        let rooms = self.rooms().ok_or(CopyError::Gone)?;
        Ok(Copies { council: rooms.council, own: rooms.own, desk: rooms.copies })
    }

    /// Has a member give its leaderships away, as before a restart. Its replicas stay. Returns at once, with the revision of the
    /// configuration; the overview shows what it still leads.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn drain(&self, name: &str) -> Result<u64, OperatorError> {
        self.change_member(name, |member| Command::Drain {
            raft_id: member.raft_id,
            incarnation: member.incarnation,
        })
        .await
    }

    /// The member does not restart after all: it may lead again once it has said that it caught up.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn undrain(&self, name: &str) -> Result<u64, OperatorError> {
        self.change_member(name, |member| Command::Undrain { raft_id: member.raft_id }).await
    }

    /// Has the replicas of a member that is down made anew elsewhere, now.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn replace(&self, name: &str) -> Result<u64, OperatorError> {
        self.change_member(name, |member| Command::Replace { raft_id: member.raft_id }).await
    }

    /// Removes a member that has left, or that is down and holds nothing.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn forget(&self, name: &str) -> Result<u64, OperatorError> {
        self.change_member(name, |member| Command::Forget { raft_id: member.raft_id }).await
    }

    /// Has all replicas of these members move to others; then they have left. `force`: even if fewer members stay than each
    /// shard needs voters.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn leave(&self, names: BTreeSet<String>, force: bool) -> Result<u64, OperatorError> {
        self.change(&Command::Leave { names, force }).await
    }

    /// Of the nodes `set-0`, `set-1`, … those from number `to` on leave; those below, if they were leaving, stay.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn scale(&self, set: String, to: u32, force: bool) -> Result<u64, OperatorError> {
        self.change(&Command::Scale { set, to, force }).await
    }

    async fn change_member(
        &self,
        name: &str,
        command: impl FnOnce(&Member) -> Command,
    ) -> Result<u64, OperatorError> {
        let state = self.rooms().ok_or(OperatorError::NotMember)?.state()?;
        let member = state.member_named(name).ok_or_else(|| unknown(name))?;
        self.change(&command(member)).await
    }

    async fn change(&self, command: &Command) -> Result<u64, OperatorError> {
        let rooms = self.rooms().ok_or(OperatorError::NotMember)?;
        let submitted = rooms.council.submit(command, DECIDE_WITHIN).await;
        submitted.map_err(|error| match error {
            SubmitError::Refused(refusal) => OperatorError::Refused(refusal),
            error @ SubmitError::NoQuorum { .. } => OperatorError::NoQuorum { reason: error.to_string() },
        })
    }
}

fn unknown(name: &str) -> OperatorError {
    OperatorError::Refused(Refusal::Unknown { what: format!("called {name}") })
}

impl Rooms {
    /// The processes of a member, or why nothing is known of them.
    async fn processes_of(&self, member: RaftId, rows_max: usize) -> Result<ProcessReport, String> {
        if member == self.own {
            let observer = self.observer.as_ref().ok_or(NO_PROCESSES)?;
            return Ok(observer.look(rows_max).await);
        }
        let peering: &Peering = self.council.peering.as_ref().ok_or(NO_ANSWER)?;
        // A long answer goes where it holds up no heartbeat.
        let ask = Ask::Processes { rows_max };
        let asked = control::ask_over(peering, Lane::Bulk, member, &ask);
        match tokio::time::timeout(PROCESSES_WITHIN, asked).await {
            Ok(Ok(Told::Processes(report))) => report.map(|report| *report).ok_or(NO_PROCESSES.to_owned()),
            Ok(Err(RequestError::Refused(why))) => Err(format!("it refuses to tell: {why}")),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(NO_ANSWER.to_owned()),
        }
    }

    fn state(&self) -> Result<Arc<ClusterState>, OperatorError> {
        self.council.system.known().borrow().clone().ok_or(OperatorError::NotMember)
    }

    /// `None`: it did not answer.
    async fn report_of(&self, member: RaftId) -> Option<NodeReport> {
        if member == self.own {
            return Some((self.report)());
        }
        let peering: &Peering = self.council.peering.as_ref()?;
        let asked = control::ask(peering, member, &Ask::Report);
        match tokio::time::timeout(REPORT_WITHIN, asked).await {
            Ok(Ok(Told::Report(report))) => Some(*report),
            _ => None,
        }
    }
}
