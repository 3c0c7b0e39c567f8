//! The stage itself, and the kinds that ship, on it.

mod actors;
mod lacking;
mod undeliverable;
mod undisturbed;
mod volatile;

use std::time::Duration;

use serde_json::json;

use super::{Release, Stage};
use crate::{
    entity::KindIndex,
    kinds::{Counter, Document, Lease, Limiter, Queue, Room, counter, document, queue},
    protocol::{Body, CallError, Json, Key},
    shard::{Lost, LostCommand, Message},
};
use actors::{Beacon, Dozer, Gauge, Hoard, OldGauge, Sender, beacon, dozer, gauge, hoard, sender};

const SECOND: Duration = Duration::from_secs(1);

fn add(number: i64) -> counter::Command {
    counter::Command::Add(number)
}

#[test]
fn a_counter_keeps_what_was_acknowledged() {
    let mut stage = Stage::of::<Counter>();
    stage.call::<Counter>("c", &add(1)).unwrap();
    stage.crash();
    stage.call::<Counter>("c", &add(1)).unwrap();
    stage.fail_over();
    assert_eq!(stage.resident(), 0);
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 2}));
    assert_eq!(stage.resident(), 1);
}

/// Appended, then leadership moved: nobody was told, and a later leader commits it all the same.
#[test]
fn an_unknown_outcome_may_have_happened_or_not() {
    let mut stage = Stage::of::<Counter>();
    stage.stall();
    let moved = stage.send::<Counter>("c", &add(1));
    assert_eq!(moved.outcome(), None);
    stage.fail_over();
    assert_eq!(moved.outcome(), Some(Err(CallError::OutcomeUnknown)));
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 1}));

    stage.stall();
    let lost = stage.send::<Counter>("c", &add(1));
    stage.crash();
    assert_eq!(lost.outcome(), Some(Err(CallError::OutcomeUnknown)));
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 1}));
}

/// The output gate: who has seen what is not durable waits for it.
#[test]
fn nothing_leaves_before_it_is_durable() {
    let mut stage = Stage::of::<Counter>();
    stage.stall();
    let written = stage.send::<Counter>("c", &add(1));
    let read = stage.send::<Counter>("c", &counter::Command::Get {});
    let elsewhere = stage.send::<Counter>("d", &counter::Command::Get {});
    assert_eq!((written.outcome(), read.outcome()), (None, None));
    assert!(elsewhere.outcome().is_some());
    stage.resume();
    assert_eq!(read.outcome().unwrap().unwrap().value, 1);
    assert!(written.outcome().unwrap().is_ok());
}

/// After a crash the entity is woken from what is stored *and on its way*; who reads it then must wait for that too.
#[test]
fn a_crash_does_not_open_the_gate() {
    let mut stage = Stage::of::<Counter>();
    stage.stall();
    let written = stage.send::<Counter>("c", &add(1));
    stage.crash_next_handler();
    let crashed = stage.send::<Counter>("c", &add(1));
    let read = stage.send::<Counter>("c", &counter::Command::Get {});
    assert_eq!(read.outcome(), None);
    assert_eq!(written.outcome(), None);
    stage.resume();
    assert_eq!(read.outcome().unwrap().unwrap().value, 1);
    assert_eq!(crashed.outcome(), Some(Err(CallError::Crashed)));
}

/// A refusal by an entity that the same command woke once left at once, although the state that it was based on was
/// not committed: what it saw was noted before the wake.
#[test]
fn a_refusal_after_a_crash_does_not_open_the_gate() {
    let mut stage = Stage::of::<Counter>();
    stage.stall();
    let written = stage.send::<Counter>("c", &counter::Command::Set(i64::MAX));
    stage.crash_next_handler();
    drop(stage.send::<Counter>("c", &add(1)));
    let refused = stage.send::<Counter>("c", &add(1));
    assert_eq!(refused.outcome(), None);
    stage.resume();
    assert!(matches!(refused.outcome(), Some(Err(CallError::Refused(_)))));
    assert!(matches!(written.outcome(), Some(Ok(_))));
}

/// The same for what is on its way as an event, and for a state that is on its way out.
#[test]
fn a_crash_does_not_open_the_gate_for_events_and_removals() {
    let mut stage = Stage::start(Release::new().kind::<Queue>().kind::<Sender>());
    let push = || queue::Command::Push { item: Json::default(), delay_ms: 0 };
    stage.call::<Queue>("q", &push()).unwrap();
    stage.call::<Sender>("s", &sender::Command::Stay).unwrap();
    stage.stall();
    drop(stage.send::<Queue>("q", &push()));
    drop(stage.send::<Sender>("s", &sender::Command::Go));
    stage.crash_next_handler();
    drop(stage.send::<Queue>("q", &push()));
    stage.crash_next_handler();
    drop(stage.send::<Sender>("s", &sender::Command::Go));

    let read = stage.send::<Queue>("q", &queue::Command::Stats {});
    let gone = stage.send::<Sender>("s", &sender::Command::Look);
    assert!(read.outcome().is_none() && gone.outcome().is_none());
    stage.resume();
    assert!(matches!(read.outcome(), Some(Ok(queue::Reply::Stats(stats))) if stats.ready == 2));
    assert!(gone.outcome().is_some());
}

#[test]
fn an_idempotency_key_gives_the_first_reply_again_also_after_a_move() {
    let mut stage = Stage::of::<Counter>();
    let once = |stage: &mut Stage, number| stage.call_once::<Counter>("key", "c", &add(number));
    assert_eq!(once(&mut stage, 1).unwrap().value, 1);
    stage.fail_over();
    assert_eq!(once(&mut stage, 1).unwrap().value, 1);
    assert_eq!(once(&mut stage, 2), Err(CallError::IdempotencyMismatch));
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 1}));
}

#[test]
fn a_handler_that_crashes_has_no_effects_and_too_many_are_quarantined() {
    let mut stage = Stage::of::<Counter>();
    stage.call::<Counter>("c", &add(1)).unwrap();
    for _ in 0..4 {
        stage.crash_next_handler();
        assert_eq!(stage.call::<Counter>("c", &add(1)), Err(CallError::Crashed));
    }
    assert!(matches!(stage.call::<Counter>("c", &add(1)), Err(CallError::Quarantined { .. })));
    assert!(stage.call::<Counter>("other", &add(1)).is_ok());
    stage.advance(30 * SECOND);
    assert_eq!(stage.call::<Counter>("c", &add(1)).unwrap().value, 2);
}

#[test]
fn a_document_expires_on_time_wherever_it_is() {
    let mut stage = Stage::of::<Document>();
    let put = json!({"put": {"value": 1, "ttl_ms": 5000}});
    stage.call_json("document", "d", &put).unwrap();
    stage.advance(4 * SECOND);
    stage.crash();
    assert_eq!(stage.timers()[0].at_ms, stage.now_ms() + 1_000);
    assert_eq!(stage.passivate(), 0);

    assert_eq!(stage.advance(SECOND), 1);
    assert!(stage.timers().is_empty());
    assert_eq!(
        stage.view::<Document>("d"),
        json!({"revision": 2, "exists": false, "value": null, "expires_at_ms": null})
    );
}

/// The timer's command crashed, so the timer is gone; a reader must not notice.
#[test]
fn a_document_is_over_even_if_its_timer_crashed() {
    let mut stage = Stage::of::<Document>();
    stage.call_json("document", "d", &json!({"put": {"value": 1, "ttl_ms": 5000}})).unwrap();
    stage.crash_next_handler();
    assert_eq!(stage.advance(5 * SECOND), 1);
    assert_eq!(stage.dead_letters().len(), 1);
    let found = stage.call::<Document>("d", &document::Command::Get {}).unwrap();
    assert!(matches!(found, document::Reply::Found(found) if !found.exists && found.revision == 2));
}

/// Who crashed too often is quarantined. Its timers are not lost meanwhile: nothing has run yet.
#[test]
fn a_timer_waits_for_the_end_of_a_quarantine() {
    let mut stage = Stage::of::<Room>();
    stage.call_json("room", "lobby", &json!({"join": {"member": "ann", "ttl_ms": 5000}})).unwrap();
    for _ in 0..4 {
        stage.crash_next_handler();
        assert_eq!(stage.call_json("room", "lobby", &json!({"members": {}})), Err(CallError::Crashed));
    }
    stage.take_published();
    stage.advance(29 * SECOND);
    assert_eq!((stage.take_published().len(), stage.timers().len()), (0, 1));
    stage.advance(SECOND);
    assert_eq!((stage.take_published().len(), stage.timers().len()), (1, 0));
    assert!(stage.dead_letters().is_empty());
}

#[test]
fn a_queue_survives_as_image_and_events() {
    let mut stage = Stage::of::<Queue>();
    for number in 0..1_200 {
        let item = Json::new(&json!(number)).unwrap();
        stage.call::<Queue>("q", &queue::Command::Push { item, delay_ms: 0 }).unwrap();
        if number % 500 == 250 {
            stage.crash();
        }
    }
    stage.call_json("queue", "q", &json!({"lease": {"count": 2, "visibility_ms": 1000}})).unwrap();
    stage.call_json("queue", "q", &json!({"ack": {"token": 1}})).unwrap();
    assert_eq!(stage.passivate(), 1);
    stage.fail_over();
    let stats = stage.call_json("queue", "q", &json!({"stats": {}})).unwrap();
    assert_eq!((&stats["ready"], &stats["leased"]), (&json!(1_198), &json!(1)));

    stage.advance(SECOND);
    let next = stage.call_json("queue", "q", &json!({"lease": {}})).unwrap();
    assert_eq!(next["leased"][0]["item"], 1);
}

/// Events are folded in before everything else about them is known to be in bounds.
#[test]
fn events_that_are_refused_afterwards_leave_nothing() {
    let mut stage = Stage::of::<Hoard>();
    assert!(stage.call::<Hoard>("h", &hoard::Command::Keep(10)).is_ok());
    assert!(matches!(
        stage.call::<Hoard>("h", &hoard::Command::Keep(2 << 20)),
        Err(CallError::TooLarge { .. })
    ));
    assert_eq!(stage.call::<Hoard>("h", &hoard::Command::KeepBadly), Err(CallError::Crashed));
    assert_eq!(stage.view::<Hoard>("h"), json!(10));
    stage.crash();
    assert_eq!(stage.view::<Hoard>("h"), json!(10));
}

/// One of the two would be lost in silence.
#[test]
fn a_handler_that_saves_and_emits_counts_as_crashed() {
    let mut stage = Stage::of::<Hoard>();
    stage.call::<Hoard>("h", &hoard::Command::Keep(10)).unwrap();
    assert_eq!(stage.call::<Hoard>("h", &hoard::Command::KeepTwice), Err(CallError::Crashed));
    assert_eq!(stage.view::<Hoard>("h"), json!(10));
}

#[test]
fn a_room_tells_its_subscribers_who_fell_silent() {
    let mut stage = Stage::of::<Room>();
    stage.call_json("room", "lobby", &json!({"join": {"member": "ann", "ttl_ms": 1000}})).unwrap();
    assert_eq!(stage.take_published().len(), 1);
    stage.crash();
    stage.advance(SECOND);
    let published = stage.take_published();
    assert_eq!((published.len(), published[0].revision), (1, 2));
    assert_eq!(published[0].item["left"]["expired"], true);
}

#[test]
fn a_volatile_kind_forgets_at_every_move() {
    let mut stage = Stage::of::<Limiter>();
    let take = json!({"take": {"capacity": 1, "refill_per_second": 1}});
    assert_eq!(stage.call_json("limiter", "l", &take).unwrap()["allowed"], true);
    assert_eq!(stage.call_json("limiter", "l", &take).unwrap()["allowed"], false);
    stage.fail_over();
    assert_eq!(stage.call_json("limiter", "l", &take).unwrap()["allowed"], true);
}

/// The receiver's effect and the cast's acknowledgement are two commits. A crash between them sends it again.
#[test]
fn a_cast_has_one_effect_also_when_it_is_sent_twice() {
    let mut stage = Stage::start(Release::new().kind::<Sender>().kind::<Counter>());
    stage.call::<Sender>("s", &sender::Command::AddTo("c".to_owned())).unwrap();
    let command = stage.casts().next().unwrap().command::<Counter>();
    assert_eq!(command, Some(add(1)));
    stage.crash();
    assert_eq!(stage.casts().count(), 1, "the outbox sends it again");
    assert!(stage.deliver_cast());
    assert!(!stage.deliver_cast());
    stage.crash();
    stage.settle();
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 1}));
}

#[test]
fn a_cast_that_nobody_can_take_becomes_a_dead_letter() {
    let mut stage = Stage::of::<Sender>();
    stage.call::<Sender>("s", &sender::Command::AddTo("c".to_owned())).unwrap();
    stage.settle();
    assert_eq!(stage.dead_letters()[0].target.to_string(), "counter/c");
}

#[tokio::test]
async fn spawned_work_comes_back_as_a_command_after_the_commit() {
    let mut stage = Stage::start(Release::new().kind::<Dozer>().kind::<Counter>());
    stage.stall();
    let dozing = stage.send::<Dozer>("d", &dozer::Command::Doze);
    assert_eq!(stage.spawned(), 0);
    stage.resume();
    assert_eq!((stage.spawned(), dozing.outcome().is_some()), (1, true));
    assert_eq!(stage.run_spawned().await, 2);
    assert_eq!(stage.view::<Dozer>("d"), json!({"dozed": 1, "woken": 1, "counted": 1}));
    assert_eq!(stage.view::<Counter>("naps"), json!({"value": 1}));

    stage.call::<Dozer>("d", &dozer::Command::Doze).unwrap();
    stage.fail_over();
    assert_eq!(stage.spawned(), 0, "spawned work is not durable");
}

#[test]
fn a_new_release_reads_what_an_old_one_wrote_and_not_the_other_way() {
    let mut stage = Stage::of::<OldGauge>();
    stage.call::<OldGauge>("g", &gauge::OldCommand::Set(20)).unwrap();
    stage.deploy(Release::new().kind::<Gauge>());
    assert_eq!(stage.view::<Gauge>("g"), json!({"celsius": 20, "sets": 0}));
    stage.call::<Gauge>("g", &gauge::Command::Set(21)).unwrap();

    stage.deploy(Release::new().kind::<OldGauge>());
    let unreadable = stage.call::<OldGauge>("g", &gauge::OldCommand::Set(1));
    assert!(matches!(unreadable, Err(CallError::UnreadableState { .. })));
    stage.deploy(Release::new().kind::<Gauge>());
    assert_eq!(stage.view::<Gauge>("g"), json!({"celsius": 21, "sets": 1}), "nothing was lost");
}

/// A flood must not fill the log with letters about itself.
#[test]
fn commands_without_room_are_counted_and_the_first_of_them_can_be_read() {
    let mut stage = Stage::of::<Counter>();
    let lost = LostCommand {
        kind: KindIndex(0),
        name: None,
        key: Key::new("c").unwrap(),
        body: Body::json(r#"{"add":1}"#).into(),
    };
    let lost = Lost { kept: vec![lost], more: [(0, 41)].into() };
    stage.deliver(Message::Lost(Box::new(lost)));
    let letters = stage.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].target.to_string(), "counter/c");
    assert_eq!(letters[0].body, Body::json(r#"{"add":1}"#));
    assert_eq!(letters[0].reason, "the mailbox of its shard was full");
    assert_eq!(stage.dead_letters_counted(), [("counter".to_owned(), 42)].into());
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 0}), "none of them was executed");
}
