//! The supervisor as a `ractor` actor: it performs what [`Decisions`](super::decisions) decides.
//!
//! It does one thing at a time, as OTP's does: while it starts or stops children, events and requests wait. Children are linked
//! to it, so they die with it when it is killed; when it stops, it stops them first, from right to left.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use playhouse_cluster::environment::random_here;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use super::{
    Supervisor,
    child::{self, RunningChild, StartFn},
    decisions::{Action, ChildKey, Decisions, Ending, Moment, Refusal},
    error::StartError,
    reference::SupervisorRef,
    request::Message,
    spec::Shutdown,
    task::{ChildTask, Leftovers},
};
use crate::process::{
    ExitReason,
    table::{self, Overseen, ProcessTable},
};

mod answer;

/// The behaviour of every supervisor.
pub(super) struct Overseer;

impl Actor for Overseer {
    type Msg = Message;
    type State = Office;
    /// Its plan, where what it leaves behind goes, and where it belongs.
    type Arguments = (Supervisor, Arc<Leftovers>, Origin);

    /// Starts the children: whoever starts a supervisor knows that they run.
    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (supervisor, left, origin): (Supervisor, Arc<Leftovers>, Origin),
    ) -> Result<Office, ActorProcessingErr> {
        let mut office = Office::open(myself, supervisor, left, origin)?;
        office.boot().await?;
        Ok(office)
    }

    async fn post_stop(&self, _: ActorRef<Message>, office: &mut Office) -> Result<(), ActorProcessingErr> {
        office.close().await;
        office.leave_table();
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        office: &mut Office,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Asked(request, _permit) => office.answer(request).await,
            Message::TimerFired { key, attempt } => {
                office.decisions.timer_fired(key, attempt);
                office.settle().await;
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        event: SupervisionEvent,
        office: &mut Office,
    ) -> Result<(), ActorProcessingErr> {
        let ended = event.actor_id().zip(ExitReason::of_event(&event));
        // The state of the child is in there: it goes before the next one starts.
        drop(event);
        if let Some((actor, reason)) = ended {
            office.child_ended(actor, &reason).await;
        }
        Ok(())
    }
}

/// Where a supervisor belongs, and below whom.
pub(super) struct Origin {
    table: Option<Arc<ProcessTable>>,
    parent: Option<u64>,
}

impl Origin {
    /// Of what is started here, below this parent.
    pub(super) fn of(parent: Option<&ActorCell>) -> Self {
        Self { table: table::here(), parent: parent.map(|parent| parent.get_id().pid()) }
    }
}

/// What is kept beside a child.
pub(super) struct Held {
    start: StartFn,
    running: Option<RunningChild>,
    /// What it runs in, or ran.
    task: Option<ChildTask>,
}

impl Held {
    fn new(start: StartFn) -> Self {
        Self { start, running: None, task: None }
    }
}

/// What a supervisor works with.
pub(super) struct Office {
    myself: ActorRef<Message>,
    born: Instant,
    decisions: Decisions<Held>,
    /// Whose events count: children that run and were not told to stop.
    by_actor: BTreeMap<ActorId, ChildKey>,
    /// What is not waited for to its end, because the supervisor is killed, is left here.
    left: Arc<Leftovers>,
    /// The last start that failed.
    failure: Option<(ChildKey, ExitReason)>,
    /// Of the node that it belongs to.
    table: Option<Arc<ProcessTable>>,
    /// How many restarts the table knows of.
    restarts_told: u64,
}

impl Office {
    fn open(
        myself: ActorRef<Message>,
        supervisor: Supervisor,
        left: Arc<Leftovers>,
        Origin { table, parent }: Origin,
    ) -> Result<Self, StartError> {
        let Supervisor { flags, children, dynamic } = supervisor;
        let children_max = flags.children_max;
        let mut decisions = Decisions::new(flags, dynamic);
        for child in children {
            let id = child.id.to_string();
            let added = decisions.add(Some(child.id), child.rules, Held::new(child.start));
            added.map_err(|refusal| match refusal {
                Refusal::Spec(error) => StartError::Spec { id, error },
                Refusal::Full => StartError::TooManyChildren { children_max },
                _ => StartError::DuplicateId { id },
            })?;
        }
        let (born, by_actor) = (Instant::now(), BTreeMap::new());
        if let Some(table) = &table {
            let reference = SupervisorRef::new(myself.clone());
            table.supervisor_begins(myself.get_id().pid(), Overseen { reference, parent });
        }
        Ok(Self { myself, born, decisions, by_actor, left, failure: None, table, restarts_told: 0 })
    }

    /// Starts all children, or none.
    async fn boot(&mut self) -> Result<(), StartError> {
        self.decisions.boot();
        if self.perform().await.is_none() {
            return Ok(());
        }
        let (key, reason) =
            self.failure.take().expect("a supervisor gives up at its start because of a child");
        let id = self.name_of(key);
        self.close().await;
        Err(StartError::Child { id, reason })
    }

    /// Stops all children.
    async fn close(&mut self) {
        self.decisions.shut_down();
        self.perform().await;
    }

    /// A linked actor ended. Those that were told to stop, and strangers, do not matter.
    async fn child_ended(&mut self, actor: ActorId, reason: &ExitReason) {
        let Some(key) = self.by_actor.remove(&actor) else { return };
        let held = self.decisions.child_mut(key).map(|child| &mut child.content);
        let (running, task) = held.map_or((None, None), |held| (held.running.take(), held.task.take()));
        if let Some(mut task) = task {
            task.gone().await;
        }
        let exit = running.and_then(|child| child.exit());
        let reason = exit.as_ref().unwrap_or(reason);
        let (supervisor, child) = (self.myself.get_id(), self.name_of(key));
        if reason.is_abnormal() {
            tracing::warn!(%supervisor, child, %reason, "child ended abnormally");
        } else {
            tracing::debug!(%supervisor, child, %reason, "child ended");
        }
        let moment = self.moment();
        self.decisions.exited(key, reason, moment);
        self.settle().await;
    }

    /// Does what is to be done, and ends if that is what it comes to.
    async fn settle(&mut self) {
        let Some(ending) = self.perform().await else { return };
        let supervisor = self.myself.get_id();
        match ending {
            Ending::GivesUp => {
                self.table.iter().for_each(|table| table.gave_up());
                tracing::error!(%supervisor, "supervisor gives up");
            }
            Ending::AutoShutdown => {
                tracing::info!(%supervisor, "supervisor ends with its significant children");
            }
        }
        self.myself.stop(ExitReason::Shutdown.stop_text());
    }

    /// Does what is to be done; whether it ends, if that is part of it.
    async fn perform(&mut self) -> Option<Ending> {
        let mut exit = None;
        while let Some(action) = self.decisions.next() {
            match action {
                Action::Start(key) => self.start(key).await,
                Action::Stop(keys) => self.stop(keys).await,
                Action::Arm { key, attempt, after } => {
                    // Through the mailbox also without a wait, so that others have their turn before the next try.
                    self.myself.send_after(after, move || Message::TimerFired { key, attempt });
                }
                Action::Exit(ending) => exit = Some(ending),
            }
        }
        self.tell_restarts();
        exit
    }

    fn tell_restarts(&mut self) {
        let made = self.decisions.restarts_made();
        let new = made - std::mem::replace(&mut self.restarts_told, made);
        if let Some(table) = self.table.as_ref().filter(|_| new > 0) {
            table.restarted(new);
        }
    }

    fn leave_table(&self) {
        if let Some(table) = &self.table {
            table.supervisor_ends(self.myself.get_id().pid());
        }
    }

    async fn start(&mut self, key: ChildKey) {
        let Some(child) = self.decisions.child(key) else { return };
        let (start, timeout) = (child.content.start.clone(), child.rules.start_timeout);
        let started = child::start(&start, timeout, self.myself.get_cell(), &self.left);
        match table::scope(self.table.clone(), started).await {
            Ok((running, task)) => self.child_started(key, running, task),
            Err(reason) => self.child_did_not_start(key, reason),
        }
    }

    fn child_started(&mut self, key: ChildKey, running: RunningChild, task: ChildTask) {
        self.by_actor.insert(running.cell().get_id(), key);
        if let Some(child) = self.decisions.child_mut(key) {
            (child.content.running, child.content.task) = (Some(running), Some(task));
        }
        self.decisions.started(key, self.born.elapsed());
    }

    fn child_did_not_start(&mut self, key: ChildKey, reason: ExitReason) {
        let (supervisor, child) = (self.myself.get_id(), self.name_of(key));
        tracing::warn!(%supervisor, child, %reason, "child did not start");
        self.failure = Some((key, reason));
        let moment = self.moment();
        self.decisions.start_failed(key, moment);
    }

    /// Stops children at the same time and waits for all of them.
    async fn stop(&mut self, keys: Vec<ChildKey>) {
        let mut stops = Vec::new();
        for key in &keys {
            let Some(child) = self.decisions.child_mut(*key) else { continue };
            let Held { running: Some(running), task, .. } = &mut child.content else { continue };
            self.by_actor.remove(&running.cell().get_id());
            // Its end is waited for here. An event of it would keep its state until the next ones are handled.
            running.cell().unlink(self.myself.get_cell());
            stops.push(stop(running.clone(), task.take(), child.rules.shutdown));
        }
        join_all(stops).await;
        for key in keys {
            // Only now: until it has stopped, it dies with the supervisor.
            if let Some(child) = self.decisions.child_mut(key) {
                child.content.running = None;
            }
            self.decisions.stopped(key);
        }
    }

    fn moment(&self) -> Moment {
        let jitter = random_here() as f64 / u64::MAX as f64;
        Moment { age: self.born.elapsed(), jitter }
    }

    /// For people; dynamic children have no ids.
    fn name_of(&self, key: ChildKey) -> String {
        let id = self.decisions.child(key).and_then(|child| child.id.clone());
        id.map_or_else(|| format!("{key:?}"), |id| id.to_string())
    }
}

impl Drop for Office {
    /// `ractor` kills the linked children of an actor that was killed, except those that are about to stop. They must not stay
    /// behind either.
    fn drop(&mut self) {
        self.leave_table();
        let running = self.decisions.children().filter_map(|(_, child)| child.content.running.as_ref());
        running.for_each(|child| child.cell().kill());
    }
}

/// Stops one child by its rule. A child that does not react in time is killed.
///
/// A kill ends a child at its next `.await`; who never gets there cannot be ended, and is waited for.
async fn stop(child: RunningChild, task: Option<ChildTask>, shutdown: Shutdown) {
    let Some(mut task) = task else { return };
    match shutdown {
        Shutdown::BrutalKill => child.cell().kill(),
        Shutdown::Infinity => child.shut_down(),
        Shutdown::Timeout(timeout) => {
            child.shut_down();
            if tokio::time::timeout(timeout, task.gone()).await.is_ok() {
                return;
            }
            tracing::warn!(child = %child.cell().get_id(), ?timeout, "child did not stop in time and is killed");
            child.cell().kill();
        }
    }
    task.gone().await;
}
