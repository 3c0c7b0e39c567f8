//! Names of processes in the whole cluster.
//!
//! Comes in: a name and a process of this node. Leaves: the process of a name, on whichever node it lives.
//!
//! Each name is an entity, so there is one holder at a time, whatever fails. It is free again when the process ends, which its node
//! says; if that node is gone, whoever wants the name finds out: the books of the cluster know that a node is down, has left or
//! was started again, and a node that answers knows which processes it has.

mod registration;
mod singleton;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use playhouse_cluster::environment::Environment;
use ractor::Actor;
use tokio::time::{Instant, timeout_at};

use self::registration::{Command, Holder};
pub use self::{registration::Registration, singleton::Singleton};
use super::{
    Backoff, CallError, CastError, Distribution, Excerpt, Home, Mailbox, NameRow, Portable, Process,
    ProcessId, Reply, life::NoticeId, link::Peer,
};
use crate::{
    protocol::{self, Key},
    router::{EntityRef, Router},
};

/// How long a node may take to say whether a process lives. Less than a keeper of a singleton may be unsure, or one that had to ask would
/// have no time left.
const ALIVE_WITHIN: Duration = Duration::from_secs(1);
/// How often a name is tried again to be taken from one that is gone: each time another one was faster.
const ROUNDS_MAX: usize = 4;
/// How often a name of a process that has ended is tried to be freed. Whoever wants it later finds out by himself.
const RELEASES_MAX: u32 = 16;
/// The pauses between.
const RELEASE_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));

/// Which process has which name in the cluster. A cheap handle.
#[derive(Clone)]
pub struct ClusterNames {
    inner: Arc<Inner>,
}

struct Inner {
    distribution: Distribution,
    router: Router,
    starts: Box<dyn Starts>,
    /// What frees a name when its process ends, by claim.
    held: Mutex<Held>,
}

type Held = BTreeMap<u64, Holding>;

/// A name of a process of this node.
struct Holding {
    name: Key,
    holder: Holder,
    /// The entity said so; before that, it is being asked.
    is_granted: bool,
    peer: Weak<dyn Peer>,
    notice: NoticeId,
}

/// Which starts of nodes are over for the cluster: the node is down, has left, has started again or will never come back.
pub trait Starts: Send + Sync {
    /// As far as this node knows, which may be a little old.
    fn is_over(&self, home: Home) -> bool;

    /// As the cluster knows it now. `false` if nobody can say.
    fn is_over_by_now(&self, home: Home) -> BoxFuture<'_, bool>;
}

/// Why a name was not given to a process, or is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A process has this name, or one of a node that does not answer and may come back.
    #[error("process {0} has this name")]
    Taken(ProcessId),
    /// The process has ended.
    #[error("the process does not run (noproc)")]
    NoProc,
    /// The process lives on another node: it is registered there.
    #[error("the process lives on another node")]
    Elsewhere,
    /// That cannot be the key of an entity.
    #[error("this cannot be a name: {0}")]
    Name(String),
    /// Other nodes know as many processes of this node as they may.
    #[error("other nodes know as many processes of this node as they may")]
    TooMany,
    /// The shard of the name did not answer. What was asked for is taken back as soon as it does, so ask again.
    #[error("the name could not be looked up: {0}")]
    Unavailable(#[from] protocol::CallError),
}

impl ClusterNames {
    /// Names for the processes of `distribution`, kept by entities that `router` reaches: all nodes have the kind
    /// [`Registration`]. One for each `distribution`, which is cloned: another one would take the names of this one for left over.
    pub fn new(distribution: Distribution, router: Router, starts: impl Starts + 'static) -> Self {
        let inner = Inner { distribution, router, starts: Box::new(starts), held: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Gives a process of this node a name in the cluster, until it ends or somebody takes the name away.
    ///
    /// # Errors
    ///
    /// When the name is taken, by this process or another; when the process has ended or lives elsewhere; when the shard of the name has
    /// no leader. If the future is dropped, the name is taken back.
    pub async fn register<M: Portable>(&self, name: &str, process: &Process<M>) -> Result<(), NameError> {
        self.register_as(name, process).await.map(drop)
    }

    /// Takes part in keeping one process of this name in the cluster: of all nodes that do, one runs it, and when it goes, or the
    /// process ends, it is started again, there or elsewhere. `make` is called for each start. It has less than two seconds to start and to
    /// get its name; what takes longer belongs into a message to itself.
    ///
    /// A node that is cut off kills it before another one starts it; so it also stands still, or is started again, while the
    /// shard of its name has no leader for two seconds. A node that was frozen may go on with it for a moment when it
    /// runs again: what must not happen twice takes a token from an entity, such as a `lease`.
    ///
    /// # Errors
    ///
    /// When that cannot be a name.
    pub fn singleton<A, F>(
        &self,
        name: &str,
        mailbox: Mailbox<A::Msg>,
        make: F,
    ) -> Result<Singleton, NameError>
    where
        A: Actor,
        A::Msg: Portable,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        singleton::start::<A, F>(self, name, mailbox, make)
    }

    /// As [`register`](Self::register), and says by what the registration is known.
    async fn register_as<M: Portable>(&self, name: &str, process: &Process<M>) -> Result<Holder, NameError> {
        let peer = process.peer_here().ok_or(NameError::Elsewhere)?;
        let entity = self.entity(name)?;
        let id = self.inner.distribution.id_of(process).map_err(|_| NameError::TooMany)?;
        let holder = Holder {
            home: self.inner.distribution.home(),
            number: id.number(),
            messages: self.inner.distribution.name_of::<M>(),
            claim: self.environment().random_u64(),
        };
        self.release_at_end(&peer, entity.clone(), holder)?;
        let mut claim = Claim { names: self, entity: &entity, holder, may_exist: true };
        let claimed = self.claim(&entity, holder).await;
        match &claimed {
            // It ended meanwhile: its name may have been freed before it was given.
            Ok(()) if !self.grant(holder) => return Err(NameError::NoProc),
            Ok(()) => claim.may_exist = false,
            Err(NameError::Unavailable(_)) => {}
            Err(_) => {
                claim.may_exist = false;
                self.forget(holder);
            }
        }
        claimed.map(|()| holder)
    }

    /// The process of this name. `None` if there is none, if its node is gone, or if it takes other messages.
    ///
    /// # Errors
    ///
    /// When the shard of the name has no leader.
    pub async fn whereis<M: Portable>(&self, name: &str) -> Result<Option<Process<M>>, NameError> {
        let holder = self.entity(name)?.call(&Command::Whereis).await?.holder;
        let fitting = holder.filter(|holder| holder.messages == self.inner.distribution.name_of::<M>());
        let process = fitting.map(|holder| self.inner.distribution.process(holder.id()));
        Ok(process.filter(|process| process.is_alive() || !self.is_known_as_over(process.id())))
    }

    /// Takes a name away from whoever has it. Whether somebody had it.
    ///
    /// # Errors
    ///
    /// When the shard of the name has no leader.
    pub async fn unregister(&self, name: &str) -> Result<bool, NameError> {
        let entity = self.entity(name)?;
        let Some(holder) = entity.call(&Command::Whereis).await?.holder else { return Ok(false) };
        let after = entity.call(&Command::Unregister { holder }).await?.holder;
        self.forget(holder);
        Ok(after != Some(holder))
    }

    /// Sends a message to the process of this name.
    ///
    /// # Errors
    ///
    /// As [`Process::cast`]; `NoProc` when there is no such name, `NoConnection` when its shard has no leader.
    pub async fn cast<M: Portable>(&self, name: &str, message: M) -> Result<(), CastError> {
        match self.whereis::<M>(name).await {
            Ok(Some(process)) => process.cast(message).await,
            Ok(None) => Err(CastError::NoProc),
            Err(_) => Err(CastError::NoConnection),
        }
    }

    /// Calls the process of this name, all within `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Process::call`]; `NoProc` when there is no such name, `NoConnection` when its shard has no leader.
    pub async fn call<M: Portable, T>(
        &self,
        name: &str,
        message: impl FnOnce(Reply<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let asked = async {
            match self.whereis::<M>(name).await {
                Ok(Some(process)) => process.call(message, timeout).await,
                Ok(None) => Err(CallError::NoProc),
                Err(_) => Err(CallError::NoConnection),
            }
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(CallError::Timeout))
    }

    /// Takes the name, also from one that is gone.
    async fn claim(&self, entity: &EntityRef<Registration>, holder: Holder) -> Result<(), NameError> {
        let mut instead_of = None;
        for _ in 0..ROUNDS_MAX {
            let after = entity.call(&Command::Register { holder, instead_of }).await?.holder;
            match after {
                Some(other) if other != holder => {
                    if !self.is_left_over(other) && !self.is_gone(other).await {
                        return Err(self.taken(other));
                    }
                    instead_of = Some(other);
                }
                _ => return Ok(()),
            }
        }
        Err(self.taken(instead_of.unwrap_or(holder)))
    }

    fn taken(&self, holder: Holder) -> NameError {
        NameError::Taken(self.inner.distribution.called_here(holder.id()))
    }

    /// Whether a holder of a name is known not to live any more. Its node knows best, if it answers; else the cluster decides, as it
    /// is now: in what this node has read, a node may be down that is back.
    async fn is_gone(&self, holder: Holder) -> bool {
        match self.inner.distribution.is_alive(holder.id(), ALIVE_WITHIN).await {
            Ok(is_alive) => !is_alive,
            Err(_) => self.inner.starts.is_over_by_now(holder.home).await,
        }
    }

    /// Of a process that cannot be reached now.
    fn is_known_as_over(&self, process: ProcessId) -> bool {
        process
            .home()
            .is_none_or(|home| home == self.inner.distribution.home() || self.inner.starts.is_over(home))
    }

    /// The name is freed when its process ends.
    fn release_at_end(
        &self,
        peer: &Arc<dyn Peer>,
        entity: EntityRef<Registration>,
        holder: Holder,
    ) -> Result<(), NameError> {
        let names = self.clone();
        let mut held = self.inner.held.lock();
        let name = entity.id().key.clone();
        let notice = peer.life().watch(Box::new(move |_| names.release(entity, holder)));
        let (peer, notice) = (Arc::downgrade(peer), notice.ok_or(NameError::NoProc)?);
        held.insert(holder.claim, Holding { name, holder, is_granted: false, peer, notice });
        Ok(())
    }

    /// The entity gave it the name. Whether its process still runs.
    fn grant(&self, holder: Holder) -> bool {
        let mut held = self.inner.held.lock();
        let holding = held.get_mut(&holder.claim);
        holding.map(|holding| holding.is_granted = true).is_some()
    }

    /// The first names of processes of this node. Those that the cluster has given to somebody else are left out, if their entities
    /// say so in time.
    pub(super) async fn of_this_node(&self, names_max: usize, until: Instant) -> Excerpt<NameRow> {
        let mut held: Vec<_> = {
            let held = self.inner.held.lock();
            // Those of keepers mean nothing to people.
            let keeper = self.inner.distribution.name_of::<singleton::Nothing>();
            let granted = held.values().filter(|it| it.is_granted && it.holder.messages != keeper);
            granted.map(|holding| (holding.name.clone(), holding.holder)).collect()
        };
        held.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        let more = held.len().saturating_sub(names_max);
        held.truncate(names_max);
        let rows = held.into_iter().map(|(name, holder)| async move {
            let entity = EntityRef::<Registration>::new(self.inner.router.clone(), name.clone());
            let asked = timeout_at(until, entity.call(&Command::Whereis)).await;
            let now = asked.ok().and_then(Result::ok).map(|registration| registration.holder);
            let is_lost = now.is_some_and(|now| now != Some(holder));
            let row = NameRow { name: name.to_string(), process: holder.number, is_confirmed: now.is_some() };
            (!is_lost).then_some(row)
        });
        Excerpt { shown: join_all(rows).await.into_iter().flatten().collect(), more }
    }

    /// Whether the name is to be freed when its process ends.
    fn is_held(&self, holder: Holder) -> bool {
        self.inner.held.lock().contains_key(&holder.claim)
    }

    /// Whether it is a claim of this start of this node that nobody stands by any more: it is being taken back.
    fn is_left_over(&self, holder: Holder) -> bool {
        holder.home == self.inner.distribution.home() && !self.is_held(holder)
    }

    /// The end of the process is nothing to this name any more.
    fn forget(&self, holder: Holder) {
        let held = self.inner.held.lock().remove(&holder.claim);
        if let Some(Holding { peer, notice, .. }) = held
            && let Some(peer) = peer.upgrade()
        {
            peer.life().unwatch(notice);
        }
    }

    /// Frees a name, in a task of its own.
    fn release(&self, entity: EntityRef<Registration>, holder: Holder) {
        self.forget(holder);
        let environment = self.environment().clone();
        self.environment().spawn(async move {
            for in_row in 0..RELEASES_MAX {
                if entity.call(&Command::Unregister { holder }).await.is_ok() {
                    return;
                }
                let jitter = environment.random_u64() as f64 / u64::MAX as f64;
                tokio::time::sleep(RELEASE_AGAIN.delay(in_row, jitter)).await;
            }
            tracing::warn!(name = %entity.id(), "the name of a process that ended could not be freed");
        });
    }

    fn entity(&self, name: &str) -> Result<EntityRef<Registration>, NameError> {
        let key = Key::new(name).map_err(|error| NameError::Name(error.to_string()))?;
        Ok(EntityRef::new(self.inner.router.clone(), key))
    }

    fn environment(&self) -> &Environment {
        self.inner.router.environment()
    }
}

/// A name that was asked for. If nobody waits for the outcome any more, it is taken back.
struct Claim<'a> {
    names: &'a ClusterNames,
    entity: &'a EntityRef<Registration>,
    holder: Holder,
    may_exist: bool,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.may_exist {
            self.names.release(self.entity.clone(), self.holder);
        }
    }
}

impl Holder {
    fn id(self) -> ProcessId {
        ProcessId::there(self.home, self.number)
    }
}

impl fmt::Debug for ClusterNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClusterNames").field(&self.inner.distribution.home()).finish()
    }
}
