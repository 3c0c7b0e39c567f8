//! For people who write kinds: their binary has the same command line, configuration, probes and metrics.

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use playhouse_cluster::environment::Environment;

use super::{Application, ApplicationResult, Node, Settings, StartError, application};
use crate::{
    entity::{Entity, KindRegistry},
    kinds,
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
    pub(super) application: Option<application::Run>,
}

impl Default for Builder {
    fn default() -> Self {
        let mut registry = KindRegistry::default();
        kinds::register_all(&mut registry).expect("the shipped kinds have distinct, allowed names");
        Self { kinds: registry, application: None }
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

    /// Runs this beside the entities of a node that is a process of its own ([`main`](Self::main)): supervisors, singletons, other
    /// processes. It is called once the node has started, and runs until the node is about to leave, of which it
    /// [hears](Application::until_leaving); what it started then has a part of the node's time to stop.
    ///
    /// If it ends before, the log says so and the node goes on.
    ///
    /// ```no_run
    /// use playhouse::{node::Node, process::{Strategy, Supervisor}};
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Node::builder()
    ///         .application(|mut node| async move {
    ///             let supervisor = Supervisor::new(Strategy::OneForOne).start().await?;
    ///             node.until_leaving().await;
    ///             supervisor.stop_and_wait().await;
    ///             Ok(())
    ///         })
    ///         .main()
    /// }
    /// ```
    #[must_use]
    pub fn application<F, R>(self, run: F) -> Self
    where
        F: Fn(Application) -> R + Send + Sync + 'static,
        R: Future<Output = ApplicationResult> + Send + 'static,
    {
        let run: application::Run = Arc::new(move |node| Box::pin(run(node)));
        Self { application: Some(run), ..self }
    }

    /// The kinds that were added.
    #[must_use]
    pub fn kinds(self) -> KindRegistry {
        self.kinds
    }

    /// Starts a node inside this process, without ports.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self, settings: &Settings, environment: Environment) -> Result<Node, StartError> {
        Node::start(settings, self.kinds, Metrics::new(super::RELEASE), environment).await
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
