//! Remote references to processes (`ractor` actors), by `ractor_cluster` behind our link.
//!
//! Comes in: sessions of [`Lane::Processes`], with the bytes that peers pushed. Leaves: a mirror of each remotable process of
//! each peer, and [`Remote`] to cast and call it; which peers' processes can be reached ([`Processes::peers`]).
//!
//! `ractor_cluster` alone has no failure detector, refuses restarted peers, listens to everybody and keeps what cannot be
//! sent in memory without end. Here:
//!
//! * **It has no socket at all.** Its sessions are started on streams of our link, which are authenticated and encrypted, by a
//!   supervisor of ours in the place of its node server: nothing of it can be reached before our handshake.
//! * **The link says who is dead.** A lane ends when its peer is silent, or when a newer incarnation of it comes; its session
//!   ends with it, the mirrors stop, and calls that wait for an answer end with [`CallError::Lost`]. Each lane has a session of
//!   its own, so a peer is never refused because of an earlier one.
//! * **Bytes are bounded in each direction.** A receiver takes [`Config::window_bytes_max`] that its session has not read; a
//!   sender keeps [`Config::waiting_bytes_max`] for each peer, and past it a cast is refused with [`CastError::Full`]. A message
//!   above [`Config::frame_bytes_max`] is not sent, and no frame above 64 MiB is sent or read.
//! * **Answers are bounded, too.** A call counts until its answer is here or cannot come any more, also when nobody waits for
//!   it: together the answers that a peer is asked for have at most [`Config::answers_bytes_max`]. A session that begins to
//!   write much more than that is closed, whoever is to blame.
//! * **A session that cannot write ends.** What is queued while it writes is not counted, so it must get on: one whose peer reads
//!   nothing for the `stall_timeout` of the [link](super::Config) is closed, though that peer answers all pings.
//! * **A call always ends**, at its deadline if not before.
//!
//! # What a layer of processes must know
//!
//! These are facts of `ractor` 0.16; `cluster/tests/processes.rs` has a test of each.
//!
//! * **The registry of names, the groups and the table of all actors are process-wide.** Two nodes in one process would mirror
//!   each other's actors under the same numbers. So there is one [`Processes`] per operating system process, and none in
//!   simulations.
//! * **Whether an actor is mirrored is a property of its message type**: `ractor::Message::serializable`, which is `false`
//!   unless the type says otherwise. An ordinary enum costs peers nothing; but `String`, `Vec<u8>` and the integers *are*
//!   serializable, and an actor that takes one of those is mirrored on every peer, asked or not. A mirror costs about 11 KB.
//! * **Names are local.** A mirror knows the name of its process, but the registry does not find it. Worse: when a mirror
//!   stops, the registry forgets the *local* actor that has the same name. Give no names to remotable processes; keep names in
//!   a table of your own.
//! * **Groups are not partitioned**: a remotable member of a group joins the group of the same name on every peer. A mirror
//!   leaves when it stops.
//! * **A raw `ActorRef` of a mirror has no bound and no deadline.** Use [`Remote`].
//! * **Who is remotable is told in one frame** when a session begins, and each group in another one. Past 64 MiB (some 8
//!   million processes without names) the session is closed, again and again. Make the few remotable that others must find.
//! * **A session keeps the largest buffer that it ever needed.** It writes what it has queued as one, and its buffer is emptied
//!   but not made smaller until the session ends: for each peer as much as one session may write, some 330 MiB with the default
//!   settings, mostly twice [`Config::answers_bytes_max`]. It belongs to a task of `ractor_cluster` that nobody else reaches, so
//!   smaller settings are the only bound.
//! * **Mailboxes have no bound, so a slow process takes its node out of memory.** A window opens again when bytes are read, not
//!   when they are handled: what comes faster than a process handles it waits in its mailbox. Nothing here stops that; a
//!   layer of processes must bound mailboxes, and until it does, senders should wait for answers.

mod budget;
mod call;
mod config;
mod error;
mod fence;
mod framing;
mod lanes;
mod pipe;
mod remote;
mod supervisor;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release},
    },
    time::Duration,
};

use ractor::{ActorCell, Message};

use super::{Lane, Local, Session, ShardFrames};
use crate::{
    consensus::RaftId,
    environment::{Environment, watch},
    identity::Incarnation,
};

pub use config::Config;
pub use error::{CallError, CastError, RemoteError, StartError};
pub use remote::Remote;

use self::{lanes::Lanes, supervisor::Supervisor};

/// What the cookie of `ractor_cluster` is derived for.
pub(super) const COOKIE_CONTEXT: &str = "ractor_cluster";

/// How long [`Processes::stop`] waits for the mirrors to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A peer whose processes can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessPeer {
    /// Its name.
    pub name: String,
    /// That start of it.
    pub incarnation: Incarnation,
    /// What stands in the id of each of its mirrors, `ActorId::Remote { node_id, .. }`: another one for each lane.
    pub node_id: u64,
}

/// The remote references of a node; see the module. A cheap handle.
///
/// Give it to [`Peering::start`](super::Peering::start) as (part of) its [`ShardFrames`], with
/// [`Config::processes`](super::Config::processes).
///
/// ```
/// use playhouse_cluster::{
///     consensus::RaftId,
///     environment::Environment,
///     identity::Incarnation,
///     peering::{Local, processes::{Config, Processes, StartError}},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let local = Local {
///     name: "node-1".into(),
///     raft_id: RaftId(1),
///     incarnation: Incarnation(1),
///     release: "1.0.0".into(),
///     zone: "a".into(),
///     track: "stable".into(),
///     shards: 128,
/// };
/// let runtime = tokio::runtime::Handle::current();
/// let environment = Environment::real(runtime.clone(), runtime);
/// let processes = Processes::start(Config::default(), &local, &environment).await.unwrap();
/// assert!(processes.peers().borrow().is_empty());
/// assert!(matches!(Processes::start(Config::default(), &local, &environment).await, Err(StartError::NotAlone)));
/// # });
/// ```
#[derive(Clone)]
pub struct Processes {
    handle: Arc<Handle>,
}

struct Handle {
    lanes: Arc<Lanes>,
    supervisor: Supervisor,
}

impl Processes {
    /// Starts the supervisor of the sessions.
    ///
    /// # Errors
    ///
    /// When settings contradict each other, when another one runs in this operating system process, or when the supervisor
    /// cannot be started. Nothing was started then.
    pub async fn start(config: Config, local: &Local, environment: &Environment) -> Result<Self, StartError> {
        config.check()?;
        let only = Only::claim().ok_or(StartError::NotAlone)?;
        let lanes = Arc::new(Lanes::new(config, environment.clone()));
        let name = full_name(&local.name, local.raft_id, local.incarnation);
        let supervisor = Supervisor::start(name, &lanes, only).await?;
        Ok(Self { handle: Arc::new(Handle { lanes, supervisor }) })
    }

    /// The peers whose processes can be reached. The current value is always there.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Arc<BTreeMap<RaftId, ProcessPeer>>> {
        self.lanes().peers()
    }

    /// The mirrors of the processes of a peer. None: it cannot be reached, or has no remotable process.
    #[must_use]
    pub fn mirrors(&self, of: RaftId) -> Vec<ActorCell> {
        self.lanes().mirrors(of)
    }

    /// A bounded reference to the process that `mirror` stands for, such as one of [`mirrors`](Self::mirrors) or of the
    /// members of a group.
    ///
    /// # Errors
    ///
    /// When it is no mirror, messages of that type cannot be sent, or the session of the mirror is over.
    pub fn remote<M: Message>(&self, mirror: &ActorCell) -> Result<Remote<M>, RemoteError> {
        let node_id = match mirror.get_id() {
            ractor::ActorId::Remote { node_id, .. } => node_id,
            ractor::ActorId::Local(_) => return Err(RemoteError::Local),
        };
        if !M::serializable() {
            return Err(RemoteError::NotRemotable { message: std::any::type_name::<M>() });
        }
        let way = self.lanes().way(node_id).ok_or(RemoteError::Lost)?;
        Ok(Remote::new(mirror.clone(), way))
    }

    /// How many messages were not sent because they were larger than [`Config::frame_bytes_max`].
    #[must_use]
    pub fn frames_dropped(&self) -> u64 {
        self.lanes().counts().dropped.load(Relaxed)
    }

    /// How many sessions were closed because more waited in them than [`Config`] lets wait, or because their peers read nothing.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.lanes().counts().overflows.load(Relaxed)
    }

    /// Ends all sessions and their mirrors. Then another one may start in this operating system process; dropping all handles
    /// has the same effect a little later.
    pub async fn stop(&self) {
        self.lanes().close_all("this node stops");
        self.handle.supervisor.stop(STOP_TIMEOUT).await;
    }

    fn lanes(&self) -> &Lanes {
        &self.handle.lanes
    }
}

impl ShardFrames for Processes {
    fn opened(&self, session: &Arc<Session>) {
        if session.lane() == Lane::Processes {
            let stream = self.lanes().opened(session);
            self.handle.supervisor.open(stream, session);
        }
    }

    fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>) {
        self.lanes().frames(session, frames);
    }

    fn closed(&self, session: &Arc<Session>) {
        self.lanes().closed(session);
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Processes").field("peers", &*self.peers().borrow()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.lanes.close_all("this node stops");
        self.supervisor.end();
    }
}

/// The right to be the only one: registry, groups and table of actors are process-wide, so this is, too. The supervisor has it
/// as long as anything runs, also when nobody has a handle any more.
struct Only;

static IS_CLAIMED: AtomicBool = AtomicBool::new(false);

impl Only {
    fn claim() -> Option<Self> {
        // Not `then_some`: a right that was made and not given would be dropped, and so given back.
        (!IS_CLAIMED.swap(true, AcqRel)).then(|| Self)
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        IS_CLAIMED.store(false, Release);
    }
}

/// The name of a start of a node, as sessions tell it to each other: no two starts share one.
fn full_name(name: &str, raft_id: RaftId, incarnation: Incarnation) -> (String, String) {
    (name.to_owned(), format!("{:016x}.{}", raft_id.0, incarnation.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two would mirror each other's actors under the same numbers.
    #[tokio::test]
    async fn there_is_only_one_in_a_process() {
        let local = Local {
            name: "node-1".to_owned(),
            raft_id: RaftId(1),
            incarnation: Incarnation(1),
            release: String::new(),
            zone: String::new(),
            track: String::new(),
            shards: 1,
        };
        let runtime = tokio::runtime::Handle::current();
        let environment = Environment::real(runtime.clone(), runtime);
        let contradiction = Config { waiting_bytes_max: 1, ..Config::default() };
        let refused = Processes::start(contradiction, &local, &environment).await;
        assert!(matches!(refused, Err(StartError::Config(_))), "{refused:?}");
        let first = Processes::start(Config::default(), &local, &environment).await.unwrap();
        let second = Processes::start(Config::default(), &local, &environment).await;
        assert!(matches!(second, Err(StartError::NotAlone)), "{second:?}");
        // Who was refused gave back what was not its own.
        let second = Processes::start(Config::default(), &local, &environment).await;
        assert!(matches!(second, Err(StartError::NotAlone)), "{second:?}");
        // Meters, for one, keep a handle of a node that has stopped.
        first.stop().await;
        let third = Processes::start(Config::default(), &local, &environment).await.unwrap();
        first.stop().await;
        drop(first);
        let fourth = Processes::start(Config::default(), &local, &environment).await;
        assert!(matches!(fourth, Err(StartError::NotAlone)), "{fourth:?}");
        // Without a handle it runs on for a moment.
        drop(third);
        let fifth = Processes::start(Config::default(), &local, &environment).await;
        assert!(matches!(fifth, Err(StartError::NotAlone)), "{fifth:?}");
        let at_last = async {
            loop {
                match Processes::start(Config::default(), &local, &environment).await {
                    Err(StartError::NotAlone) => tokio::task::yield_now().await,
                    started => break started.unwrap(),
                }
            }
        };
        let at_last = tokio::time::timeout(Duration::from_secs(60), at_last).await;
        at_last.expect("the right is given back").stop().await;
    }
}
