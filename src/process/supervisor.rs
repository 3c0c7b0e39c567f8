//! Supervision trees with OTP's words and OTP's meaning.
//!
//! Comes in: child specifications and flags. Leaves: a supervisor that runs, [`SupervisorRef`], whose children are started from
//! left to right, restarted by their strategy, and stopped from right to left.
//!
//! ```
//! use std::time::Duration;
//! use playhouse::process::{ChildSpec, Strategy, Supervisor};
//! use ractor::{Actor, ActorProcessingErr, ActorRef};
//!
//! struct Greeter;
//!
//! impl Actor for Greeter {
//!     type Msg = String;
//!     type State = ();
//!     type Arguments = ();
//!
//!     async fn pre_start(&self, _: ActorRef<String>, (): ()) -> Result<(), ActorProcessingErr> {
//!         Ok(())
//!     }
//!
//!     async fn handle(&self, _: ActorRef<String>, name: String, (): &mut ()) -> Result<(), ActorProcessingErr> {
//!         if name.is_empty() { Err("nobody to greet".into()) } else { Ok(()) }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let supervisor = Supervisor::new(Strategy::OneForOne)
//!     .intensity(3, Duration::from_secs(5))
//!     .child(ChildSpec::worker("greeter", || (Greeter, ())))
//!     .start()
//!     .await
//!     .unwrap();
//!
//! let child = supervisor.child("greeter").await.unwrap();
//! child.reference::<ActorRef<String>>().unwrap().send_message(String::new()).unwrap();
//! child.cell().wait(None).await.unwrap(); // It crashes …
//! let again = supervisor.child("greeter").await.unwrap();
//! assert_ne!(again.cell().get_id(), child.cell().get_id()); // … and runs again.
//! supervisor.stop_and_wait().await;
//! # }
//! ```
//!
//! What decides is pure (`decisions`); what acts is a `ractor` actor (`actor`). It has no name and is in no group: those
//! of `ractor` are process-wide.
//!
//! A child is started again when the last of the former one is gone, its state included: what a state holds, such as a port or a
//! lock, is free again in `pre_start`. The same is true of all that was below a child that is a supervisor, also when it was killed
//! or did not start in time.
//!
//! What differs from OTP:
//!
//! * A kill takes effect where the killed one waits (`.await`). A child that never waits cannot be killed, and is waited for; so is
//!   what was below a killed supervisor.
//! * A child finishes the message it is handling before it stops, as an OTP process does that traps exits.
//! * There is no `ignore` as an answer to a start.
//! * [`backoff`](Supervisor::backoff) and [`start_timeout`](ChildSpec::start_timeout) are additions.

mod actor;
mod backoff;
mod child;
mod decisions;
mod error;
mod intensity;
mod reference;
mod request;
mod simple;
mod spec;
mod task;

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorCell, SpawnErr};
use tokio::task::JoinHandle;

use self::actor::{Origin, Overseer};
pub use self::{
    backoff::Backoff,
    child::{ChildSpec, RunningChild},
    decisions::Counts,
    error::{
        DeleteChildError, FindChildError, RequestError, RestartChildError, StartChildError, StartError,
        TerminateChildError,
    },
    reference::SupervisorRef,
    request::{ChildStatus, ChildView},
    simple::{SimpleOneForOne, SimpleOneForOneRef},
    spec::{AutoShutdown, ChildRules, ChildType, Flags, Restart, Shutdown, SpecError, Strategy},
};
pub(super) use self::{request::SupervisorView, task::Leftovers};

/// A supervisor that is not started yet.
#[derive(Clone, Debug)]
#[must_use]
pub struct Supervisor {
    flags: Flags,
    children: Vec<ChildSpec>,
    dynamic: bool,
}

impl Supervisor {
    /// A supervisor without children, with OTP's defaults: one restart within five seconds, no automatic shutdown.
    pub fn new(strategy: Strategy) -> Self {
        Self { flags: Flags { strategy, ..Flags::default() }, children: Vec::new(), dynamic: false }
    }

    /// Allows so many restarts within any `period`. One more, and the supervisor stops its children and ends with
    /// [`shutdown`](crate::process::ExitReason::Shutdown), so that its own supervisor decides.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        (self.flags.intensity, self.flags.period) = (restarts, period);
        self
    }

    /// Ends when its significant children have ended by themselves.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.flags.auto_shutdown = auto_shutdown;
        self
    }

    /// Lets restarts wait. Those that belong to the group are stopped meanwhile.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.flags.backoff = Some(backoff);
        self
    }

    /// Bounds how many children there may be. The default is 100,000.
    pub fn children_max(mut self, children_max: usize) -> Self {
        self.flags.children_max = children_max;
        self
    }

    /// Adds a child at the right end.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Starts it, under no supervisor, and returns when all children run.
    ///
    /// # Errors
    ///
    /// When a child does not start; those before it are stopped again. When the specifications contradict each other.
    pub async fn start(self) -> Result<SupervisorRef, StartError> {
        Ok(self.spawn(None, Arc::default()).await?.0)
    }

    /// Starts it as a child of a `ractor` actor, which learns of its end as `ractor` tells it, and with which it is killed.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when the parent ends.
    pub async fn start_linked(self, parent: ActorCell) -> Result<SupervisorRef, StartError> {
        Ok(self.spawn(Some(parent), Arc::default()).await?.0)
    }

    pub(super) async fn spawn(
        self,
        parent: Option<ActorCell>,
        below: Arc<Leftovers>,
    ) -> Result<(SupervisorRef, JoinHandle<()>), SpawnErr> {
        let origin = Origin::of(parent.as_ref());
        let (actor, task) = match parent {
            Some(parent) => Overseer::spawn_linked(None, Overseer, (self, below, origin), parent).await?,
            None => Overseer::spawn(None, Overseer, (self, below, origin)).await?,
        };
        Ok((SupervisorRef::new(actor), task))
    }
}

/// What can be the child of a supervisor and has children itself.
pub trait Tree: sealed::Tree {}

impl<S: sealed::Tree> Tree for S {}

pub(super) mod sealed {
    use std::{any::Any, future::Future, sync::Arc};

    use ractor::{ActorCell, SpawnErr};
    use tokio::task::JoinHandle;

    use super::{Supervisor, SupervisorRef, task::Leftovers};

    /// How such a thing is started.
    pub trait Tree: Send + 'static {
        /// What one gets.
        type Reference: Any + Send + Sync;

        /// Starts it below a parent, in a task of its own. What it leaves behind goes to that place.
        fn spawn(
            self,
            parent: ActorCell,
            below: Arc<Leftovers>,
        ) -> impl Future<Output = Result<(Self::Reference, JoinHandle<()>), SpawnErr>> + Send;

        /// The actor behind a reference.
        fn cell(reference: &Self::Reference) -> ActorCell;
    }

    impl Tree for Supervisor {
        type Reference = SupervisorRef;

        fn spawn(
            self,
            parent: ActorCell,
            below: Arc<Leftovers>,
        ) -> impl Future<Output = Result<(SupervisorRef, JoinHandle<()>), SpawnErr>> + Send {
            Supervisor::spawn(self, Some(parent), below)
        }

        fn cell(reference: &SupervisorRef) -> ActorCell {
            reference.cell().clone()
        }
    }
}
