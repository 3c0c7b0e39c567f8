//! State machines, as OTP's `gen_statem`.
//!
//! Comes in: what somebody implements as [`StateMachine`], and events. Leaves: [`Machine`], an actor that is started as any other;
//! its reference is a [`Process`](super::Process), with all that one can do with it.
//!
//! ```
//! use std::time::Duration;
//! use playhouse::process::{self, Entry, Event, Machine, Mailbox, Reply, StateMachine, Step};
//! use ractor::{ActorProcessingErr, Message};
//!
//! /// A door that opens for one push when it knows its code, and locks itself.
//! struct Door;
//!
//! #[derive(PartialEq)]
//! enum State {
//!     Locked,
//!     Open,
//! }
//!
//! enum Input {
//!     Code(u32),
//!     /// Waits until the door is open.
//!     Push(Reply<&'static str>),
//!     Lock,
//! }
//! impl Message for Input {}
//!
//! impl StateMachine for Door {
//!     type Message = Input;
//!     type State = State;
//!     type Data = u32;
//!     type Arguments = u32;
//!
//!     async fn init(&self, code: u32) -> Result<Entry<State, u32, Input>, ActorProcessingErr> {
//!         Ok(Entry::new(State::Locked, code))
//!     }
//!
//!     async fn handle(
//!         &self,
//!         event: Event<Input>,
//!         state: &State,
//!         code: &mut u32,
//!     ) -> Result<Step<State, Input>, ActorProcessingErr> {
//!         Ok(match (state, event) {
//!             (State::Locked, Event::Message(Input::Code(typed))) if typed == *code => {
//!                 Step::to(State::Open).state_timeout(Duration::from_secs(10), Input::Lock)
//!             }
//!             (State::Locked, push @ Event::Message(Input::Push(_))) => Step::keep().postpone(push),
//!             (State::Open, Event::Message(Input::Push(reply))) => Step::to(State::Locked).reply(reply, "come in"),
//!             (State::Open, Event::StateTimeout(Input::Lock)) => Step::to(State::Locked),
//!             _ => Step::keep(),
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let door = process::spawn(Machine(Door), 1234, Mailbox::default()).await.unwrap();
//! let visitor = tokio::spawn({
//!     let door = door.clone();
//!     async move { door.call(Input::Push, Duration::from_secs(5)).await }
//! });
//! door.cast(Input::Code(1234)).await.unwrap();
//! assert_eq!(visitor.await.unwrap(), Ok("come in"));
//! # }
//! ```
//!
//! What decides which event comes next is pure (`engine`); what acts is an actor (`actor`).
//!
//! What differs from OTP:
//!
//! * Calls, casts and other messages are one enum, [`Event::Message`]: a call is a message with a [`Reply`](super::Reply) in it.
//! * The message of a timeout is one of the machine's messages. A timeout is no message in the mailbox that could be refused.
//! * How many events may be postponed, and inserted, has a bound: [`StateMachine::EVENTS_MAX`].
//! * Entering a state and handling an event are functions of their own, so that what an entry may not do cannot be written.

mod actor;
mod engine;
mod step;

use std::future::Future;

use ractor::{ActorProcessingErr, Message};

pub use self::{
    actor::Machine,
    step::{Actions, Entry, Step},
};

/// What happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<M> {
    /// Somebody sent a message: a call, a cast, or the notice of a monitor or a link.
    Message(M),
    /// The machine inserted it itself: [`Step::next_event`].
    Internal(M),
    /// The machine was in one state for so long.
    StateTimeout(M),
    /// Nothing happened for so long.
    EventTimeout(M),
    /// The timeout of this name is over.
    Timeout(&'static str, M),
}

/// How a machine of this kind begins.
type EntryOf<S> = Entry<<S as StateMachine>::State, <S as StateMachine>::Data, <S as StateMachine>::Message>;

/// A machine that is in one state at a time. Each event makes a [`Step`].
///
/// A function that returns an error, or panics, ends the machine with that reason.
pub trait StateMachine: Send + Sync + Sized + 'static {
    /// What others send to it, and what its timeouts and the events say that it sends itself.
    type Message: Message;
    /// The states. Two that are equal are one: a step from one to the other is no change of state.
    type State: PartialEq + Send + Sync + 'static;
    /// What it remembers in all states.
    type Data: Send + 'static;
    /// What it is started with.
    type Arguments: Send + 'static;

    /// How many events may be postponed; as many that it inserted itself may wait beside as many that come again.
    ///
    /// One too many is dropped, which the log says and the mailbox counts as refused; if it was a call, that
    /// fails with `NoReply`.
    const EVENTS_MAX: usize = 1_000;

    /// Starts it. [`enter`](Self::enter) is called for the first state, too.
    fn init(
        &self,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<EntryOf<Self>, ActorProcessingErr>> + Send;

    /// Says what an event does.
    fn handle(
        &self,
        event: Event<Self::Message>,
        state: &Self::State,
        data: &mut Self::Data,
    ) -> impl Future<Output = Result<Step<Self::State, Self::Message>, ActorProcessingErr>> + Send;

    /// A state begins, or begins [again](Step::repeat); all events that wait come after this. `previous` is `None` at the
    /// start, and the same state if it is repeated.
    fn enter(
        &self,
        previous: Option<&Self::State>,
        state: &Self::State,
        data: &mut Self::Data,
    ) -> impl Future<Output = Result<Actions<Self::Message>, ActorProcessingErr>> + Send {
        let _ = (previous, state, data);
        async { Ok(Actions::new()) }
    }

    /// Its last words: when a step stops it, and when it is asked to stop or drains. Not after an error, a panic or a kill.
    fn terminate(&self, state: &Self::State, data: &mut Self::Data) -> impl Future<Output = ()> + Send {
        let _ = (state, data);
        async {}
    }
}
