//! Casts that have no effect at their target: each is one dead letter, whatever is lost on the way.

use bytes::Bytes;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Gauge, Hoard, OldGauge, Sender, add, gauge, hoard, sender};
use crate::{
    entity::{Entity, KindIndex},
    kinds::{Counter, counter},
    protocol::{Body, CallError, Key, KindName, Reply, ShardId, codec},
    shard::{Envelope, Lost, LostCommand, Message, More, Position, ReplyTo, StreamId},
    testing::{Release, Stage},
};

type Outcome = oneshot::Receiver<Result<Reply, CallError>>;

/// Gives the stage a cast of another shard.
fn cast_to(stage: &mut Stage, number: u64, kind: KindIndex, more: Option<Box<More>>, body: Body) -> Outcome {
    let (reply, outcome) = oneshot::channel();
    let position = Position { stream: StreamId::Shard(ShardId(7)), number, acknowledged: 0, generation: 1 };
    let (key, body, reply) = (Key::new("c").unwrap(), body.into(), ReplyTo::Caller(reply));
    let position = Some(Box::new(position));
    stage.deliver(Message::Command(Envelope { kind, key, body, reply, position, deadline: None, more }));
    outcome
}

fn cast(stage: &mut Stage, number: u64, body: &Body) -> Outcome {
    cast_to(stage, number, KindIndex(0), None, body.clone())
}

fn binary<C: serde::Serialize>(command: &C) -> Body {
    Body::binary(codec::encode(command).unwrap())
}

fn reasons(stage: &mut Stage) -> Vec<String> {
    stage.dead_letters().into_iter().map(|letter| letter.reason).collect()
}

/// That it had failed was said in an answer and nowhere else. When that was lost, and a later cast of the same shard had
/// been executed, the cast that was sent again counted as executed, too: it had no effect and was no dead letter.
#[test]
fn a_cast_that_failed_is_one_dead_letter_also_when_the_answer_is_lost() {
    let mut stage = Stage::start(Release::new().kind::<Sender>().kind::<Counter>());
    for counter in ["broken", "whole"] {
        stage.call::<Sender>("s", &sender::Command::AddTo(counter.to_owned())).unwrap();
    }
    stage.crash_next_handler();
    assert!(stage.deliver_cast_unheard() && stage.deliver_cast_unheard());
    for _ in 0..2 {
        stage.fail_over();
        stage.settle();
        let letters = stage.dead_letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].target.to_string(), "counter/broken");
        assert_eq!(letters[0].body, binary(&add(1)));
        assert_eq!(letters[0].reason, CallError::Crashed.to_string());
        assert_eq!(stage.view::<Counter>("broken"), json!({"value": 0}));
        assert_eq!(stage.view::<Counter>("whole"), json!({"value": 1}));
    }
    assert_eq!(stage.casts().count(), 0, "nothing is left to be sent again");
}

/// The letter and the place in the stream are one proposal: there are both, or neither and the cast is tried again.
#[test]
fn a_dead_letter_that_is_lost_is_written_when_the_cast_comes_again() {
    let mut stage = Stage::of::<Counter>();
    stage.stall();
    stage.crash_next_handler();
    let mut failed = cast(&mut stage, 1, &binary(&add(1)));
    let mut later = cast(&mut stage, 2, &binary(&add(10)));
    assert!(failed.try_recv().is_err(), "the answer waits for the letter");
    assert_eq!(stage.dead_letters_counted(), [].into(), "it is none before it is committed");
    stage.crash();
    assert_eq!(later.try_recv().unwrap(), Err(CallError::OutcomeUnknown));
    assert!(stage.dead_letters().is_empty());

    stage.crash_next_handler();
    for _ in 0..2 {
        cast(&mut stage, 1, &binary(&add(1))).try_recv().unwrap().unwrap();
        cast(&mut stage, 2, &binary(&add(10))).try_recv().unwrap().unwrap();
        assert_eq!(reasons(&mut stage), [CallError::Crashed.to_string()]);
        assert_eq!(stage.view::<Counter>("c"), json!({"value": 10}));
        stage.fail_over();
    }
    let counted = [(Counter::KIND.to_owned(), 1)];
    assert_eq!(stage.dead_letters_counted(), counted.into(), "once, by the leader that wrote it");
}

/// The next one in the stream has an effect, both come again, and again after a move.
fn is_one_letter(stage: &mut Stage, failing: &Body, fine: &Body, words: &str) {
    let before = reasons(stage).len();
    for _ in 0..2 {
        cast(stage, 10, failing).try_recv().unwrap().unwrap();
        cast(stage, 11, fine).try_recv().unwrap().unwrap();
        stage.fail_over();
    }
    let reasons = reasons(stage);
    assert_eq!(reasons.len(), before + 1, "{reasons:?}");
    assert!(reasons[before].contains(words), "{reasons:?}");
}

#[test]
fn whatever_a_cast_fails_of_is_written_down_by_its_target() {
    let nonsense = Body::json("7");
    is_one_letter(&mut Stage::of::<Counter>(), &nonsense, &binary(&add(1)), "is not a command");

    let mut hoard = Stage::of::<Hoard>();
    let (large, small) = (binary(&hoard::Command::Keep(2 << 20)), binary(&hoard::Command::Keep(1)));
    is_one_letter(&mut hoard, &large, &small, "are allowed");
    assert_eq!(hoard.view::<Hoard>("c"), json!(1));
}

#[test]
fn a_cast_to_a_quarantined_entity_is_one_dead_letter() {
    let mut stage = Stage::of::<Counter>();
    for _ in 0..4 {
        stage.crash_next_handler();
        assert_eq!(stage.call::<Counter>("c", &add(1)), Err(CallError::Crashed));
    }
    cast(&mut stage, 1, &binary(&add(1))).try_recv().unwrap().unwrap();
    // Executed elsewhere in the shard, by a leader that knows nothing of the crashes.
    stage.fail_over();
    cast(&mut stage, 2, &binary(&add(10))).try_recv().unwrap().unwrap();
    cast(&mut stage, 1, &binary(&add(1))).try_recv().unwrap().unwrap();
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 10}));
    let reasons = reasons(&mut stage);
    assert!(reasons.len() == 1 && reasons[0].contains("quarantined"), "{reasons:?}");
}

/// It could be read by the next leader; but then later casts would be overtaken.
#[test]
fn a_cast_that_another_release_could_take_stays_a_dead_letter() {
    let mut stage = Stage::of::<Gauge>();
    cast(&mut stage, 1, &binary(&gauge::Command::Set(1))).try_recv().unwrap().unwrap();
    stage.deploy(Release::new().kind::<OldGauge>());
    cast(&mut stage, 2, &binary(&gauge::Command::Set(2))).try_recv().unwrap().unwrap();
    stage.deploy(Release::new().kind::<Counter>());
    let more = More::naming(KindIndex::UNKNOWN, &KindName::new(Gauge::KIND).unwrap());
    let set = binary(&gauge::Command::Set(3));
    cast_to(&mut stage, 3, KindIndex::UNKNOWN, more, set.clone()).try_recv().unwrap().unwrap();

    stage.deploy(Release::new().kind::<Gauge>());
    for number in [2, 3] {
        let again = cast(&mut stage, number, &set).try_recv().unwrap().unwrap();
        assert_eq!(again.body, Bytes::new());
    }
    assert_eq!(stage.view::<Gauge>("c"), json!({"celsius": 1, "sets": 1}));
    let letters = stage.dead_letters();
    let bodies: Vec<_> = letters.iter().map(|letter| letter.body.clone()).collect();
    assert_eq!(bodies, [binary(&gauge::Command::Set(2)), set]);
    assert!(letters[0].reason.contains("cannot be read") && letters[1].reason.contains("has no kind"));
}

/// Refusing is what the entity does with it: an outcome, not a failure.
#[test]
fn a_refused_cast_is_no_dead_letter() {
    let mut stage = Stage::of::<Counter>();
    stage.call::<Counter>("c", &counter::Command::Set(i64::MAX)).unwrap();
    let refused = cast(&mut stage, 1, &binary(&add(1))).try_recv().unwrap();
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    assert!(stage.dead_letters().is_empty());
}

/// Each held its command as a whole: a few of the largest in one proposal were more than a frame takes, and no follower ever got
/// it.
#[test]
fn of_a_large_command_a_letter_keeps_the_beginning() {
    let mut stage = Stage::of::<Counter>();
    let large = || Body::json(format!("\"{}\"", "x".repeat(16 << 20)));
    let of_flood =
        || LostCommand { kind: KindIndex(0), name: None, key: Key::new("c").unwrap(), body: large().into() };
    let lost = Lost { kept: (0..8).map(|_| of_flood()).collect(), more: [].into() };
    stage.deliver(Message::Lost(Box::new(lost)));
    cast(&mut stage, 1, &large()).try_recv().unwrap().unwrap();
    let letters = stage.dead_letters();
    assert_eq!(letters.len(), 9);
    for letter in letters {
        assert_eq!(letter.body.bytes, large().bytes[..64 << 10]);
    }
}

/// A thousand of the largest would be 64 MB at the one that asks.
#[test]
fn of_large_dead_letters_the_newest_few_megabytes_are_shown() {
    let mut stage = Stage::of::<Counter>();
    let large = |number: u64| Body::json(format!("\"{number}{}\"", "x".repeat(60_000)));
    for number in 1..=100 {
        cast(&mut stage, number, &large(number)).try_recv().unwrap().unwrap();
    }
    let shown = stage.dead_letters();
    let bodies: Vec<_> = shown.iter().map(|letter| letter.body.clone()).collect();
    assert!(bodies == (31..=100).map(large).collect::<Vec<_>>(), "{} letters are shown", bodies.len());
    assert!(shown[0].reason.len() < 1_000, "it does not repeat the command");
}
