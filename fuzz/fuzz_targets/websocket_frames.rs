//! Text frames of a client: reading never panics, and what was read says what the client wrote.

#![no_main]

use libfuzzer_sys::fuzz_target;
use playhouse::gateway::websocket::frame::{Ask, Command, parse};
use serde_json::Value;

fuzz_target!(|text: &str| {
    match parse(text) {
        Err(fault) => assert!(!fault.message.is_empty(), "a fault can be told"),
        Ok(frame) => {
            // Numbers out of range and deep nesting are passed on as they are, but not every reader takes them.
            let Ok(whole) = serde_json::from_str::<Value>(text) else { return };
            let id: Value = serde_json::from_str(frame.id.as_json()).expect("the whole was JSON");
            assert_eq!(whole["id"], id);
            match frame.ask {
                Ask::Call(command) => agrees(&whole["call"], &command),
                Ask::Cast(command) => agrees(&whole["cast"], &command),
                Ask::Subscribe(wish) => assert_eq!(whole["subscribe"]["key"], Value::String(wish.key)),
                Ask::Unsubscribe => assert!(whole["unsubscribe"].is_object()),
            }
        }
    }
});

fn agrees(written: &Value, read: &Command) {
    assert_eq!(written["kind"], Value::String(read.kind.clone()));
    assert_eq!(written["key"], Value::String(read.key.clone()));
    let command: Value = serde_json::from_str(&read.command).expect("the whole was JSON");
    assert_eq!(written["command"], command);
}
