//! The entities of `examples/chat.rs`: who is where, and who hears what.
#![allow(clippy::unwrap_used)] // A test that cannot go on ends.

#[path = "../examples/chat/chatroom.rs"]
mod chatroom;
#[path = "../examples/chat/person.rs"]
mod person;

use std::time::Duration;

use chatroom::{Chatroom, PEOPLE_MAX, RECENT_MAX};
use person::{Person, SILENT_AFTER};
use playhouse::{
    protocol::CallError,
    testing::{Release, Stage},
};
use serde_json::{Value, json};

fn house() -> Stage {
    Stage::start(Release::new().kind::<Person>().kind::<Chatroom>())
}

fn ask(stage: &mut Stage, person: &str, command: &Value) -> Result<Value, CallError> {
    let reply = stage.call_json("person", person, command);
    stage.settle();
    reply
}

fn enter(stage: &mut Stage, person: &str) {
    ask(stage, person, &json!({"enter": {"room": "lobby"}})).unwrap();
}

/// What subscribers of the lobby heard since the last time, as `ann: said "hello"`.
fn heard(stage: &mut Stage) -> Vec<String> {
    let lines = stage.take_published().into_iter().map(|item| item.item);
    lines.map(|line| format!("{}: {}", line["person"].as_str().unwrap(), line["did"])).collect()
}

fn people(stage: &mut Stage) -> Value {
    stage.call_json("chatroom", "lobby", &json!({"look": {}})).unwrap()["people"].clone()
}

#[test]
fn what_one_says_all_subscribers_hear_in_order() {
    let mut stage = house();
    enter(&mut stage, "ann");
    enter(&mut stage, "bob");
    ask(&mut stage, "ann", &json!({"say": {"room": "lobby", "text": "hello"}})).unwrap();
    ask(&mut stage, "bob", &json!({"leave": {"room": "lobby"}})).unwrap();
    assert_eq!(
        heard(&mut stage),
        [r#"ann: "entered""#, r#"bob: "entered""#, r#"ann: {"said":"hello"}"#, r#"bob: "left""#]
    );
    assert_eq!(people(&mut stage), json!(["ann"]));
}

#[test]
fn entering_twice_is_heard_once() {
    let mut stage = house();
    enter(&mut stage, "ann");
    enter(&mut stage, "ann");
    assert_eq!(heard(&mut stage).len(), 1);
}

#[test]
fn who_falls_silent_leaves_also_when_the_node_dies_meanwhile() {
    let mut stage = house();
    enter(&mut stage, "ann");
    stage.advance(SILENT_AFTER - Duration::from_secs(1));
    ask(&mut stage, "ann", &json!({"stay": {}})).unwrap();
    stage.crash();
    stage.advance(SILENT_AFTER - Duration::from_secs(1));
    stage.settle();
    assert_eq!(people(&mut stage), json!(["ann"]));

    stage.advance(Duration::from_secs(1));
    stage.settle();
    assert_eq!(people(&mut stage), json!([]));
    let refused = ask(&mut stage, "ann", &json!({"say": {"room": "lobby", "text": "still here"}}));
    assert!(matches!(refused, Err(CallError::Refused(refused)) if refused.code == "not_there"));
}

#[test]
fn nobody_can_be_declared_silent_by_others() {
    let mut stage = house();
    enter(&mut stage, "ann");
    ask(&mut stage, "ann", &json!({"silent": {}})).unwrap();
    assert_eq!(people(&mut stage), json!(["ann"]));
}

#[test]
fn a_full_room_turns_people_away() {
    let mut stage = house();
    for number in 0..PEOPLE_MAX {
        let hear = json!({"hear": {"person": number.to_string(), "did": "entered"}});
        stage.call_json("chatroom", "lobby", &hear).unwrap();
    }
    enter(&mut stage, "ann");
    assert_eq!(ask(&mut stage, "ann", &json!({"stay": {}})).unwrap(), json!({"rooms": []}));
}

#[test]
fn a_room_remembers_the_last_lines_across_a_failover() {
    let mut stage = house();
    enter(&mut stage, "ann");
    for number in 0..RECENT_MAX {
        ask(&mut stage, "ann", &json!({"say": {"room": "lobby", "text": number.to_string()}})).unwrap();
    }
    stage.fail_over();
    let recent = stage.call_json("chatroom", "lobby", &json!({"look": {}})).unwrap()["recent"].clone();
    assert_eq!(recent.as_array().unwrap().len(), RECENT_MAX);
    assert_eq!(recent[RECENT_MAX - 1]["did"]["said"], (RECENT_MAX - 1).to_string());
    assert!(ask(&mut stage, "ann", &json!({"say": {"room": "lobby", "text": "x".repeat(4_001)}})).is_err());
}
