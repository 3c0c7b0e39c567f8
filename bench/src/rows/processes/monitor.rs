//! The node of a process that is monitored is killed (kill -9): how long until the monitor tells.

use playhouse::process::{self, Down, ExitReason, Mailbox};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use tokio::{sync::oneshot, time::Instant};

use super::{ERLANG, OURS, RACTOR_CLUSTER, Run};
use crate::processes::{PATIENCE, linked::Linked, ours::Note, stock_linked::StockLinked};

const WORK: &str = "kill -9 of a node until its monitored process is known to be lost";

pub(super) fn run(run: &mut Run<'_>) {
    run.begin_anew();
    run.in_turns(|run| {
        let took = ours();
        run.nanoseconds(WORK, OURS, took);
        let took = stock();
        run.nanoseconds(WORK, RACTOR_CLUSTER, took);
        if let Some(took) = erlang(run) {
            run.nanoseconds(WORK, ERLANG, took);
        }
    });
}

fn nanoseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_nanos() as f64
}

/// Notes when it is told.
struct Watcher;

/// The process that is watched has ended.
struct Told(Down);

impl Message for Told {}

type Tell = oneshot::Sender<(Instant, ExitReason)>;

impl Actor for Watcher {
    type Msg = Told;
    type State = Option<Tell>;
    type Arguments = Tell;

    async fn pre_start(&self, _: ActorRef<Told>, tell: Tell) -> Result<Self::State, ActorProcessingErr> {
        Ok(Some(tell))
    }

    async fn handle(
        &self,
        _: ActorRef<Told>,
        Told(down): Told,
        tell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let told = tell.take().map(|tell| tell.send((Instant::now(), down.reason)));
        assert!(matches!(told, Some(Ok(()))), "it is told once, and somebody waits");
        Ok(())
    }
}

fn ours() -> f64 {
    let mut linked = Linked::start(true);
    let target = linked.targets(1).remove(0);
    let (tell, told) = oneshot::channel();
    let watch = [(tell, target)].map(Some);
    let watcher = linked.each(watch, |mut watch| async move {
        let (tell, target) = watch.take().expect("it was given");
        let watcher = process::spawn(Watcher, tell, Mailbox::default()).await.expect("it starts");
        watcher.monitor(&target, Told).expect("it has no other monitor");
        // What is said on one connection is said in order: then the monitor is set.
        assert_eq!(target.call(Note::Received, PATIENCE).await, Ok(0));
        watcher
    });
    let moment = Instant::now();
    linked.child().child().process().kill().expect("it runs");
    let (at, reason) = told.blocking_recv().expect("the watcher runs");
    assert_eq!(reason, ExitReason::NoConnection);
    drop(watcher);
    linked.stop();
    nanoseconds(moment, at)
}

/// It has no monitors: its mirror of a process stops, without a reason.
fn stock() -> f64 {
    let (mut linked, targets) = StockLinked::start(1);
    let (tell, told) = std::sync::mpsc::channel();
    let mirror = targets[0].get_cell();
    linked.start_task(async move {
        let ended = mirror.wait(None).await.map(|()| Instant::now());
        drop(tell.send(ended));
    });
    let moment = Instant::now();
    linked.child().child().process().kill().expect("it runs");
    let at = told.recv().expect("the task runs").expect("the mirror stops");
    linked.stop();
    nanoseconds(moment, at)
}

/// Its node says so through a pipe, which is in the time.
fn erlang(run: &mut Run<'_>) -> Option<f64> {
    let (erlang, own) = run.erlang.as_mut()?;
    let mut victim = erlang.node();
    own.obey(&format!("join {}", victim.name()));
    assert_eq!(own.obey(&format!("watch {}", victim.name())), "watched");
    let moment = Instant::now();
    victim.obedient().child().process().kill().expect("it runs");
    assert_eq!(own.obedient().hear("the end of a node"), "noconnection");
    Some(nanoseconds(moment, Instant::now()))
}
