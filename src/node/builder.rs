//! For people who write kinds: their binary has the same command line, configuration, probes and metrics.

use std::{ffi::OsString, process::ExitCode};

use playhouse_cluster::environment::Environment;

use super::{
    Node, Settings, StartError,
    application::{self, Application, ApplicationError, Handle},
};
use crate::{
    entity::{Entity, KindRegistry},
    kinds,
    process::SupervisorRef,
    telemetry::Metrics,
};

/// Says which kinds a node has.
///
/// ```no_run
/// use playhouse::{kinds::Counter, node::Node};
///
/// fn main() -> std::process::ExitCode {
///     Node::builder().without_shipped_kinds().kind::<Counter>().main()
/// }
/// ```
#[derive(Clone)]
pub struct Builder {
    kinds: KindRegistry,
    applications: Vec<Application>,
}

impl Default for Builder {
    fn default() -> Self {
        let mut registry = KindRegistry::default();
        kinds::register_all(&mut registry).expect("the shipped kinds have distinct, allowed names");
        Self { kinds: registry, applications: Vec::new() }
    }
}

impl Builder {
    /// Leaves out the kinds that ship with the node.
    #[must_use]
    pub fn without_shipped_kinds(mut self) -> Self {
        self.kinds = KindRegistry::default();
        self
    }

    /// Adds a kind.
    ///
    /// # Panics
    ///
    /// When its name is taken or not allowed, or when it cannot read the schema version that it writes: mistakes of
    /// the program, found at its first start.
    #[must_use]
    pub fn kind<E: Entity>(mut self) -> Self {
        if let Err(error) = self.kinds.register::<E>() {
            panic!("{error}");
        }
        self
    }

    /// Gives handlers of all kinds a handle: [`Context::given`](crate::entity::Context::given).
    #[must_use]
    pub fn provide<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        // Not to builders that this one was cloned from.
        self.kinds = self.kinds.apart();
        self.kinds.surroundings().provide(value);
        self
    }

    /// Adds a program of processes that lives with the node, as an OTP application does: `start` is called once the node is a member of its
    /// cluster, and returns the supervisor at the top when all that is below runs. Before the node leaves, that supervisor is stopped, which is
    /// the last application first.
    ///
    /// What is started in it [belongs](crate::process::Distribution::scope) to the node. When it does not start, the node does not. When its top
    /// ends later, because it gives up, the log and the metrics say so and the node goes on.
    ///
    /// ```no_run
    /// use playhouse::{node::Node, process::{Strategy, Supervisor}};
    ///
    /// fn main() -> std::process::ExitCode {
    ///     let nothing = |_| async { Ok(Supervisor::new(Strategy::OneForOne).start().await?) };
    ///     Node::builder().application("nothing", nothing).main()
    /// }
    /// ```
    #[must_use]
    pub fn application<F, R>(mut self, name: &str, start: F) -> Self
    where
        F: Fn(Handle) -> R + Send + Sync + 'static,
        R: Future<Output = Result<SupervisorRef, ApplicationError>> + Send + 'static,
    {
        self.applications.push(Application::new(name, start));
        self
    }

    /// The kinds that were added.
    #[must_use]
    pub fn kinds(self) -> KindRegistry {
        self.kinds
    }

    pub(super) fn split(self) -> (KindRegistry, Vec<Application>) {
        (self.kinds, self.applications)
    }

    /// Starts a node inside this process, without ports.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self, settings: &Settings, environment: Environment) -> Result<Node, StartError> {
        let mut node = Node::start(settings, self.kinds, Metrics::new(super::RELEASE), environment).await?;
        match node.start_applications(&self.applications).await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop(application::FAILED_WITHIN).await;
                Err(error)
            }
        }
    }

    /// Does what the command line says: `dev`, `run`, `call`, and all others of the `playhouse` binary.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.main_with(std::env::args_os())
    }

    /// As [`main`](Self::main), with arguments that are not those of this process. The first is its name.
    #[must_use]
    pub fn main_with(self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        crate::cli::main_with(self, arguments)
    }
}
