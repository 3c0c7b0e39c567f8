//! The same processes as plain `ractor` actors.

use std::collections::VecDeque;

use ractor::{
    Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort, concurrency::JoinHandle, rpc::CallResult,
};
use ractor_cluster::RactorClusterMessage;

/// What an actor takes that counts what arrives, on this node only.
pub enum Note {
    /// Count this; the number says nothing.
    Count(u64),
    /// Count this, and say how much was counted.
    Ask(RpcReplyPort<u64>),
    /// How much was counted.
    Received(RpcReplyPort<u64>),
}

impl Message for Note {}

/// Counts what arrives.
pub struct Sink;

impl Actor for Sink {
    type Msg = Note;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Note>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Note>,
        note: Note,
        received: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match note {
            Note::Count(_) => *received += 1,
            Note::Ask(reply) => {
                *received += 1;
                reply.send(*received)?;
            }
            Note::Received(reply) => reply.send(*received)?,
        }
        Ok(())
    }
}

/// What a remotable actor takes that counts what arrives.
#[derive(RactorClusterMessage)]
pub enum FarNote {
    /// Count this; the bytes say nothing.
    Load(Vec<u8>),
    /// Count this, and say how much was counted.
    #[rpc]
    Ask(Vec<u8>, RpcReplyPort<u64>),
    /// How much was counted.
    #[rpc]
    Received(RpcReplyPort<u64>),
}

/// Counts what arrives, also from other nodes.
pub struct FarSink;

impl Actor for FarSink {
    type Msg = FarNote;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<FarNote>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<FarNote>,
        note: FarNote,
        received: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match note {
            FarNote::Load(_) => *received += 1,
            FarNote::Ask(_, reply) => {
                *received += 1;
                reply.send(*received)?;
            }
            FarNote::Received(reply) => reply.send(*received)?,
        }
        Ok(())
    }
}

/// What an actor takes that holds a queue.
pub enum Use {
    /// Put it in.
    In(u64, Option<RpcReplyPort<()>>),
    /// Take the oldest out.
    Out(Option<RpcReplyPort<Option<u64>>>),
    /// How many of both there were.
    Handled(RpcReplyPort<u64>),
}

impl Message for Use {}

/// Holds a queue.
pub struct Queue;

impl Actor for Queue {
    type Msg = Use;
    type State = (u64, VecDeque<u64>);
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Use>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        Ok((0, VecDeque::new()))
    }

    async fn handle(
        &self,
        _: ActorRef<Use>,
        used: Use,
        (handled, queue): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match used {
            Use::In(item, reply) => {
                *handled += 1;
                queue.push_back(item);
                reply.map_or(Ok(()), |reply| reply.send(()))?;
            }
            Use::Out(reply) => {
                *handled += 1;
                let item = queue.pop_front();
                reply.map_or(Ok(()), |reply| reply.send(item))?;
            }
            Use::Handled(reply) => reply.send(*handled)?,
        }
        Ok(())
    }
}

/// An actor, and its task.
pub type Started<M> = (ActorRef<M>, JoinHandle<()>);

/// Starts one without a name.
///
/// # Panics
///
/// When it does not start.
pub async fn start_one<A: Actor<Arguments = ()>>(actor: A) -> Started<A::Msg> {
    Actor::spawn(None, actor, ()).await.expect("it starts")
}

/// Starts so many that count.
pub async fn start(count: usize) -> Vec<Started<Note>> {
    let mut started = Vec::with_capacity(count);
    for _ in 0..count {
        started.push(start_one(Sink).await);
    }
    started
}

/// Ends them.
///
/// # Panics
///
/// When one panicked.
pub async fn stop<M: Message>(actors: Vec<Started<M>>) {
    actors.iter().for_each(|(actor, _)| actor.kill());
    for (_, task) in actors {
        task.await.expect("no actor panics");
    }
}

/// What all of them counted.
///
/// # Panics
///
/// When one does not answer.
pub async fn received<M: Message>(actors: &[ActorRef<M>], ask: fn(RpcReplyPort<u64>) -> M) -> u64 {
    let asked =
        actors.iter().map(|actor| async move { answer(actor.call(ask, Some(super::PATIENCE)).await) });
    futures_util::future::join_all(asked).await.into_iter().sum()
}

/// The answer to a call.
///
/// # Panics
///
/// When there is none.
pub fn answer<T, E: std::fmt::Debug>(called: Result<CallResult<T>, E>) -> T {
    match called {
        Ok(CallResult::Success(answer)) => answer,
        Ok(CallResult::Timeout) => panic!("an actor answers in time"),
        Ok(CallResult::SenderError) => panic!("an actor answers"),
        Err(error) => panic!("{error:?}"),
    }
}
