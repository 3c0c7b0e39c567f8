//! A machine that does what it is told, and writes down what happens to it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse::process::{
    self, Actions, Down, Entry, Event, ExitReason, Machine, Mailbox, Process, Reply, StateMachine, Step,
};
use ractor::{ActorProcessingErr, Message};

pub const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
pub type Journal = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    A,
    B,
    /// Entering it sets its timeout.
    Timed,
    /// Entering it takes two seconds.
    Slow,
    /// Entering it panics.
    Broken,
}

pub enum Input {
    /// Is written down by name. In state `A` a letter that is lower case is postponed.
    Note(&'static str),
    /// As a note, and answered.
    Ask(&'static str, Reply<String>),
    /// Says by itself what is to be done.
    Do(&'static str, Box<dyn FnOnce() -> Step<State, Input> + Send + Sync>),
    /// Fails.
    Fail(ExitReason),
    Crash,
    Down(Down),
}

impl Message for Input {}

/// How it begins.
pub type Begin = Box<dyn FnOnce(Entry<State, Scene, Input>) -> Entry<State, Scene, Input> + Send>;

#[derive(Clone, Default)]
pub struct Scene {
    pub journal: Journal,
}

pub struct Player;

impl StateMachine for Player {
    type Message = Input;
    type State = State;
    type Data = Scene;
    type Arguments = (Scene, Begin);
    const EVENTS_MAX: usize = 3;

    async fn init(
        &self,
        (scene, begin): Self::Arguments,
    ) -> Result<Entry<State, Scene, Input>, ActorProcessingErr> {
        Ok(begin(Entry::new(State::A, scene)))
    }

    async fn handle(
        &self,
        event: Event<Input>,
        state: &State,
        scene: &mut Scene,
    ) -> Result<Step<State, Input>, ActorProcessingErr> {
        let (kind, input) = match event {
            Event::Message(input) => ("", input),
            Event::Internal(input) => ("internal ", input),
            Event::StateTimeout(input) => ("state timeout ", input),
            Event::EventTimeout(input) => ("event timeout ", input),
            Event::Timeout(name, input) => (name, input),
        };
        match input {
            Input::Note(name) if *state == State::A && name.starts_with(char::is_lowercase) => {
                scene.note(format!("{kind}{name} postponed"));
                Ok(Step::keep().postpone(Event::Message(Input::Note(name))))
            }
            Input::Note(name) => {
                scene.note(format!("{kind}{name} in {state:?}"));
                Ok(Step::keep())
            }
            Input::Ask(name, reply) if *state == State::A => {
                scene.note(format!("{kind}{name} postponed"));
                Ok(Step::keep().postpone(Event::Message(Input::Ask(name, reply))))
            }
            Input::Ask(name, reply) => {
                scene.note(format!("{kind}{name} in {state:?}"));
                Ok(Step::keep().reply(reply, format!("{name} in {state:?}")))
            }
            Input::Do(name, act) => {
                if !name.is_empty() {
                    scene.note(format!("{kind}{name} in {state:?}"));
                }
                Ok(act())
            }
            Input::Fail(reason) => Err(reason.into()),
            Input::Crash => panic!("boom"),
            Input::Down(down) => {
                scene.note(format!("down {} in {state:?}", down.reason));
                Ok(Step::keep())
            }
        }
    }

    async fn enter(
        &self,
        previous: Option<&State>,
        state: &State,
        scene: &mut Scene,
    ) -> Result<Actions<Input>, ActorProcessingErr> {
        scene.note(format!("enter {state:?} from {previous:?}"));
        match state {
            State::Timed => Ok(Actions::new().state_timeout(SECOND, Input::Note("Late"))),
            State::Slow => {
                tokio::time::sleep(2 * SECOND).await;
                Ok(Actions::new())
            }
            State::Broken => Err("broken".into()),
            _ => Ok(Actions::new()),
        }
    }

    async fn terminate(&self, state: &State, scene: &mut Scene) {
        scene.note(format!("last words in {state:?}"));
    }
}

impl Scene {
    fn note(&self, text: String) {
        self.journal.lock().push(text);
    }

    /// What happened since this was asked last.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.journal.lock())
    }
}

/// A machine that begins in state `A`, and what happens to it.
pub async fn machine() -> (Process<Input>, Scene) {
    let (machine, scene) = machine_with(|entry| entry).await;
    settled(&machine).await;
    scene.heard();
    (machine, scene)
}

/// As [`machine`]; what it did at its start is not forgotten.
pub async fn machine_with(
    begin: impl FnOnce(Entry<State, Scene, Input>) -> Entry<State, Scene, Input> + Send + 'static,
) -> (Process<Input>, Scene) {
    let scene = Scene::default();
    let machine = start(&scene, Box::new(begin), Mailbox::default()).await;
    (machine, scene)
}

pub async fn start(scene: &Scene, begin: Begin, mailbox: Mailbox<Input>) -> Process<Input> {
    process::spawn(Machine(Player), (scene.clone(), begin), mailbox).await.unwrap()
}

/// Has the machine do something, and waits until it has done all that came of it at once.
pub async fn act(machine: &Process<Input>, act: impl FnOnce() -> Step<State, Input> + Send + Sync + 'static) {
    named(machine, "", act).await;
    settled(machine).await;
}

/// As [`act`], without waiting, and written down by name.
pub async fn named(
    machine: &Process<Input>,
    name: &'static str,
    act: impl FnOnce() -> Step<State, Input> + Send + Sync + 'static,
) {
    machine.cast(Input::Do(name, Box::new(act))).await.unwrap();
}

/// Returns when all that was sent is handled.
pub async fn settled(machine: &Process<Input>) {
    let asked = machine.call(|reply| Input::Do("", Box::new(move || Step::keep().reply(reply, ()))), SECOND);
    asked.await.unwrap();
}

pub async fn note(machine: &Process<Input>, name: &'static str) {
    machine.cast(Input::Note(name)).await.unwrap();
}

/// The machine monitors another one, which ends for this reason.
pub async fn other_ends(machine: &Process<Input>, reason: ExitReason) {
    let (other, _) = self::machine().await;
    machine.monitor(&other, Input::Down).unwrap();
    other.cast(Input::Fail(reason)).await.unwrap();
    other.ended().await;
    settled(machine).await;
}
