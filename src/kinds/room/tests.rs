//! What a room promises.

use serde_json::json;

use super::*;
use crate::{entity::TimerChange, kinds::scene::Scene, protocol::codec};

fn room() -> Scene<Room> {
    Scene::new("lobby")
}

fn present(room: &mut Scene<Room>) -> Vec<String> {
    let members = room.ask(r#"{"members": {}}"#)["members"].clone();
    members.as_array().unwrap().iter().map(|member| member["member"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_said_reaches_subscribers_and_the_history() {
    let mut room = room();
    room.ask(r#"{"join": {"member": "ann"}}"#);
    let said = json!({"number": 1, "member": "ann", "item": {"text": "hello"}, "at_ms": room.now_ms()});
    assert_eq!(room.ask(r#"{"say": {"item": {"text": "hello"}, "member": "ann"}}"#), json!({"number": 1}));
    assert_eq!(room.published(), [json!({"published": said})]);
    assert_eq!(room.ask(r#"{"history": {}}"#), json!({"history": [said]}));
    assert!(room.published().is_empty());
}

#[test]
fn history_is_read_backwards_in_pages() {
    let mut room = room();
    for number in 1..=5 {
        room.ask(&format!(r#"{{"publish": {{"item": {number}}}}}"#));
    }
    let numbers = |reply: serde_json::Value| -> Vec<u64> {
        reply["history"].as_array().unwrap().iter().map(|said| said["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(room.ask(r#"{"history": {"limit": 2}}"#)), [4, 5]);
    assert_eq!(numbers(room.ask(r#"{"history": {"limit": 2, "before": 4}}"#)), [2, 3]);
    assert_eq!(numbers(room.ask(r#"{"history": {"limit": 2, "before": 2}}"#)), [1]);
    assert!(matches!(room.try_ask(r#"{"history": {"limit": 0}}"#), Err(Error::OutOfRange { .. })));
}

#[test]
fn coming_and_going_is_announced_once() {
    let mut room = room();
    let at_ms = room.now_ms();
    assert_eq!(room.ask(r#"{"join": {"member": "ann"}}"#), json!({"joined": "ann", "members": 1}));
    assert_eq!(room.published(), [json!({"joined": {"member": "ann", "since_ms": at_ms, "until_ms": null}})]);
    room.ask(r#"{"join": {"member": "ann"}}"#);
    assert!(room.published().is_empty());

    assert_eq!(room.ask(r#"{"leave": {"member": "ann"}}"#), json!({"left": "ann", "members": 0}));
    assert_eq!(room.published(), [json!({"left": {"member": "ann", "at_ms": at_ms, "expired": false}})]);
    assert_eq!(room.ask(r#"{"leave": {"member": "ann"}}"#), json!({"left": "ann", "members": 0}));
    assert!(room.published().is_empty());
}

#[test]
fn a_member_that_falls_silent_leaves_by_itself() {
    let mut room = room();
    room.ask(r#"{"join": {"member": "ann", "ttl_ms": 100}}"#);
    let end_ms = room.now_ms() + 100;
    assert!(matches!(room.timers(), [TimerChange::Set { at_ms, .. }] if *at_ms == end_ms));
    room.ask(r#"{"join": {"member": "bob", "ttl_ms": 500}}"#);
    assert!(room.timers().is_empty());

    room.advance(100);
    assert_eq!(present(&mut room), ["bob"]);
    let refused = room.try_ask(r#"{"publish": {"item": 1, "member": "ann"}}"#);
    assert_eq!(refused, Err(Error::NotAMember("ann".into())));
    room.ask(r#"{"sweep": {}}"#);
    assert_eq!(room.published(), [json!({"left": {"member": "ann", "at_ms": end_ms, "expired": true}})]);
    assert!(matches!(room.timers(), [TimerChange::Set { at_ms, .. }] if *at_ms == end_ms + 400));

    room.ask(r#"{"sweep": {}}"#);
    assert!(room.published().is_empty());
}

#[test]
fn joining_again_in_time_keeps_the_membership() {
    let mut room = room();
    room.ask(r#"{"join": {"member": "ann", "ttl_ms": 100}}"#);
    let since_ms = room.now_ms();
    room.advance(99);
    room.ask(r#"{"join": {"member": "ann", "ttl_ms": 100}}"#);
    room.advance(99);
    room.ask(r#"{"sweep": {}}"#);
    let members = room.ask(r#"{"members": {}}"#);
    assert_eq!(
        members["members"][0],
        json!({"member": "ann", "since_ms": since_ms, "until_ms": since_ms + 199})
    );
}

/// Whoever comes late finds those gone whose time is over, also if the timer has not come yet.
#[test]
fn the_gone_are_announced_before_what_comes_next() {
    let mut room = room();
    room.ask(r#"{"join": {"member": "ann", "ttl_ms": 100}}"#);
    room.advance(200);
    room.ask(r#"{"join": {"member": "ann"}}"#);
    let notices: Vec<&String> =
        room.published().iter().flat_map(|notice| notice.as_object().unwrap().keys()).collect();
    assert_eq!(notices, ["left", "joined"]);
    assert_eq!(room.timers(), [TimerChange::Cancel { name: SWEEP.into() }]);
    assert_eq!(present(&mut room), ["ann"]);
}

#[test]
fn bad_members_and_items_are_refused() {
    let mut room = room();
    assert_eq!(room.try_ask(r#"{"join": {"member": ""}}"#), Err(Error::BadName));
    assert_eq!(room.try_ask(r#"{"join": {"member": "a\nb"}}"#), Err(Error::BadName));
    let large = json!({"publish": {"item": "x".repeat(ITEM_BYTES_MAX)}}).to_string();
    assert!(matches!(room.try_ask(&large), Err(Error::ItemTooLarge { .. })));
}

#[test]
fn the_fullest_room_fits_into_the_state_limit() {
    let (mut room, name) = (Room::default(), "m".repeat(NAME_BYTES_MAX - 8));
    let far = u64::MAX >> 8;
    for n in 0..MEMBERS_MAX {
        let member = format!("{name}{n:08}").into();
        room.apply(Event::Joined { member, at_ms: far, until_ms: Some(far) });
    }
    let item = Json::new(&json!("x".repeat(HISTORY_BYTES_MAX / HISTORY_MAX - 2))).unwrap();
    for number in 0..2 * HISTORY_MAX as u64 {
        let member = Some("m".repeat(NAME_BYTES_MAX).into());
        room.apply(Event::Published(Said { number: far + number, member, item: item.clone(), at_ms: far }));
    }
    assert_eq!((room.history.len(), room.history_bytes), (HISTORY_MAX, HISTORY_BYTES_MAX));
    assert!(codec::encode(&room).unwrap().len() < 1 << 20);
}

#[test]
fn a_full_room_takes_nobody_but_its_members() {
    let mut room = room();
    for n in 0..MEMBERS_MAX {
        room.command(Command::Join { member: n.to_string().into(), ttl_ms: None }).unwrap();
    }
    assert_eq!(room.try_ask(r#"{"join": {"member": "ann"}}"#), Err(Error::Full));
    assert_eq!(room.ask(r#"{"join": {"member": "7"}}"#)["members"], MEMBERS_MAX);
}
