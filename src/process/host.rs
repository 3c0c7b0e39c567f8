//! The actor that runs a process: it takes messages out of the bounded mailbox, hands them to the actor that people wrote, and says
//! why it ended.

use std::{any::type_name, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use futures_util::FutureExt;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinHandle;

use super::{
    ExitReason, Mailbox, Process,
    inner::{Inner, Role, Token},
    mailbox::{Next, Taken},
    table,
    tidy::Tidy,
};

/// Starts a process. It has no parent: nobody hears of its end but who monitors it or is linked to it.
///
/// # Errors
///
/// When its `pre_start` fails: the reason.
pub async fn spawn<A: Actor>(
    actor: A,
    arguments: A::Arguments,
    mailbox: Mailbox<A::Msg>,
) -> Result<Process<A::Msg>, SpawnError> {
    Ok(start(actor, arguments, mailbox, None).await?.0)
}

/// Starts a process as a child of a `ractor` actor, such as a supervisor that one wrote oneself.
///
/// # Errors
///
/// When its `pre_start` fails, or its parent ends: the reason.
pub async fn spawn_linked<A: Actor>(
    actor: A,
    arguments: A::Arguments,
    mailbox: Mailbox<A::Msg>,
    parent: ActorCell,
) -> Result<Process<A::Msg>, SpawnError> {
    Ok(start(actor, arguments, mailbox, Some(parent)).await?.0)
}

/// Starts a process, and says which task it runs in.
pub(super) async fn start<A: Actor>(
    actor: A,
    arguments: A::Arguments,
    mailbox: Mailbox<A::Msg>,
    parent: Option<ActorCell>,
) -> Result<(Process<A::Msg>, JoinHandle<()>), ractor::SpawnErr> {
    let (host, process) = Host::new(actor, mailbox, parent.as_ref());
    let started = match parent {
        Some(parent) => Tidy::spawn_linked(None, Tidy(host), arguments, parent).await,
        None => Tidy::spawn(None, Tidy(host), arguments).await,
    };
    match started {
        Ok((_, task)) => Ok((process, task)),
        // `ractor` does not know who killed it, or why.
        Err(error) => {
            let exit = process.here().and_then(|inner| inner.life().exit());
            Err(exit.map_or(error, ExitReason::into_start))
        }
    }
}

/// Why a process did not start. Nothing of it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process did not start: {0}")]
pub struct SpawnError(pub ExitReason);

impl From<ractor::SpawnErr> for SpawnError {
    fn from(error: ractor::SpawnErr) -> Self {
        Self(ExitReason::of_start(&error))
    }
}

/// Runs an actor that people wrote.
struct Host<A: Actor> {
    actor: A,
    inner: Arc<Inner<A::Msg>>,
    /// The number of its parent.
    parent: Option<u64>,
    /// For a process that never came to have a memory.
    _grave: Grave<A::Msg>,
}

/// What a process remembers. Its fields are dropped in this order: replies that it keeps are dropped when it is known to be gone,
/// so that their callers learn why.
struct Memory<S, M: Send + 'static> {
    _grave: Grave<M>,
    state: S,
    role: Role,
}

/// Says that the process is gone when it is dropped.
struct Grave<M: Send + 'static>(Arc<Inner<M>>);

impl<M: Send + 'static> Grave<M> {
    fn of(inner: &Arc<Inner<M>>) -> Self {
        Self(Arc::clone(inner))
    }
}

impl<M: Send + 'static> Drop for Grave<M> {
    fn drop(&mut self) {
        self.0.end_anyhow();
    }
}

/// One of its functions runs. If it does not return, the process is gone.
struct Running<'a, M: Send + 'static>(Option<&'a Inner<M>>);

impl<'a, M: Send + 'static> Running<'a, M> {
    fn begin(inner: &'a Inner<M>) -> Self {
        inner.life().begin_turn();
        Self(Some(inner))
    }

    /// It returned, and the process lives on.
    fn end(mut self) {
        if let Some(inner) = self.0.take() {
            inner.life().end_turn();
        }
    }
}

impl<M: Send + 'static> Drop for Running<'_, M> {
    fn drop(&mut self) {
        if let Some(inner) = self.0 {
            inner.end_anyhow();
        }
    }
}

impl<A: Actor> Host<A> {
    fn new(actor: A, mailbox: Mailbox<A::Msg>, parent: Option<&ActorCell>) -> (Self, Process<A::Msg>) {
        let inner = Arc::new(Inner::new(mailbox, table::here()));
        let parent = parent.map(|parent| parent.get_id().pid());
        (Self { actor, inner: Arc::clone(&inner), parent, _grave: Grave::of(&inner) }, Process::new(inner))
    }

    fn inner(&self) -> &Arc<Inner<A::Msg>> {
        &self.inner
    }

    /// Runs one of its functions. An error or a panic is its end, and so it is when the function is not run to its end: then it is
    /// killed. That is known before `ractor` tells the supervisor, so that a name is free when the next one starts.
    ///
    /// The future of the function is made where it stays: with each message, it would be copied from place to place.
    async fn run<T, F>(
        &self,
        role: &mut Role,
        function: impl FnOnce() -> F + Send,
    ) -> Result<T, ActorProcessingErr>
    where
        F: Future<Output = Result<T, ActorProcessingErr>> + Send,
    {
        let running = Running::begin(self.inner());
        let mut played = pin!(role.play(AssertUnwindSafe(function()).catch_unwind()));
        let outcome = played.as_mut().await;
        role.end(played);
        let outcome = outcome.unwrap_or_else(|panic| Err(ExitReason::of_panic(panic.as_ref()).into()));
        match &outcome {
            Ok(_) => running.end(),
            Err(error) => self.inner().life().judge(ExitReason::of_failure(error)),
        }
        outcome
    }
}

fn typed<M>(myself: ActorRef<Token>) -> ActorRef<M> {
    ActorRef::from(ActorCell::from(myself))
}

impl<A: Actor> Actor for Host<A> {
    type Msg = Token;
    type State = Memory<A::State, A::Msg>;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Token>,
        arguments: A::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        self.inner().begin(myself.clone(), self.parent, type_name::<A>());
        let mut role = Role::of(self.inner());
        let state = self.run(&mut role, || self.actor.pre_start(typed(myself), arguments)).await?;
        Ok(Memory { _grave: Grave::of(self.inner()), state, role })
    }

    async fn post_start(
        &self,
        myself: ActorRef<Token>,
        memory: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.run(&mut memory.role, || self.actor.post_start(typed(myself), &mut memory.state)).await
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Token>,
        memory: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // Nobody would handle what comes from now on.
        self.inner().queue().close_entrance();
        self.run(&mut memory.role, || self.actor.post_stop(typed(myself), &mut memory.state)).await?;
        self.inner().end_well();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Token>,
        _: Token,
        memory: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        loop {
            match self.inner().take() {
                (Taken::Message(message), Next::ByToken) => {
                    let handler = || self.actor.handle(typed(myself), message, &mut memory.state);
                    return self.run(&mut memory.role, handler).await;
                }
                (Taken::Message(message), Next::AtOnce) => {
                    let handler = || self.actor.handle(typed(myself.clone()), message, &mut memory.state);
                    self.run(&mut memory.role, handler).await?;
                    // All of it is one message for `ractor`, which looks for stops between messages only.
                    if self.inner().life().is_asked() {
                        return Ok(());
                    }
                    tokio::task::yield_now().await;
                }
                (Taken::Nothing, _) => return Ok(()),
                (Taken::Drained, _) => {
                    myself.stop(ExitReason::Normal.stop_text());
                    return Ok(());
                }
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Token>,
        event: SupervisionEvent,
        memory: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let handler = || self.actor.handle_supervisor_evt(typed(myself), event, &mut memory.state);
        self.run(&mut memory.role, handler).await
    }
}
