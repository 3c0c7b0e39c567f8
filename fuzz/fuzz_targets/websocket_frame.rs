//! Text of any client: reading a WebSocket frame never panics, and what was read means the same when it is written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use playhouse::gateway::websocket::frame::{Ask, Command, Frame, parse};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(frame) => assert_eq!(parse(&written(&frame)), Ok(frame)),
        Err(fault) => {
            assert!(!fault.message.is_empty(), "a client is told what is wrong");
            assert!(fault.path.starts_with('.'), "and where");
            fault.id.iter().for_each(|id| check_json(id.as_json()));
        }
    }
});

/// The shortest text that means `frame`. What the client wrote itself goes in as it is.
fn written(frame: &Frame) -> String {
    check_json(frame.id.as_json());
    let ask = match &frame.ask {
        Ask::Call(command) => format!("\"call\":{}", written_command(command)),
        Ask::Cast(command) => format!("\"cast\":{}", written_command(command)),
        Ask::Subscribe(wish) => {
            let mut fields = json!({"kind": wish.kind, "key": wish.key});
            if let Some(after) = wish.after {
                fields["after"] = json!(after);
            }
            format!("\"subscribe\":{fields}")
        }
        Ask::Unsubscribe => "\"unsubscribe\":{}".to_owned(),
    };
    format!("{{\"id\":{},{ask}}}", frame.id.as_json())
}

fn written_command(command: &Command) -> String {
    check_json(&command.command);
    let mut fields = Map::new();
    fields.insert("kind".to_owned(), json!(command.kind));
    fields.insert("key".to_owned(), json!(command.key));
    if let Some(timeout_ms) = command.timeout_ms {
        fields.insert("timeout_ms".to_owned(), json!(timeout_ms));
    }
    if let Some(key) = &command.idempotency_key {
        fields.insert("idempotency_key".to_owned(), json!(key));
    }
    let rest = Value::Object(fields).to_string();
    format!("{{\"command\":{},{}", command.command, &rest[1..])
}

/// Values are not compared: a number may be larger than any type of ours and still be JSON.
fn check_json(text: &str) {
    serde_json::from_str::<IgnoredAny>(text).expect("what was taken out of JSON is JSON");
}
