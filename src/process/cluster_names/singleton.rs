//! One process of a kind in the whole cluster, on whichever node: when its node goes, another one starts it.
//!
//! Each node that takes part tries to give a *keeper*, a process that does nothing, a name beside that of the singleton. Who has that name
//! starts the singleton and gives it its own name. So it is started by one node at a time.
//!
//! A keeper makes sure again and again that it still has its name. When it cannot, for less time than the cluster takes to count
//! a silent node as down, it kills the singleton: whoever is cut off does not go on while another node starts.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use playhouse_cluster::environment::watch;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{ClusterNames, Command, Holder, NameError};
use crate::process::{ExitReason, Mailbox, Portable, Process, host, table};

/// What stands behind the name of a singleton in that of its keeper.
const KEEPER: &str = "#keeper";
/// How often a keeper makes sure that it has its name, and how long a singleton that ended waits.
const CONFIRM_EVERY: Duration = Duration::from_millis(500);
/// For how long it may not be sure. A silent node counts as down after three seconds at the earliest.
const UNSURE_MAX: Duration = Duration::from_secs(2);
/// How long others wait, at most, after a keeper ended; twice that if they hear of no end.
const AGAIN: Duration = Duration::from_secs(1);

/// This node takes part in keeping a singleton. Dropping it ends that; a singleton that runs here stops.
#[derive(Debug)]
#[must_use = "dropping it ends that this node takes part"]
pub struct Singleton {
    _takes_part: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Singleton {
    /// Takes no part any more. Returns when the singleton, if it ran here, has stopped.
    pub async fn stop(self) {
        drop(self._takes_part);
        // An error would mean that the node is gone.
        let _ = self.task.await;
    }
}

/// What all rounds have in common.
struct Rules<A: Actor, F> {
    names: ClusterNames,
    name: String,
    /// That of its keeper.
    keeper: String,
    mailbox: Mailbox<A::Msg>,
    make: F,
}

/// Nobody sends anything to a keeper.
#[derive(Serialize, Deserialize)]
pub(super) enum Nothing {}

impl ractor::Message for Nothing {}

impl Portable for Nothing {
    const NAME: &'static str = "internal-keeper.1";
}

struct Keeper;

impl Actor for Keeper {
    type Msg = Nothing;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Nothing>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

pub(super) fn start<A, F>(
    names: &ClusterNames,
    name: &str,
    mailbox: Mailbox<A::Msg>,
    make: F,
) -> Result<Singleton, NameError>
where
    A: Actor,
    A::Msg: Portable,
    F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
{
    let keeper = format!("{name}{KEEPER}");
    names.entity(&keeper)?;
    let rules = Rules::<A, F> { names: names.clone(), name: name.to_owned(), keeper, mailbox, make };
    let (takes_part, over) = watch::channel(());
    // The singleton runs where it is started, and what people wrote must not hold up consensus and links.
    let run = names.inner.distribution.scope(Arc::new(rules).run(over));
    let task = names.environment().spawn_executor(run);
    Ok(Singleton { _takes_part: takes_part, task })
}

impl<A, F> Rules<A, F>
where
    A: Actor,
    A::Msg: Portable,
    F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
{
    async fn run(self: Arc<Self>, mut over: watch::Receiver<()>) {
        loop {
            // A keeper comes and goes all the time, and nobody needs to look after it.
            let keeper = table::scope(None, host::spawn(Keeper, (), Mailbox::default()));
            let Ok(keeper) = keeper.await else { return };
            let is_over = self.round(&keeper, &mut over).await;
            keeper.stop(ExitReason::Shutdown);
            keeper.ended().await;
            if is_over {
                return;
            }
        }
    }

    /// Tries once to become the one who keeps it. Whether this node takes no part any more.
    async fn round(&self, keeper: &Process<Nothing>, over: &mut watch::Receiver<()>) -> bool {
        let sure = Instant::now();
        let register = self.names.register_as(&self.keeper, keeper);
        let registered = tokio::select! {
            biased;
            _ = over.changed() => return true,
            registered = register => registered,
        };
        match registered {
            Ok(holder) => self.keep(holder, sure, over).await,
            Err(error) => self.wait(&error, over).await,
        }
    }

    /// Another one keeps it, or nobody knows.
    async fn wait(&self, error: &NameError, over: &mut watch::Receiver<()>) -> bool {
        let ended = async {
            if let NameError::Taken(keeper) = error {
                self.names.inner.distribution.process::<Nothing>(*keeper).ended().await;
            }
            sleep(self.names.environment().random_duration(AGAIN / 2, AGAIN)).await;
        };
        tokio::select! {
            biased;
            _ = over.changed() => true,
            () = ended => false,
            () = sleep(AGAIN * 2) => false,
        }
    }

    /// Keeps it running as long as this node has the right to. Whether this node takes no part any more.
    async fn keep(&self, holder: Holder, mut sure: Instant, over: &mut watch::Receiver<()>) -> bool {
        loop {
            let Some(process) = self.start(sure).await else {
                if self.confirm(holder, &mut sure, over).await != Standing::Keeps {
                    return false;
                }
                continue;
            };
            let standing = loop {
                tokio::select! {
                    biased;
                    reason = process.ended() => {
                        tracing::warn!(name = self.name, %reason, "a singleton ended and is started again");
                        break self.confirm(holder, &mut sure, over).await;
                    }
                    standing = self.confirm(holder, &mut sure, over) => if standing != Standing::Keeps {
                        break standing;
                    },
                }
            };
            match standing {
                Standing::Keeps => continue,
                Standing::Over => self.stop(&process, holder, sure).await,
                Standing::Lost => process.kill(),
            }
            process.ended().await;
            return standing == Standing::Over;
        }
    }

    /// Lets it stop in its time, as long as this node keeps it.
    async fn stop(&self, process: &Process<A::Msg>, holder: Holder, mut sure: Instant) {
        process.stop(ExitReason::Shutdown);
        let (_goes_on, mut never) = watch::channel(());
        loop {
            tokio::select! {
                biased;
                _ = process.ended() => return,
                standing = self.confirm(holder, &mut sure, &mut never) => if standing != Standing::Keeps {
                    return process.kill();
                },
            }
        }
    }

    /// Starts it and gives it its name, while it is certain who may. `None`: it does not run.
    async fn start(&self, sure: Instant) -> Option<Process<A::Msg>> {
        let until = sure + UNSURE_MAX;
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)()));
        let (actor, arguments) = match made {
            Ok(made) => made,
            Err(panic) => {
                let reason = ExitReason::of_panic(panic.as_ref());
                tracing::error!(name = self.name, %reason, "a singleton cannot be made");
                return None;
            }
        };
        let process = match timeout_at(until, host::spawn(actor, arguments, self.mailbox.clone())).await {
            Ok(Ok(process)) => process,
            Ok(Err(error)) => {
                tracing::error!(name = self.name, %error, "a singleton does not start");
                return None;
            }
            Err(_) => {
                tracing::error!(name = self.name, "a singleton does not start in time");
                return None;
            }
        };
        match timeout_at(until, self.names.register(&self.name, &process)).await {
            Ok(Ok(())) => return Some(process),
            Ok(Err(error)) => tracing::error!(name = self.name, %error, "a singleton does not get its name"),
            Err(_) => tracing::error!(name = self.name, "a singleton does not get its name in time"),
        }
        process.kill();
        process.ended().await;
        None
    }

    /// After a while, whether this node still keeps it.
    async fn confirm(&self, holder: Holder, sure: &mut Instant, over: &mut watch::Receiver<()>) -> Standing {
        let asked = async {
            loop {
                sleep(CONFIRM_EVERY).await;
                let began = Instant::now();
                let entity = self.names.entity(&self.keeper)?;
                if let Ok(now) = entity.call(&Command::Whereis).await {
                    return Ok::<_, NameError>((began, now.holder == Some(holder)));
                }
            }
        };
        tokio::select! {
            biased;
            _ = over.changed() => Standing::Over,
            () = sleep_until(*sure + UNSURE_MAX) => Standing::Lost,
            confirmed = asked => match confirmed {
                Ok((began, true)) => {
                    *sure = began;
                    Standing::Keeps
                }
                _ => Standing::Lost,
            },
        }
    }
}

/// Whether this node keeps the singleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Keeps,
    /// Another one does, or may soon.
    Lost,
    /// This node takes no part any more.
    Over,
}
