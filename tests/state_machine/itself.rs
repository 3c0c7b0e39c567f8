//! What a machine does with its own reference.

use playhouse::process::{
    self, Down, Entry, Event, ExitReason, Machine, Mailbox, Process, Reply, StateMachine, Step,
};
use ractor::{ActorProcessingErr, Message};

use crate::stage::SECOND;

/// Waits for the end of another one.
struct Mourner;

#[derive(PartialEq)]
enum State {
    Waits,
    Mourns(ExitReason),
}

enum Input {
    Down(Down),
    /// Answered when it mourns.
    Why(Reply<ExitReason>),
}

impl Message for Input {}

impl StateMachine for Mourner {
    type Message = Input;
    type State = State;
    type Data = ();
    type Arguments = Option<Process<Input>>;

    async fn init(
        &self,
        other: Option<Process<Input>>,
    ) -> Result<Entry<State, (), Input>, ActorProcessingErr> {
        let itself = Process::<Input>::current().ok_or("it is a process")?;
        if let Some(other) = other {
            itself.monitor(&other, Input::Down)?;
        }
        Ok(Entry::new(State::Waits, ()))
    }

    async fn handle(
        &self,
        event: Event<Input>,
        state: &State,
        (): &mut (),
    ) -> Result<Step<State, Input>, ActorProcessingErr> {
        Ok(match (event, state) {
            (Event::Message(Input::Down(down)), _) => Step::to(State::Mourns(down.reason)),
            (Event::Message(Input::Why(reply)), State::Mourns(reason)) => {
                Step::keep().reply(reply, reason.clone())
            }
            (why, State::Waits) => Step::keep().postpone(why),
            _ => Step::keep(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_knows_itself_and_monitors_others() {
    let other = process::spawn(Machine(Mourner), None, Mailbox::default()).await.unwrap();
    let machine = process::spawn(Machine(Mourner), Some(other.clone()), Mailbox::default()).await.unwrap();
    other.kill();
    assert_eq!(machine.call(Input::Why, SECOND).await, Ok(ExitReason::Killed));
    assert!(Process::<Input>::current().is_none(), "this is no process");
}
