//! A kind whose handler can be made to panic at the worst moment: after it has stated everything.

use std::{cell::Cell, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{
    entity::{Change, Context, Durability, Effects, Entity, SchemaVersion, SpawnedFuture, UpcastError},
    protocol::Key,
};

thread_local! {
    // A stage executes on the thread that calls it, so this belongs to the stage of one test.
    static FUSE: Cell<bool> = const { Cell::new(false) };
}

/// The next handler on this thread panics.
pub(super) fn light_fuse() {
    FUSE.set(true);
}

/// It does not, after all. `true` if none had come.
pub(super) fn defuse() -> bool {
    FUSE.replace(false)
}

/// `E` with the same name and the same bytes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub(super) struct Sabotaged<E: Entity>(E);

impl<E: Entity> Entity for Sabotaged<E> {
    const KIND: &'static str = E::KIND;
    const SUMMARY: &'static str = E::SUMMARY;
    const SCHEMA: SchemaVersion = E::SCHEMA;
    const READS: RangeInclusive<SchemaVersion> = E::READS;
    const DURABILITY: Durability = E::DURABILITY;
    const IMAGE_EVERY_EVENTS: u32 = E::IMAGE_EVERY_EVENTS;

    type Command = E::Command;
    type Reply = E::Reply;
    type Event = E::Event;
    type Error = E::Error;

    fn birth(key: &Key) -> Self {
        Self(E::birth(key))
    }

    fn handle(&self, command: E::Command, context: &mut Context<'_, Self>) -> Result<E::Reply, E::Error> {
        let request_id = context.request_id();
        let mut inner = Context::<E>::new(context.key(), context.now_ms(), context.revision(), request_id);
        if let Some(surroundings) = context.surroundings() {
            inner.set_surroundings(surroundings);
        }
        let handled = self.0.handle(command, &mut inner);
        let effects = inner.into_effects();
        if FUSE.replace(false) {
            // Unlike `panic!` this prints nothing: the test wanted it.
            std::panic::resume_unwind(Box::new("the stage crashes this handler"));
        }
        context.set_effects(wrap(effects));
        handled
    }

    fn apply(&mut self, event: E::Event) {
        self.0.apply(event);
    }

    fn show(&self) -> serde_json::Value {
        self.0.show()
    }

    fn upcast(found: SchemaVersion, bytes: &[u8]) -> Result<Self, UpcastError> {
        E::upcast(found, bytes).map(Self)
    }

    fn upcast_event(found: SchemaVersion, bytes: &[u8]) -> Result<E::Event, UpcastError> {
        E::upcast_event(found, bytes)
    }

    fn command_examples() -> Vec<serde_json::Value> {
        E::command_examples()
    }
}

fn wrap<E: Entity>(effects: Effects<E>) -> Effects<Sabotaged<E>> {
    let Effects { change, casts, timers, spawns, published, fault } = effects;
    let change = match change {
        Change::Keep => Change::Keep,
        Change::Save(state) => Change::Save(Sabotaged(state)),
        Change::Emit(events) => Change::Emit(events),
        Change::Remove => Change::Remove,
    };
    let spawns = spawns.into_iter().map(|spawn| match spawn {
        SpawnedFuture::Future(future) => SpawnedFuture::Future(future),
        SpawnedFuture::Call { target, body, timeout, then } => {
            SpawnedFuture::Call { target, body, timeout, then }
        }
    });
    Effects { change, casts, timers, spawns: spawns.collect(), published, fault }
}
