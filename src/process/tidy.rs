//! An actor whose state goes when it stops.
//!
//! `ractor` sends the state of an actor that stopped to its supervisor, inside of the event that says so. While that waits to be
//! handled, a port or a lock in the state stays taken, although the actor has ended, and its supervisor may start the next one.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

/// Runs an actor, and drops its state after its last words. What it only passes on is no future of its own: each message would be moved
/// through that.
pub(super) struct Tidy<A>(pub(super) A);

/// What an actor remembers, until it has stopped.
pub(super) struct Held<S>(Option<S>);

impl<S> Held<S> {
    fn get(&mut self) -> &mut S {
        self.0.as_mut().expect("an actor that has stopped handles nothing")
    }
}

impl<A: Actor> Actor for Tidy<A> {
    type Msg = A::Msg;
    type State = Held<A::State>;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<A::Msg>,
        arguments: A::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        self.0.pre_start(myself, arguments).await.map(|state| Held(Some(state)))
    }

    fn post_start(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        self.0.post_start(myself, state.get())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.0.post_stop(myself, state.get()).await?;
        state.0 = None;
        Ok(())
    }

    fn handle(
        &self,
        myself: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        self.0.handle(myself, message, state.get())
    }

    fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send {
        self.0.handle_supervisor_evt(myself, event, state.get())
    }
}
