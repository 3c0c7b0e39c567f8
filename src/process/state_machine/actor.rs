//! The actor that runs a state machine: it calls what people wrote, and does what that says.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{
    Event, StateMachine,
    engine::{Clock, Engine, Turn},
    step::{Actions, Entry, Next, Step},
};
use crate::process::{
    Process,
    inner::Inner,
    timer::{self, Alarm},
};

/// A state machine as an actor, to be started as any other: by [`spawn`](crate::process::spawn), by a supervisor, as a
/// singleton, on another node.
///
/// It must be a process, with a mailbox of ours; started as a plain `ractor` actor, it does not start.
#[derive(Clone, Copy, Debug)]
pub struct Machine<S>(
    /// What says what its events do.
    pub S,
);

/// What a machine remembers.
pub struct Memory<S: StateMachine> {
    engine: Engine<S::State, S::Message, Alarm>,
    data: S::Data,
    /// What it begins with, until it has begun.
    first: Option<Step<S::State, S::Message>>,
}

/// Alarms of a process.
struct Alarms<'a, M>(&'a Arc<Inner<M>>);

impl<M: Send + 'static> Clock<M> for Alarms<'_, M> {
    type Alarm = Alarm;

    fn set(&mut self, after: Duration, message: M) -> Alarm {
        timer::alarm_after(self.0, after, message)
    }

    fn cancel(&mut self, alarm: Alarm) {
        alarm.cancel(self.0);
    }
}

impl<S: StateMachine> Actor for Machine<S> {
    type Msg = S::Message;
    type State = Memory<S>;
    type Arguments = S::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<S::Message>,
        arguments: S::Arguments,
    ) -> Result<Memory<S>, ActorProcessingErr> {
        process_of(&myself)?;
        let Entry { state, data, step } = self.0.init(arguments).await?;
        Ok(Memory { engine: Engine::new(state, S::EVENTS_MAX), data, first: Some(step) })
    }

    async fn post_start(
        &self,
        myself: ActorRef<S::Message>,
        memory: &mut Memory<S>,
    ) -> Result<(), ActorProcessingErr> {
        let process = process_of(&myself)?;
        let Some(step) = memory.first.take() else { return Ok(()) };
        let entered = self.0.enter(None, memory.engine.state(), &mut memory.data).await?;
        settle(&process, memory, step, entered, false);
        self.run(&process, memory, None).await
    }

    async fn handle(
        &self,
        myself: ActorRef<S::Message>,
        message: S::Message,
        memory: &mut Memory<S>,
    ) -> Result<(), ActorProcessingErr> {
        let process = process_of(&myself)?;
        let event = match process.alarm() {
            None => Some(Event::Message(message)),
            // One that was cancelled while it was put into the mailbox is no event.
            Some(id) => memory.engine.rang(|alarm| alarm.id() == id, message),
        };
        match event {
            Some(event) => self.run(&process, memory, Some(event)).await,
            None => Ok(()),
        }
    }

    async fn post_stop(
        &self,
        _: ActorRef<S::Message>,
        memory: &mut Memory<S>,
    ) -> Result<(), ActorProcessingErr> {
        self.0.terminate(memory.engine.state(), &mut memory.data).await;
        Ok(())
    }
}

impl<S: StateMachine> Machine<S> {
    /// Handles an event and all that come before the next message.
    async fn run(
        &self,
        process: &Arc<Inner<S::Message>>,
        memory: &mut Memory<S>,
        first: Option<Event<S::Message>>,
    ) -> Result<(), ActorProcessingErr> {
        let mut next = first.or_else(|| memory.engine.next());
        while let Some(event) = next {
            memory.engine.begin(&mut Alarms(process));
            let step = self.0.handle(event, memory.engine.state(), &mut memory.data).await?;
            self.act(process, memory, step).await?;
            // A machine that goes on inserting events can still be killed.
            tokio::task::consume_budget().await;
            next = memory.engine.next();
        }
        Ok(())
    }

    /// Does what an event did.
    async fn act(
        &self,
        process: &Arc<Inner<S::Message>>,
        memory: &mut Memory<S>,
        mut step: Step<S::State, S::Message>,
    ) -> Result<(), ActorProcessingErr> {
        step.actions.answer();
        let next = std::mem::replace(&mut step.next, Next::Keep);
        if let Next::Stop(reason) = next {
            self.0.terminate(memory.engine.state(), &mut memory.data).await;
            return Err(reason.into());
        }
        let turn = memory.engine.turn(next, &mut Alarms(process));
        let Memory { engine, data, .. } = memory;
        let entered = match &turn {
            Turn::Stays => Actions::new(),
            Turn::Repeated => self.0.enter(Some(engine.state()), engine.state(), data).await?,
            Turn::Changed(previous) => self.0.enter(Some(previous), engine.state(), data).await?,
        };
        settle(process, memory, step, entered, matches!(turn, Turn::Changed(_)));
        Ok(())
    }
}

/// What comes after the state was entered.
fn settle<S: StateMachine>(
    process: &Arc<Inner<S::Message>>,
    memory: &mut Memory<S>,
    step: Step<S::State, S::Message>,
    mut entered: Actions<S::Message>,
    has_changed: bool,
) {
    entered.answer();
    let refused = memory.engine.line_up(step.postponed, step.inserted, has_changed);
    if !refused.is_empty() {
        let (events, events_max) = (refused.len(), S::EVENTS_MAX);
        tracing::warn!(process = %process.id(), events, events_max, "a state machine keeps too many events");
        process.note_refused(events);
    }
    let orders = step.actions.timeouts.into_iter().chain(entered.timeouts);
    memory.engine.time(orders, &mut Alarms(process));
}

fn process_of<M: Send + 'static>(myself: &ActorRef<M>) -> Result<Arc<Inner<M>>, ActorProcessingErr> {
    let process = Process::of(myself);
    let inner = process.as_ref().and_then(Process::here).cloned();
    inner.ok_or_else(|| "a state machine is a process: start it with a mailbox".into())
}
