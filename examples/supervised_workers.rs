//! Supervised workers: a queue of jobs, a pool of workers that crash now and then, and a supervisor that keeps them going.
//!
//! ```text
//! cargo run --example supervised_workers
//! ```
//!
//! The tree: a `desk`, which hands out jobs and knows who works on what, and below `pool` the workers, which are alike. A worker that
//! meets a bad job panics; the desk hears of it by its monitor and hands the job to the next one.

#![allow(clippy::print_stdout)] // It talks to a person.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error,
    time::Duration,
};

use playhouse::process::{
    ChildSpec, Down, Mailbox, Policy, Process, ProcessId, Reply, SimpleOneForOne, SimpleOneForOneRef,
    Strategy, Supervisor,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};

const JOBS: u32 = 20;
const WORKERS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// A job, and how often it was tried.
#[derive(Clone, Copy)]
struct Job {
    number: u32,
    tries: u32,
}

/// Hands out jobs.
struct Desk;

enum DeskMessage {
    /// A worker that has nothing to do.
    Idle(Process<Job>),
    /// A worker has done its job.
    Done(Process<Job>, Job),
    /// A worker ended.
    Down(Down),
    /// Answers when all jobs are done: how often a worker crashed.
    Finished(Reply<u32>),
}

impl Message for DeskMessage {}

#[derive(Default)]
struct Plan {
    open: VecDeque<Job>,
    idle: Vec<Process<Job>>,
    /// Who works on what.
    given: BTreeMap<ProcessId, Job>,
    done: u32,
    crashes: u32,
    waiting: Option<Reply<u32>>,
}

impl Actor for Desk {
    type Msg = DeskMessage;
    type State = Plan;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<DeskMessage>, (): ()) -> Result<Plan, ActorProcessingErr> {
        let open = (1..=JOBS).map(|number| Job { number, tries: 0 }).collect();
        Ok(Plan { open, ..Plan::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<DeskMessage>,
        message: DeskMessage,
        plan: &mut Plan,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DeskMessage::Idle(worker) => {
                let desk = Process::of(&myself).ok_or("a desk is a process")?;
                desk.monitor(&worker, DeskMessage::Down)?;
                plan.idle.push(worker);
            }
            DeskMessage::Done(worker, job) => {
                println!("job {:2} done by {worker:?} at try {}", job.number, job.tries);
                plan.given.remove(&worker.id());
                plan.done += 1;
                plan.idle.push(worker);
            }
            DeskMessage::Down(down) => plan.lost(&down),
            DeskMessage::Finished(reply) => plan.waiting = Some(reply),
        }
        plan.hand_out();
        Ok(())
    }
}

impl Plan {
    /// The job of a worker that ended is open again.
    fn lost(&mut self, down: &Down) {
        self.idle.retain(|worker| worker.id() != down.process);
        if let Some(job) = self.given.remove(&down.process) {
            println!("job {:2} lost: {}", job.number, down.reason);
            self.crashes += 1;
            self.open.push_back(job);
        }
    }

    fn hand_out(&mut self) {
        while let Some(mut job) = self.open.pop_front() {
            job.tries += 1;
            let Some(worker) = self.idle.pop() else {
                job.tries -= 1;
                return self.open.push_front(job);
            };
            match worker.try_cast(job) {
                Ok(()) => drop(self.given.insert(worker.id(), job)),
                // It ended meanwhile; its monitor will say so.
                Err(_) => self.open.push_front(Job { tries: job.tries - 1, ..job }),
            }
        }
        if self.done == JOBS
            && let Some(reply) = self.waiting.take()
        {
            reply.send(self.crashes);
        }
    }
}

/// Does jobs; every seventh number is bad luck at the first try.
struct Worker;

impl Message for Job {}

impl Actor for Worker {
    type Msg = Job;
    type State = Process<DeskMessage>;
    type Arguments = Process<DeskMessage>;

    async fn pre_start(
        &self,
        myself: ActorRef<Job>,
        desk: Process<DeskMessage>,
    ) -> Result<Process<DeskMessage>, ActorProcessingErr> {
        let myself = Process::of(&myself).ok_or("a worker is a process")?;
        desk.cast(DeskMessage::Idle(myself)).await?;
        Ok(desk)
    }

    async fn handle(
        &self,
        myself: ActorRef<Job>,
        job: Job,
        desk: &mut Process<DeskMessage>,
    ) -> Result<(), ActorProcessingErr> {
        assert!(!job.number.is_multiple_of(7) || job.tries > 1, "job {} is bad luck", job.number);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let myself = Process::of(&myself).ok_or("a worker is a process")?;
        desk.cast(DeskMessage::Done(myself, job)).await?;
        Ok(())
    }
}

/// Workers are started again when they crash, with the same argument: their desk.
fn pool() -> SimpleOneForOne<Process<DeskMessage>> {
    let mailbox = Mailbox::new(Policy::Refuse).messages_max(1);
    SimpleOneForOne::process(mailbox, |desk| (Worker, desk)).transient().intensity(10, SECOND)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    std::panic::set_hook(Box::new(|panic| println!("a worker panics: {panic}")));
    let supervisor = Supervisor::new(Strategy::RestForOne)
        .child(ChildSpec::process("desk", Mailbox::new(Policy::Wait), || (Desk, ())))
        .child(ChildSpec::supervisor("pool", pool))
        .start()
        .await?;
    let desk: Process<DeskMessage> =
        supervisor.child("desk").await?.reference().ok_or("the desk takes its messages")?;
    let pool: SimpleOneForOneRef<Process<DeskMessage>> =
        supervisor.child("pool").await?.reference().ok_or("the pool takes desks")?;
    for _ in 0..WORKERS {
        pool.start_child(desk.clone()).await?;
    }
    let crashes = desk.call(DeskMessage::Finished, 30 * SECOND).await?;
    let alive = pool.count_children().await?.active;
    println!("{JOBS} jobs done, {crashes} crashes, {alive} workers alive");
    supervisor.stop_and_wait().await;
    Ok(())
}
