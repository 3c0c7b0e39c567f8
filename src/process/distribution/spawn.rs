//! Processes that other nodes start here, by the name of their kind.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::RwLock;
use playhouse_cluster::{codec, collections::Map, consensus::RaftId};
use ractor::Actor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::{Portable, Shared, connection::Connection, frame::Frame, travel::Trip};
use crate::process::{CallError, CastError, ExitReason, Mailbox, ProcessId, host, table};

/// How long a process that a peer asked for may take to start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Why a process was not started on another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnOnError {
    /// That node has no such kind. Make it spawnable there.
    #[error("that node has no process of this kind to start")]
    NoSuchKind,
    /// The arguments, or the reference to the process, cannot be sent between the nodes.
    #[error("the arguments are not what that kind is started with")]
    NotPortable,
    /// It did not start.
    #[error("the process did not start: {0}")]
    Failed(ExitReason),
    /// Too much waits to be sent to that node, or too many spawns are under way there, or other nodes know as many of its
    /// processes as they may. Nothing runs.
    #[error("too many spawns are under way; try again later")]
    Full,
    /// That node is not connected. If it was until now, the process may run there.
    #[error("the node is not connected (noconnection)")]
    NoConnection,
    /// There was no answer in time, or it took longer than a minute to start. The process may run.
    #[error("no answer in time; the process may run")]
    Timeout,
}

pub(super) struct Spawners {
    kinds: RwLock<Map<String, Spawner>>,
    spawns: Arc<Semaphore>,
}

type Spawner = Arc<dyn Fn(Arc<Shared>, Vec<u8>) -> BoxFuture<'static, Spawned> + Send + Sync>;
type Spawned = Result<ProcessId, SpawnOnError>;

impl Spawners {
    pub(super) fn new(spawns_max: usize) -> Self {
        Self { kinds: RwLock::default(), spawns: Arc::new(Semaphore::new(spawns_max)) }
    }

    pub(super) fn insert<T, A, F>(&self, kind: &str, mailbox: Mailbox<A::Msg>, make: F)
    where
        T: DeserializeOwned + Send + 'static,
        A: Actor,
        A::Msg: Portable,
        F: Fn(T) -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let make = Arc::new(make);
        let spawner: Spawner = Arc::new(move |shared: Arc<Shared>, arguments: Vec<u8>| {
            let (make, mailbox) = (Arc::clone(&make), mailbox.clone());
            async move {
                let arguments = Trip::new(&shared, None).unpack::<T>(&arguments);
                let (actor, arguments) = make(arguments.map_err(|_| SpawnOnError::NotPortable)?);
                let spawned = host::spawn(actor, arguments, mailbox).await;
                let process = spawned.map_err(|error| SpawnOnError::Failed(error.0))?;
                shared.id_of(&process).map_err(|_| {
                    // Nobody could reach it.
                    process.kill();
                    SpawnOnError::Full
                })
            }
            .boxed()
        });
        self.kinds.write().insert(kind.to_owned(), spawner);
    }

    /// A peer wants a process.
    pub(super) fn spawn(&self, connection: &Arc<Connection>, call: u64, kind: &str, arguments: &[u8]) {
        let Some(shared) = connection.shared() else { return };
        let Ok(permit) = Arc::clone(&self.spawns).try_acquire_owned() else {
            connection.answer(call, &Spawned::Err(SpawnOnError::Full));
            return;
        };
        let spawned = self.start(&shared, kind, arguments.to_vec());
        let connection: Weak<Connection> = Arc::downgrade(connection);
        // A process runs where it was started, and what people wrote must not hold up the link.
        shared.environment.spawn_executor(async move {
            // One that hangs keeps no permit for ever: who asked has given up.
            let spawned = tokio::time::timeout(START_WITHIN, spawned).await;
            let spawned = spawned.unwrap_or(Err(SpawnOnError::Timeout));
            drop(permit);
            if let Some(connection) = connection.upgrade() {
                connection.answer(call, &spawned);
            }
        });
    }

    fn start(&self, shared: &Arc<Shared>, kind: &str, arguments: Vec<u8>) -> BoxFuture<'static, Spawned> {
        let spawner = self.kinds.read().get(kind).cloned();
        let (shared, table) = (Arc::clone(shared), Arc::clone(&shared.table));
        let started = async move {
            let spawner = spawner.ok_or(SpawnOnError::NoSuchKind)?;
            // What makes an actor of arguments is written by people.
            let spawned = AssertUnwindSafe(async { spawner(shared, arguments).await }).catch_unwind().await;
            spawned.unwrap_or_else(|panic| Err(SpawnOnError::Failed(ExitReason::of_panic(panic.as_ref()))))
        };
        table::scope(Some(table), started).boxed()
    }
}

/// Starts a process on a node, and returns its id.
pub(super) async fn spawn_on<T: Serialize>(
    shared: &Arc<Shared>,
    node: RaftId,
    kind: &str,
    arguments: &T,
) -> Spawned {
    let packed = Trip::new(shared, None).pack(arguments);
    let (arguments, _) = packed.map_err(|_: codec::EncodeError| SpawnOnError::NotPortable)?;
    if node == shared.home.node {
        let spawned = shared.environment.spawn_executor(shared.spawners.start(shared, kind, arguments));
        return spawned.await.unwrap_or(Err(SpawnOnError::Failed(ExitReason::Killed)));
    }
    let connection = shared.connection_to(node).ok_or(SpawnOnError::NoConnection)?;
    let (call, _awaited, answered) = connection.ask::<Spawned>()?;
    connection.message(&Frame::Spawn { call, kind, arguments: &arguments })?;
    answered.await.unwrap_or(Err(CallError::NoReply))?
}

impl From<CastError> for SpawnOnError {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Full => Self::Full,
            CastError::TooLarge | CastError::NotPortable => Self::NotPortable,
            CastError::NoProc | CastError::NoConnection => Self::NoConnection,
        }
    }
}

impl From<CallError> for SpawnOnError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotPortable | CallError::TooLarge => Self::NotPortable,
            CallError::Full => Self::Full,
            CallError::Timeout => Self::Timeout,
            CallError::Died(reason) => Self::Failed(reason),
            CallError::NoProc | CallError::NoReply | CallError::CallingSelf | CallError::NoConnection => {
                Self::NoConnection
            }
        }
    }
}
