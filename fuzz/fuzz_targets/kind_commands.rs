//! Any commands, in any order, at the kinds that ship: no handler panics, and every state survives the codec.
//!
//! The input is text, one JSON command per line, sent to one entity of each kind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use playhouse::{
    entity::{Change, Context, Entity},
    kinds,
    protocol::{Key, codec},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    play::<kinds::Counter>(text);
});

fn play<E: Entity>(text: &str) {
    let key = Key::new("fuzzed").expect("it is a key");
    let mut state = E::birth(&key);
    for (second, line) in (0..).zip(text.lines()) {
        let Ok(command) = serde_json::from_str::<E::Command>(line) else { continue };
        let mut context = Context::<E>::detached(&key, second * 1_000, second);
        let Ok(reply) = state.handle(command, &mut context) else { continue };
        serde_json::to_vec(&reply).expect("a reply is JSON");

        let effects = context.into_effects();
        assert_eq!(effects.fault, None);
        match effects.change {
            Change::Keep => {}
            Change::Save(next) => state = next,
            Change::Emit(events) => events.into_iter().for_each(|event| state.apply(event)),
            Change::Remove => state = E::birth(&key),
        }
        let stored = codec::encode(&state).expect("a state can be stored");
        state = codec::decode(&stored).expect("a stored state can be read");
        state.show();
    }
}
