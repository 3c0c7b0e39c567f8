//! A stage for supervisors: children that do what their script says, and a journal of what they did.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use playhouse::process::{ChildSpec, ExitReason, RunningChild, SupervisorRef};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::Notify;

pub const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    changed: Arc<Notify>,
}

impl Journal {
    pub fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
        self.changed.notify_waiters();
    }

    /// What was noted since one looked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    /// Waits until this was noted, and forgets everything up to it.
    pub async fn until(&self, line: &str) {
        loop {
            let changed = self.changed.notified();
            if let Some(at) = self.position(line) {
                self.lines.lock().unwrap().drain(..=at);
                return;
            }
            changed.await;
        }
    }

    /// Waits until this was noted, and forgets only that.
    pub async fn until_any_order(&self, line: &str) {
        loop {
            let changed = self.changed.notified();
            if let Some(at) = self.position(line) {
                self.lines.lock().unwrap().remove(at);
                return;
            }
            changed.await;
        }
    }

    fn position(&self, line: &str) -> Option<usize> {
        self.lines.lock().unwrap().iter().position(|other| other == line)
    }

    /// A worker that does everything right.
    pub fn worker(&self, id: &'static str) -> ChildSpec {
        self.script(id).worker()
    }

    pub fn script(&self, id: &'static str) -> Script {
        Script { id, journal: self.clone(), starts: Arc::default(), last_words: Duration::ZERO }
    }

    /// An actor that notes the ends of those that are linked to it.
    pub async fn parent(&self) -> ActorCell {
        let (parent, _) = Actor::spawn(None, Parent, self.clone()).await.unwrap();
        parent.get_cell()
    }
}

/// What a child does at its next start.
#[derive(Clone, Copy)]
pub enum Start {
    Well,
    Fail,
    Panic,
    Hang,
}

/// What a child does in its life.
#[derive(Clone)]
pub struct Script {
    pub id: &'static str,
    journal: Journal,
    /// The next starts; after them, all go well.
    starts: Arc<Mutex<VecDeque<Start>>>,
    /// How long it takes to stop.
    last_words: Duration,
}

impl Script {
    pub fn starts(self, starts: impl IntoIterator<Item = Start>) -> Self {
        self.starts.lock().unwrap().extend(starts);
        self
    }

    pub fn last_words(self, last_words: Duration) -> Self {
        Self { last_words, ..self }
    }

    pub fn worker(self) -> ChildSpec {
        ChildSpec::worker(self.id, move || (Player, self.clone()))
    }
}

/// What a child is told to do.
pub enum Cue {
    Panic(&'static str),
    /// Its handler returns this reason as its error.
    End(ExitReason),
    Fail(&'static str),
    /// It stops itself, by `ractor`'s own call.
    Stop(Option<&'static str>),
    /// It is busy, and says so when it begins.
    Work(Duration),
}

impl ractor::Message for Cue {}

/// The child.
pub struct Player;

pub struct Role {
    script: Script,
    /// It did not end by being killed.
    ended: bool,
}

impl Drop for Role {
    fn drop(&mut self) {
        if !self.ended {
            self.script.journal.note(format!("killed {}", self.script.id));
        }
    }
}

impl Actor for Player {
    type Msg = Cue;
    type State = Role;
    type Arguments = Script;

    async fn pre_start(&self, _: ActorRef<Cue>, script: Script) -> Result<Role, ActorProcessingErr> {
        let start = script.starts.lock().unwrap().pop_front().unwrap_or(Start::Well);
        let id = script.id;
        match start {
            Start::Well => {
                script.journal.note(format!("start {id}"));
                Ok(Role { script, ended: false })
            }
            Start::Fail => {
                script.journal.note(format!("fail {id}"));
                Err("no disk".into())
            }
            Start::Panic => panic!("no cup"),
            Start::Hang => {
                script.journal.note(format!("hang {id}"));
                std::future::pending().await
            }
        }
    }

    async fn handle(
        &self,
        myself: ActorRef<Cue>,
        cue: Cue,
        role: &mut Role,
    ) -> Result<(), ActorProcessingErr> {
        role.ended = matches!(cue, Cue::Panic(_) | Cue::End(_) | Cue::Fail(_));
        match cue {
            Cue::Panic(text) => panic!("{text}"),
            Cue::End(reason) => Err(reason.into()),
            Cue::Fail(text) => Err(text.into()),
            Cue::Stop(text) => {
                myself.stop(text.map(str::to_owned));
                Ok(())
            }
            Cue::Work(time) => {
                role.script.journal.note(format!("work {}", role.script.id));
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    async fn post_stop(&self, _: ActorRef<Cue>, role: &mut Role) -> Result<(), ActorProcessingErr> {
        let Script { id, journal, last_words, .. } = &role.script;
        if !last_words.is_zero() {
            journal.note(format!("stopping {id}"));
            tokio::time::sleep(*last_words).await;
        }
        journal.note(format!("stop {id}"));
        role.ended = true;
        Ok(())
    }
}

struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = Journal;
    type Arguments = Journal;

    async fn pre_start(&self, _: ActorRef<()>, journal: Journal) -> Result<Journal, ActorProcessingErr> {
        Ok(journal)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        journal: &mut Journal,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(_, _, reason) => journal.note(format!("ended: {reason:?}")),
            SupervisionEvent::ActorFailed(_, error) => journal.note(format!("failed: {error}")),
            _ => {}
        }
        Ok(())
    }
}

/// Tells a child what to do, and returns when it has ended and its supervisor has done something about it.
pub async fn cue(supervisor: &SupervisorRef, id: &str, cue: Cue) {
    let child = supervisor.child(id).await.unwrap();
    tell(&child, cue);
    ended(supervisor, &child).await;
}

pub async fn crash(supervisor: &SupervisorRef, id: &str) {
    cue(supervisor, id, Cue::Panic("boom")).await;
}

pub fn tell(child: &RunningChild, cue: Cue) {
    child.reference::<ActorRef<Cue>>().unwrap().send_message(cue).unwrap();
}

/// Waits until a child has ended and its supervisor has done something about it.
pub async fn ended(supervisor: &SupervisorRef, child: &RunningChild) {
    child.cell().wait(None).await.unwrap();
    settled(supervisor).await;
}

/// Waits until the supervisor has handled all ends up to now. It may have ended by that.
///
/// Ends come before requests, but a request can arrive when it has just looked for ends: the second one cannot.
pub async fn settled(supervisor: &SupervisorRef) {
    for _ in 0..2 {
        let _ = supervisor.count_children().await;
    }
}

/// Each child with its state.
pub async fn children(supervisor: &SupervisorRef) -> Vec<String> {
    use playhouse::process::ChildStatus::{Restarting, Running, Stopped};
    let children = supervisor.which_children().await.unwrap();
    let view = children.into_iter().map(|child| {
        let state = match child.status {
            Running(_) => "running",
            Restarting => "restarting",
            Stopped => "stopped",
        };
        format!("{} {state}", child.id.as_deref().unwrap_or("-"))
    });
    view.collect()
}
