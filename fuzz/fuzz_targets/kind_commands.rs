//! Any commands, in any order, at the kinds that ship: no handler panics, and every state survives the codec.
//!
//! The input is text: the name of a kind, then one JSON command per line, all sent to one entity. Between two lines ten
//! seconds pass, in which timers fire.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use playhouse::{
    entity::{Change, Context, Entity, TimerChange},
    kinds,
    protocol::{Key, codec},
};

const STEP_MS: u64 = 10_000;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((kind, lines)) = text.split_once('\n') else { return };
    match kind {
        kinds::Counter::KIND => play::<kinds::Counter>(lines),
        kinds::Document::KIND => play::<kinds::Document>(lines),
        kinds::Lease::KIND => play::<kinds::Lease>(lines),
        kinds::Limiter::KIND => play::<kinds::Limiter>(lines),
        kinds::Queue::KIND => play::<kinds::Queue>(lines),
        kinds::Room::KIND => play::<kinds::Room>(lines),
        _ => {}
    }
});

fn play<E: Entity>(lines: &str) {
    let mut stage = Stage::<E>::new();
    for line in lines.lines() {
        if let Ok(command) = serde_json::from_str(line) {
            stage.execute(command);
        }
        stage.pass_time();
    }
}

/// One entity, executed as a shard would: what is kept between two commands goes through the codec.
struct Stage<E: Entity> {
    key: Key,
    state: E,
    now_ms: u64,
    revision: u64,
    timers: BTreeMap<String, (u64, Bytes)>,
}

impl<E: Entity> Stage<E> {
    fn new() -> Self {
        let key = Key::new("fuzzed").expect("it is a key");
        let state = E::birth(&key);
        Self { key, state, now_ms: 0, revision: 0, timers: BTreeMap::new() }
    }

    fn execute(&mut self, command: E::Command) {
        let mut context = Context::<E>::detached(&self.key, self.now_ms, self.revision);
        let Ok(reply) = self.state.handle(command, &mut context) else { return };
        serde_json::to_vec(&reply).expect("a reply is JSON");

        let effects = context.into_effects();
        assert_eq!(effects.fault, None);
        for timer in effects.timers {
            self.keep(timer);
        }
        match effects.change {
            Change::Keep => return,
            Change::Save(next) => self.state = next,
            Change::Emit(events) => events.into_iter().for_each(|event| self.state.apply(event)),
            Change::Remove => self.state = E::birth(&self.key),
        }
        self.revision += 1;
        let stored = codec::encode(&self.state).expect("a state can be stored");
        self.state = codec::decode(&stored).expect("a stored state can be read");
        self.state.show();
    }

    fn keep(&mut self, timer: TimerChange) {
        match timer {
            TimerChange::Set { name, at_ms, command } => self.timers.insert(name.into(), (at_ms, command)),
            TimerChange::Cancel { name } => self.timers.remove(name.as_str()),
        };
    }

    /// Each timer that is due fires once; one that it sets anew waits for the next step.
    fn pass_time(&mut self) {
        self.now_ms += STEP_MS;
        let now_ms = self.now_ms;
        let due: Vec<_> = self.timers.extract_if(.., |_, (at_ms, _)| *at_ms <= now_ms).collect();
        for (_, (_, command)) in due {
            self.execute(codec::decode(&command).expect("the handler encoded it"));
        }
    }
}
