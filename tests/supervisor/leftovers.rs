//! Nothing of a child is left when it is started again: not its handlers, not its state, and nothing of what was below it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use playhouse::process::{
    ChildSpec, Mailbox, Process, RunningChild, Shutdown, Strategy, Supervisor, SupervisorRef,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::stage::{Cue, Journal, SECOND, Start, settled, tell};

/// Something that there is only one of, like a port.
#[derive(Clone, Default)]
struct Port {
    taken: Arc<AtomicBool>,
    found_taken: Arc<AtomicU32>,
    starts: Arc<AtomicU32>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Long enough for somebody to see it.
        std::thread::yield_now();
        self.0.taken.store(false, SeqCst);
    }
}

/// The port, in the state of an actor.
struct Bound(Port);

struct Server;

impl Actor for Server {
    type Msg = Cue;
    type State = Bound;
    type Arguments = Port;

    async fn pre_start(&self, _: ActorRef<Cue>, port: Port) -> Result<Bound, ActorProcessingErr> {
        port.starts.fetch_add(1, SeqCst);
        if port.taken.swap(true, SeqCst) {
            port.found_taken.fetch_add(1, SeqCst);
            return Err("the port is taken".into());
        }
        Ok(Bound(port))
    }

    async fn handle(&self, myself: ActorRef<Cue>, cue: Cue, _: &mut Bound) -> Result<(), ActorProcessingErr> {
        match cue {
            Cue::Panic(text) => std::panic::resume_unwind(Box::new(text)),
            Cue::End(reason) => Err(reason.into()),
            Cue::Fail(text) => Err(text.into()),
            Cue::Stop(_) => {
                myself.stop(None);
                Ok(())
            }
            Cue::Work(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}

const ROUNDS: u32 = 200;

/// How children of one kind are sent their cues.
type Send = fn(&SupervisorRef, Cue) -> std::pin::Pin<Box<dyn Future<Output = ()> + std::marker::Send + '_>>;

/// Ends the child `a` in all ways, alone, with its group, and by an operator; its port is always free when it comes back.
async fn never_taken(supervisor: Supervisor, port: &Port, send: Send) {
    let supervisor = supervisor.intensity(u32::MAX, SECOND).start().await.unwrap();
    for round in 0..ROUNDS {
        let before = supervisor.child("a").await.unwrap();
        match round % 6 {
            0 => send(&supervisor, Cue::Panic("boom")).await,
            1 => send(&supervisor, Cue::Fail("boom")).await,
            2 => send(&supervisor, Cue::Stop(None)).await,
            3 => before.cell().kill(),
            4 => {
                send(&supervisor, Cue::Work(3600 * SECOND)).await;
                before.cell().kill();
            }
            _ => {
                supervisor.terminate_child("a").await.unwrap();
                supervisor.restart_child("a").await.unwrap();
            }
        }
        before.cell().wait(None).await.unwrap();
        settled(&supervisor).await;
        // Its sibling takes it down with it, if they belong together.
        supervisor.child("b").await.unwrap().cell().kill_and_wait(None).await.unwrap();
        assert_eq!(supervisor.count_children().await.unwrap().active, 2);
    }
    supervisor.stop_and_wait().await;
    assert_eq!(port.found_taken.load(SeqCst), 0);
    assert!(port.starts.load(SeqCst) > ROUNDS);
}

fn sibling() -> ChildSpec {
    ChildSpec::worker("b", || (Server, Port::default())).shutdown(Shutdown::BrutalKill)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_state_of_a_worker_is_gone_before_its_next_start() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll] {
        let port = Port::default();
        let given = port.clone();
        let worker = ChildSpec::worker("a", move || (Server, given.clone()));
        never_taken(Supervisor::new(strategy).child(worker).child(sibling()), &port, |supervisor, cue| {
            Box::pin(async move {
                let worker: ActorRef<Cue> = supervisor.child("a").await.unwrap().reference().unwrap();
                worker.send_message(cue).unwrap();
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_state_of_a_process_is_gone_before_its_next_start() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll] {
        let port = Port::default();
        let given = port.clone();
        let process = ChildSpec::process("a", Mailbox::default(), move || (Server, given.clone()));
        never_taken(Supervisor::new(strategy).child(process).child(sibling()), &port, |supervisor, cue| {
            Box::pin(async move {
                let process: Process<Cue> = supervisor.child("a").await.unwrap().reference().unwrap();
                process.cast(cue).await.unwrap();
            })
        })
        .await;
    }
}

/// A stop takes the state with it as well, before the stop is answered.
#[tokio::test(start_paused = true)]
async fn the_state_of_a_child_is_gone_when_it_was_terminated() {
    let port = Port::default();
    let given = port.clone();
    let worker = ChildSpec::worker("a", move || (Server, given.clone()));
    let supervisor = Supervisor::new(Strategy::OneForOne).child(worker).start().await.unwrap();
    assert!(port.taken.load(SeqCst));
    supervisor.terminate_child("a").await.unwrap();
    assert!(!port.taken.load(SeqCst));
}

/// A supervisor called `inner` of one worker.
fn inner(worker: ChildSpec) -> ChildSpec {
    ChildSpec::supervisor("inner", move || supervisor().child(worker.clone()))
}

/// One that starts its children again whatever happens.
fn supervisor() -> Supervisor {
    Supervisor::new(Strategy::OneForOne).intensity(u32::MAX, SECOND)
}

async fn below(supervisor: &SupervisorRef, id: &str) -> SupervisorRef {
    supervisor.child(id).await.unwrap().reference().unwrap()
}

/// Ends supervisors above a worker in all ways; its port is always free when it comes back. On several threads, many times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_below_a_killed_supervisor_is_gone_before_its_next_start() {
    let port = Port::default();
    let given = port.clone();
    let worker = ChildSpec::worker("a", move || (Server, given.clone())).shutdown(Shutdown::Infinity);
    let inner = inner(worker).shutdown(Shutdown::BrutalKill);
    let middle = ChildSpec::supervisor("middle", move || supervisor().child(inner.clone()));
    let outer = supervisor().child(middle).start().await.unwrap();
    for round in 0..ROUNDS {
        let middle = below(&outer, "middle").await;
        let inner = below(&middle, "inner").await;
        let ended = match round % 4 {
            0 => &middle,
            1 => &inner,
            2 => {
                middle.stop();
                &middle
            }
            _ => {
                middle.terminate_child("inner").await.unwrap();
                middle.restart_child("inner").await.unwrap();
                continue;
            }
        };
        ended.kill();
        ended.wait().await;
        settled(&middle).await;
        settled(&outer).await;
    }
    outer.stop_and_wait().await;
    assert_eq!(port.found_taken.load(SeqCst), 0);
    assert_eq!(port.starts.load(SeqCst), ROUNDS + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_below_a_supervisor_that_did_not_start_in_time_is_gone() {
    let journal = Journal::default();
    let (inner, hangs) = (inner(journal.worker("a")), journal.script("b").starts([Start::Hang]).worker());
    let middle = move || supervisor().child(inner.clone()).child(hangs.clone());
    let outer = supervisor().child(ChildSpec::supervisor("middle", middle).start_timeout(SECOND));
    outer.start().await.unwrap_err();
    assert_eq!(journal.take(), ["start a", "hang b", "killed a"]);
}

/// It ended by itself, in good order, while its group was about to be taken down: its end is in the mailbox of the supervisor, which
/// stops and starts it before it comes to read that.
async fn ends_as_its_group_does(child: ChildSpec, port: &Port, stop: fn(&RunningChild)) {
    let group = Supervisor::new(Strategy::OneForAll).intensity(1, SECOND);
    let supervisor = group.child(child).child(sibling()).start().await.unwrap();
    let (a, b) = (supervisor.child("a").await.unwrap(), supervisor.child("b").await.unwrap());
    b.cell().kill();
    stop(&a);
    a.cell().wait(None).await.unwrap();
    settled(&supervisor).await;
    assert_eq!(supervisor.count_children().await.unwrap().active, 2);
    assert_eq!((port.starts.load(SeqCst), port.found_taken.load(SeqCst)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_worker_that_ends_as_its_group_does_is_gone_before_its_next_start() {
    let port = Port::default();
    let given = port.clone();
    let worker = ChildSpec::worker("a", move || (Server, given.clone()));
    ends_as_its_group_does(worker, &port, |a| tell(a, Cue::Stop(None))).await;
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_process_that_ends_as_its_group_does_is_gone_before_its_next_start() {
    let port = Port::default();
    let given = port.clone();
    let process = ChildSpec::process("a", Mailbox::default(), move || (Server, given.clone()));
    ends_as_its_group_does(process, &port, |a| {
        a.reference::<Process<Cue>>().unwrap().try_cast(Cue::Stop(None)).unwrap();
    })
    .await;
}
