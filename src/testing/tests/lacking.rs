//! A shard that is led by a release which does not have a kind.

use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{Gauge, OldGauge, Sender, add, gauge, sender};
use crate::{
    entity::KindIndex,
    kinds::{Counter, Limiter, Room},
    protocol::{Body, CallError, Key, KindName, Page, Reply},
    shard::{Envelope, Message, More, Position, ReplyTo, StreamId},
    testing::{Release, Stage},
};

fn unknown(kind: &str) -> CallError {
    CallError::UnknownKind { kind: kind.to_owned() }
}

fn name(kind: &str) -> KindName {
    KindName::new(kind).unwrap()
}

/// A release that has other kinds than `counter`.
fn other() -> Release {
    Release::new().kind::<Sender>()
}

/// A command, as it comes from the router of another node.
fn numbered(kind: KindIndex, more: Option<Box<More>>, body: &str) -> (Message, Outcome) {
    let (reply, outcome) = oneshot::channel();
    let stream = StreamId::Router { node: 1, incarnation: 1 };
    let position = Position { stream, number: 1, acknowledged: 0, generation: 1 };
    let (key, body, reply) =
        (Key::new("c").unwrap(), Body::json(body.to_owned()).into(), ReplyTo::Caller(reply));
    let position = Some(Box::new(position));
    let envelope = Envelope { kind, key, body, reply, position, deadline: None, more };
    (Message::Command(envelope), outcome)
}

type Outcome = oneshot::Receiver<Result<Reply, CallError>>;

fn list(stage: &mut Stage, kind: &str, prefix: &str) -> Result<Page, CallError> {
    let (reply, mut page) = oneshot::channel();
    let (kind, prefix) = (name(kind), prefix.to_owned());
    stage.deliver(Message::List { kind, prefix, after: None, limit: 10, reply });
    page.try_recv().unwrap()
}

/// Gives the stage a command that nobody waits for.
fn post(stage: &mut Stage, kind: &str) {
    let (index, more) = (KindIndex::UNKNOWN, More::naming(KindIndex::UNKNOWN, &name(kind)));
    let (key, body, reply) = (Key::new("c").unwrap(), Body::json("1").into(), ReplyTo::Nobody);
    let (position, deadline) = (None, None);
    stage.deliver(Message::Command(Envelope { kind: index, key, body, reply, position, deadline, more }));
}

#[test]
fn whatever_is_asked_of_a_kind_that_the_leader_lacks_is_refused_and_changes_nothing() {
    let mut stage = Stage::of::<Counter>();
    stage.call::<Counter>("c", &add(1)).unwrap();
    stage.deploy(other());
    assert_eq!(stage.call_json("counter", "c", &json!({"add": 1})), Err(unknown("counter")));
    let (kind, key) = (name("counter"), Key::new("c").unwrap());
    let (reply, mut view) = oneshot::channel();
    stage.deliver(Message::View { kind: kind.clone(), key: key.clone(), reply });
    assert_eq!(view.try_recv().unwrap(), Err(unknown("counter")));
    let ((subscriber, _items), (reply, mut begun)) = (mpsc::channel(1), oneshot::channel());
    stage.deliver(Message::Subscribe { kind, key, after: None, subscriber, reply });
    assert_eq!(begun.try_recv().unwrap(), Err(unknown("counter")));

    stage.deploy(Release::new().kind::<Counter>());
    assert_eq!(stage.view::<Counter>("c"), json!({"value": 1}));
}

/// "Nothing happened" would be a lie.
#[test]
fn what_was_executed_before_gets_its_first_reply_from_a_leader_that_lacks_the_kind() {
    let mut stage = Stage::of::<Counter>();
    let first = stage.call_once::<Counter>("key", "c", &add(5)).unwrap();
    let (sent, mut outcome) = numbered(KindIndex(0), None, r#"{"add": 2}"#);
    stage.deliver(sent);
    let answered = outcome.try_recv().unwrap().unwrap();

    stage.deploy(other());
    assert_eq!(stage.call_once::<Counter>("key", "c", &add(5)), Ok(first));
    assert_eq!(stage.call_once::<Counter>("key", "c", &add(6)), Err(CallError::IdempotencyMismatch));
    assert_eq!(stage.call_once::<Counter>("another", "c", &add(5)), Err(unknown("counter")));
    let more = More::naming(KindIndex::UNKNOWN, &name("counter"));
    let (again, mut outcome) = numbered(KindIndex::UNKNOWN, more, r#"{"add": 2}"#);
    stage.deliver(again);
    assert_eq!(outcome.try_recv().unwrap(), Ok(answered));
}

#[test]
fn a_list_shows_what_others_wrote_of_a_kind_that_the_leader_lacks() {
    let mut stage = Stage::of::<Counter>();
    stage.call::<Counter>("c", &add(1)).unwrap();
    stage.deploy(other());
    assert_eq!(list(&mut stage, "counter", "").unwrap().entities, [(Key::new("c").unwrap(), 1)]);
    assert_eq!(list(&mut stage, "cuonter", ""), Err(unknown("cuonter")));
    assert_eq!(list(&mut stage, "sender", "").unwrap().entities, [], "it has this one");
    assert_eq!(
        list(&mut stage, "counter", "x").unwrap().entities,
        [],
        "that no key begins so says nothing of the kind"
    );
}

/// Every invented name would be one more label for ever.
#[test]
fn dead_letters_of_kinds_that_the_leader_lacks_are_counted_together() {
    let mut stage = Stage::start(other());
    stage.call::<Sender>("s", &sender::Command::AddTo("c".to_owned())).unwrap();
    stage.settle();
    post(&mut stage, "cuonter");
    let letters = stage.dead_letters();
    let targets: Vec<_> = letters.iter().map(|letter| letter.target.to_string()).collect();
    assert_eq!(targets, ["counter/c", "cuonter/c"]);
    assert!(letters.iter().all(|letter| letter.reason.contains("has no kind")), "{letters:?}");
    assert_eq!(stage.dead_letters_counted(), [("unknown".to_owned(), 2)].into());
}

/// A gateway that does not know the kind sends again what it cannot know to be `Volatile`; the memory of the leader keeps no
/// record of it.
#[test]
fn a_numbered_command_of_a_volatile_kind_is_executed_without_a_record() {
    let mut stage = Stage::of::<Limiter>();
    let take = json!({"take": {"capacity": 10, "refill_per_second": 1.0}}).to_string();
    let left = |stage: &mut Stage| {
        let (sent, mut outcome) = numbered(KindIndex(0), None, &take);
        stage.deliver(sent);
        outcome.try_recv().unwrap().unwrap().body
    };
    let [first, second] = [left(&mut stage), left(&mut stage)];
    assert_ne!(first, second, "both took a token");
}

/// Each of them was a write to all replicas and a line of the log, in the middle of a rolling update.
#[test]
fn of_a_flood_that_nobody_waits_for_a_few_letters_are_kept_and_all_are_counted() {
    let mut stage = Stage::start(other());
    for second in 1..=3 {
        (0..1_000).for_each(|_| post(&mut stage, "limiter"));
        let letters = stage.dead_letters();
        assert_eq!(letters.len(), 8 * second, "the first ones of each second");
        stage.advance(Duration::from_secs(1));
    }
    assert_eq!(stage.dead_letters_counted(), [("unknown".to_owned(), 3_000)].into());
}

/// During a rolling update an older release leads for a while. Whatever fell due meanwhile became a dead letter, and those who
/// set the next timer when one fires stopped for good.
#[test]
fn a_timer_waits_for_a_release_that_has_its_kind() {
    let mut stage = Stage::of::<Room>();
    stage.call_json("room", "lobby", &json!({"join": {"member": "ann", "ttl_ms": 5000}})).unwrap();
    stage.take_published();
    stage.deploy(other());
    stage.advance(Duration::from_secs(3_600));
    assert_eq!((stage.dead_letters(), stage.timers().len()), (vec![], 1));

    stage.deploy(Release::new().kind::<Room>());
    stage.advance(Duration::from_secs(60));
    let published = stage.take_published();
    assert_eq!((published.len(), stage.timers().len()), (1, 0));
    assert_eq!(published[0].item["left"]["expired"], true);
}

/// The state that a newer release wrote, or the command that it knows, is no reason either.
#[test]
fn a_timer_waits_for_a_release_that_can_read_it() {
    use gauge::Command::{Later, Set};
    let mut stage = Stage::of::<Gauge>();
    for (key, command) in [("state", Set(7)), ("command", Later(Box::new(Set(7))))] {
        stage.call::<Gauge>(key, &Set(1)).unwrap();
        stage.call::<Gauge>(key, &Later(Box::new(command))).unwrap();
    }
    stage.deploy(Release::new().kind::<OldGauge>());
    stage.advance(Duration::from_secs(3_600));
    assert_eq!((stage.dead_letters(), stage.timers().len()), (vec![], 2));

    stage.deploy(Release::new().kind::<Gauge>());
    stage.advance(Duration::from_secs(61));
    for key in ["state", "command"] {
        assert_eq!(stage.view::<Gauge>(key), json!({"celsius": 7, "sets": 2}));
    }
    assert_eq!((stage.dead_letters(), stage.timers().len()), (vec![], 0));
}
