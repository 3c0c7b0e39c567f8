//! The process that knows which job is where: it takes jobs, gives them to workers, and tells callers what became of them.

use std::{
    collections::{BTreeMap, VecDeque},
    marker::PhantomData,
};

use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Worker,
    contained::{Contained, contain},
    plan::{Action, Plan},
    worker::Given,
};
use crate::process::{CallError, Down, ExitReason, Monitor, Process, ProcessId, Reply};

/// How a pool is at one moment, and what it has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Workers that are there. One that crashed is missing until it is replaced.
    pub workers: usize,
    /// Those of them that are at a job.
    pub working: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs that were done.
    pub done: u64,
    /// Jobs that ended with their worker.
    pub crashed: u64,
    /// Jobs that found no room, made room for newer ones, or came when the pool drained.
    pub refused: u64,
    /// Jobs that nobody waited for any more when their turn came.
    pub abandoned: u64,
}

pub struct Desk<W>(PhantomData<fn() -> W>);

impl<W> Desk<W> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

/// What the desk is told.
pub enum DeskMessage<W: Worker> {
    Job(Job<W>),
    /// A worker is there, for the first time or again.
    Arrived(usize, Process<Given<W::Job>>),
    /// A worker is done.
    Finished(usize, ProcessId, Contained<W::Answer>),
    /// A worker ended.
    Down(Down),
    /// Answers which workers are missing then.
    Resize(usize, Reply<Vec<usize>>),
    Drain(Reply<()>),
    /// Whoever asks had a permit to.
    Stats(Reply<PoolStats>, OwnedSemaphorePermit),
}

impl<W: Worker> Message for DeskMessage<W> {}

impl<W: Worker> DeskMessage<W> {
    pub(super) fn job(key: u64, work: Contained<W::Job>, reply: Option<Reply<W::Answer>>) -> Self {
        Self::Job(Job { key, work, reply })
    }
}

/// A job, and who waits for its answer.
pub struct Job<W: Worker> {
    /// Made by who handed it in: no code of the worker's runs at the desk.
    key: u64,
    work: Contained<W::Job>,
    reply: Option<Reply<W::Answer>>,
}

/// A worker that is there.
struct Present<W: Worker> {
    process: Process<Given<W::Job>>,
    monitor: Monitor,
    /// Who waits for what it is at.
    caller: Option<Reply<W::Answer>>,
}

pub struct Memory<W: Worker> {
    myself: Process<DeskMessage<W>>,
    plan: Plan<Job<W>>,
    present: BTreeMap<usize, Present<W>>,
    stats: PoolStats,
}

impl<W: Worker> Actor for Desk<W> {
    type Msg = DeskMessage<W>;
    type State = Memory<W>;
    type Arguments = Plan<Job<W>>;

    async fn pre_start(
        &self,
        myself: ActorRef<DeskMessage<W>>,
        plan: Plan<Job<W>>,
    ) -> Result<Memory<W>, ActorProcessingErr> {
        let myself = Process::of(&myself).ok_or("a desk is a process")?;
        Ok(Memory { myself, plan, present: BTreeMap::new(), stats: PoolStats::default() })
    }

    async fn handle(
        &self,
        _: ActorRef<DeskMessage<W>>,
        message: DeskMessage<W>,
        memory: &mut Memory<W>,
    ) -> Result<(), ActorProcessingErr> {
        let actions = memory.hear(message)?;
        memory.perform(actions);
        match memory.plan.is_drained() {
            true => Err(ExitReason::Normal.into()),
            false => Ok(()),
        }
    }
}

impl<W: Worker> Memory<W> {
    fn hear(&mut self, message: DeskMessage<W>) -> Result<Vec<Action<Job<W>>>, ActorProcessingErr> {
        Ok(match message {
            DeskMessage::Job(job) => self.plan.submit(job.key, job),
            DeskMessage::Arrived(number, process) => self.arrived(number, process)?,
            DeskMessage::Finished(number, process, answer) => self.finished(number, process, answer),
            DeskMessage::Down(down) => self.lost(&down),
            DeskMessage::Resize(size, reply) => {
                let (missing, actions) = self.plan.resize(size);
                reply.send(missing);
                actions
            }
            DeskMessage::Drain(reply) => {
                reply.send(());
                self.plan.drain();
                Vec::new()
            }
            DeskMessage::Stats(reply, permit) => {
                reply.send(self.stats());
                drop(permit);
                Vec::new()
            }
        })
    }

    fn arrived(
        &mut self,
        number: usize,
        process: Process<Given<W::Job>>,
    ) -> Result<Vec<Action<Job<W>>>, ActorProcessingErr> {
        if self.present.contains_key(&number) {
            // The place was given up while it was away, and then to another one. (The end of a worker is heard before its successor.)
            process.stop(ExitReason::Normal);
            return Ok(Vec::new());
        }
        let monitor = self.myself.monitor(&process, DeskMessage::Down)?;
        self.present.insert(number, Present { process, monitor, caller: None });
        Ok(self.plan.arrived(number))
    }

    fn finished(
        &mut self,
        number: usize,
        process: ProcessId,
        answer: Contained<W::Answer>,
    ) -> Vec<Action<Job<W>>> {
        let present = self.present.get_mut(&number).filter(|present| present.process.id() == process);
        let Some(present) = present else { return Vec::new() };
        self.stats.done += 1;
        if let Some(caller) = present.caller.take() {
            // One that has given up leaves the answer here.
            contain(|| {
                caller.send(answer.release());
            });
        }
        self.plan.free(number)
    }

    fn lost(&mut self, down: &Down) -> Vec<Action<Job<W>>> {
        let is_it = |present: &Present<W>| present.monitor.id() == down.monitor;
        let place = self.present.iter().find(|(_, present)| is_it(present)).map(|(number, _)| *number);
        match place {
            Some(number) => self.gone(number, down.process, &down.reason),
            // It was sent away.
            None => Vec::new(),
        }
    }

    /// What its worker was at is lost.
    fn gone(&mut self, number: usize, process: ProcessId, reason: &ExitReason) -> Vec<Action<Job<W>>> {
        let Some(present) = self.present.remove(&number) else { return Vec::new() };
        if self.plan.is_working(number) {
            self.stats.crashed += 1;
            tracing::warn!(%process, %reason, "a worker ended before its job was done");
        }
        if let Some(caller) = present.caller {
            caller.fail(CallError::Died(reason.clone()));
        }
        self.plan.lost(number)
    }

    fn perform(&mut self, actions: Vec<Action<Job<W>>>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Give(number, job) => actions.extend(self.give(number, job)),
                Action::Refuse(job) => {
                    self.stats.refused += 1;
                    job.fail(CallError::Full);
                }
                Action::TurnAway(job) => {
                    self.stats.refused += 1;
                    job.fail(CallError::NoProc);
                }
                Action::Dismiss(number) => {
                    if let Some(present) = self.present.remove(&number) {
                        present.monitor.demonitor_flush();
                        present.process.stop(ExitReason::Normal);
                    }
                }
            }
        }
    }

    /// What comes next if nobody waits for this job any more.
    fn give(&mut self, number: usize, job: Job<W>) -> Vec<Action<Job<W>>> {
        if job.reply.as_ref().is_some_and(Reply::is_abandoned) {
            self.stats.abandoned += 1;
            return self.plan.free(number);
        }
        if let Some(present) = self.present.get_mut(&number) {
            present.caller = job.reply;
            // If it has just ended, its monitor says so.
            let _ = present.process.try_cast(Given(job.work));
        }
        Vec::new()
    }

    fn stats(&self) -> PoolStats {
        let (working, waiting) = (self.plan.working(), self.plan.waiting());
        PoolStats { workers: self.present.len(), working, waiting, ..self.stats }
    }
}

impl<W: Worker> Job<W> {
    fn fail(self, why: CallError) {
        if let Some(reply) = self.reply {
            reply.fail(why);
        }
    }
}
