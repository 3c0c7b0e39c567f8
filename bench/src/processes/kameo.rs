//! The same processes as actors of `kameo`.

use std::time::Duration;

use kameo::{
    actor::Spawn as _,
    error::Infallible,
    mailbox,
    prelude::{Actor, ActorRef, Context, Message},
};

/// As many as a mailbox of ours takes.
const MESSAGES_MAX: usize = 10_000;

/// Counts what arrives.
pub struct Sink {
    received: u64,
}

impl Actor for Sink {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self { received: 0 })
    }
}

/// Count this; the number says nothing.
pub struct Count(pub u64);

impl Message<Count> for Sink {
    type Reply = ();

    async fn handle(&mut self, _: Count, _: &mut Context<Self, ()>) {
        self.received += 1;
    }
}

/// Count this, and say how much was counted.
pub struct Ask;

impl Message<Ask> for Sink {
    type Reply = u64;

    async fn handle(&mut self, _: Ask, _: &mut Context<Self, u64>) -> u64 {
        self.received += 1;
        self.received
    }
}

/// How much was counted.
pub struct Received;

impl Message<Received> for Sink {
    type Reply = u64;

    async fn handle(&mut self, _: Received, _: &mut Context<Self, u64>) -> u64 {
        self.received
    }
}

/// An actor that runs.
pub type Started = ActorRef<Sink>;

/// Starts so many that count. Returns when each has run its first function.
pub async fn start(count: usize) -> Vec<Started> {
    let mut started = Vec::with_capacity(count);
    for _ in 0..count {
        let sink = Sink::spawn_with_mailbox((), mailbox::bounded(MESSAGES_MAX));
        sink.wait_for_startup().await;
        started.push(sink);
    }
    started
}

/// Calls one.
///
/// # Panics
///
/// When it does not answer in time.
pub async fn ask(sink: &ActorRef<Sink>, patience: Duration) -> u64 {
    sink.ask(Ask).reply_timeout(patience).await.expect("a sink answers")
}

/// Casts to one; waits while its mailbox is full.
///
/// # Panics
///
/// When it is gone.
pub async fn cast(sink: &ActorRef<Sink>, number: u64) {
    sink.tell(Count(number)).await.expect("it runs");
}

/// What all of them counted.
///
/// # Panics
///
/// When one does not answer.
pub async fn received(sinks: &[ActorRef<Sink>]) -> u64 {
    let asked = sinks.iter().map(|sink| sink.ask(Received).reply_timeout(super::PATIENCE).into_future());
    let counts = futures_util::future::try_join_all(asked).await;
    counts.expect("a sink answers").into_iter().sum()
}

/// Ends them.
pub async fn stop(sinks: Vec<ActorRef<Sink>>) {
    sinks.iter().for_each(ActorRef::kill);
    for sink in sinks {
        sink.wait_for_shutdown().await;
    }
}
