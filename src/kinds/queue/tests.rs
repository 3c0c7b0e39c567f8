//! What a queue promises.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{entity::Change, kinds::scene::Scene, protocol::codec};

fn queue() -> Scene<Queue> {
    Scene::new("q")
}

fn ids(reply: &serde_json::Value, field: &str) -> Vec<u64> {
    reply[field].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

fn numbers(scene: &mut Scene<Queue>) -> [u64; 4] {
    let stats = scene.ask(r#"{"stats": {}}"#);
    ["ready", "delayed", "leased", "dead"].map(|field| stats[field].as_u64().unwrap())
}

#[test]
fn items_come_out_in_the_order_in_which_they_went_in() {
    let mut queue = queue();
    assert_eq!(queue.ask(r#"{"push": {"item": "name"}}"#), json!({"first_id": 1, "last_id": 1}));
    assert_eq!(queue.ask(r#"{"push_many": {"items": [2, null]}}"#), json!({"first_id": 2, "last_id": 3}));

    let leased = queue.ask(r#"{"lease": {"count": 2}}"#);
    let until_ms = queue.now_ms() + 30_000;
    assert_eq!(
        leased["leased"][0],
        json!({"id": 1, "item": "name", "token": 1, "attempts": 1, "until_ms": until_ms})
    );
    assert_eq!(ids(&leased, "leased"), [1, 2]);
    assert_eq!(ids(&queue.ask(r#"{"lease": {"count": 2}}"#), "leased"), [3]);
    assert_eq!(queue.ask(r#"{"lease": {}}"#), json!({"leased": []}));
}

#[test]
fn an_acknowledged_item_is_gone_and_its_token_with_it() {
    let mut queue = queue();
    queue.ask(r#"{"push": {"item": 1}}"#);
    queue.ask(r#"{"lease": {"visibility_ms": 100}}"#);
    assert_eq!(queue.ask(r#"{"ack": {"token": 1}}"#), json!({"acked": 1}));
    queue.advance(1_000);
    assert_eq!(numbers(&mut queue), [0, 0, 0, 0]);
    assert_eq!(queue.try_ask(r#"{"ack": {"token": 1}}"#), Err(Error::UnknownToken { token: 1 }));
    assert_eq!(queue.ask(r#"{"stats": {}}"#)["bytes"], 0);
}

#[test]
fn a_lease_that_lapsed_gives_the_item_back_at_its_old_place() {
    let mut queue = queue();
    queue.ask(r#"{"push_many": {"items": [1, 2]}}"#);
    queue.ask(r#"{"lease": {"visibility_ms": 100}}"#);
    queue.advance(99);
    assert_eq!(numbers(&mut queue), [1, 0, 1, 0]);
    queue.advance(1);
    assert_eq!(numbers(&mut queue), [2, 0, 0, 0]);
    assert_eq!(queue.try_ask(r#"{"ack": {"token": 1}}"#), Err(Error::UnknownToken { token: 1 }));

    let again = queue.ask(r#"{"lease": {}}"#);
    assert_eq!((&again["leased"][0]["id"], &again["leased"][0]["attempts"]), (&json!(1), &json!(2)));
}

#[test]
fn an_extended_lease_lapses_later() {
    let mut queue = queue();
    queue.ask(r#"{"push": {"item": 1}}"#);
    queue.ask(r#"{"lease": {"visibility_ms": 100}}"#);
    queue.advance(99);
    let until_ms = queue.now_ms() + 100;
    assert_eq!(
        queue.ask(r#"{"extend": {"token": 1, "visibility_ms": 100}}"#),
        json!({"extended": 1, "until_ms": until_ms})
    );
    queue.advance(99);
    assert_eq!(numbers(&mut queue), [0, 0, 1, 0]);
}

#[test]
fn an_item_that_fails_too_often_becomes_a_dead_letter_until_it_is_redriven() {
    let mut queue = queue();
    queue.ask(r#"{"configure": {"max_attempts": 2, "visibility_ms": 100}}"#);
    queue.ask(r#"{"push": {"item": "poison"}}"#);
    queue.ask(r#"{"lease": {}}"#);
    assert_eq!(queue.ask(r#"{"nack": {"token": 1, "delay_ms": 5}}"#), json!({"nacked": 1, "dead": false}));
    assert_eq!(numbers(&mut queue), [0, 1, 0, 0]);
    queue.advance(5);
    queue.ask(r#"{"lease": {}}"#);
    queue.advance(100);
    let died_at_ms = queue.now_ms();
    queue.advance(7);
    assert_eq!(numbers(&mut queue), [0, 0, 0, 1]);
    assert_eq!(
        queue.ask(r#"{"dead_letters": {}}"#)["dead_letters"][0],
        json!({"id": 1, "item": "poison", "attempts": 2, "died_at_ms": died_at_ms})
    );

    assert_eq!(queue.ask(r#"{"redrive": {}}"#), json!({"redriven": 1}));
    assert_eq!(queue.ask(r#"{"lease": {}}"#)["leased"][0]["attempts"], 1);
}

#[test]
fn a_full_queue_refuses_and_keeps_what_it_has() {
    let mut queue = queue();
    let large = json!({"push": {"item": "x".repeat(BYTES_MAX / 2)}}).to_string();
    queue.ask(&large);
    assert!(matches!(queue.try_ask(&large), Err(Error::Full { items: 1, .. })));
    let huge = json!({"push": {"item": "x".repeat(BYTES_MAX)}}).to_string();
    assert!(matches!(queue.try_ask(&huge), Err(Error::ItemTooLarge { .. })));
    assert_eq!(numbers(&mut queue), [1, 0, 0, 0]);

    queue.ask(r#"{"purge": {}}"#);
    let many = json!({"push_many": {"items": vec![1; 1_000]}}).to_string();
    (0..10).for_each(|_| drop(queue.ask(&many)));
    assert!(matches!(queue.try_ask(r#"{"push": {"item": 1}}"#), Err(Error::Full { items: 10_000, .. })));
}

/// An entity's state is limited to 1 MiB; the queue must refuse before the node does.
#[test]
fn the_fullest_queue_fits_into_the_state_limit() {
    let mut queue = Queue::default();
    let item = "x".repeat(BYTES_MAX / ITEMS_MAX - ITEM_OVERHEAD_BYTES - 2);
    let item = Json::new(&json!(item)).unwrap();
    let far = u64::MAX >> 8;
    (queue.last_id, queue.last_token) = (far, far);
    queue.apply(Event::Pushed { items: vec![item; ITEMS_MAX], visible_at_ms: far });
    let ids = (1..=LEASES_MAX as u64).map(|n| far + n).collect();
    let consumer = Some("c".repeat(CONSUMER_BYTES_MAX).into());
    queue.apply(Event::Leased { ids, until_ms: far, consumer });
    assert!(queue.bytes <= BYTES_MAX && queue.leases.len() == LEASES_MAX);
    assert!(codec::encode(&queue).unwrap().len() < 1 << 20);
}

#[test]
fn leases_are_bounded() {
    let mut queue = queue();
    let many = json!({"push_many": {"items": vec![1; 1_000]}}).to_string();
    queue.ask(&many);
    queue.ask(&many);
    (0..10).for_each(|_| drop(queue.ask(r#"{"lease": {"count": 100}}"#)));
    assert_eq!(queue.try_ask(r#"{"lease": {}}"#), Err(Error::TooManyLeases));
    queue.advance(30_000);
    assert_eq!(ids(&queue.ask(r#"{"lease": {}}"#), "leased"), [1]);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut queue = queue();
    for command in [
        r#"{"lease": {"count": 0}}"#,
        r#"{"lease": {"count": 101}}"#,
        r#"{"lease": {"visibility_ms": 0}}"#,
        r#"{"push": {"item": 1, "delay_ms": 18446744073709551615}}"#,
        r#"{"push_many": {"items": []}}"#,
        r#"{"configure": {"max_attempts": 0}}"#,
        r#"{"peek": {"limit": 1001}}"#,
    ] {
        assert!(matches!(queue.try_ask(command), Err(Error::OutOfRange { .. })), "{command}");
    }
}

#[test]
fn purging_removes_what_was_named() {
    let mut queue = queue();
    queue.ask(r#"{"configure": {"max_attempts": 1}}"#);
    queue.ask(r#"{"push_many": {"items": [1, 2, 3]}}"#);
    queue.ask(r#"{"lease": {"count": 2}}"#);
    queue.ask(r#"{"nack": {"token": 1}}"#);
    assert_eq!(numbers(&mut queue), [1, 0, 1, 1]);
    assert_eq!(queue.ask(r#"{"purge": {"what": "dead"}}"#), json!({"purged": 1}));
    assert_eq!(queue.ask(r#"{"purge": {"what": "waiting"}}"#), json!({"purged": 1}));
    assert_eq!(numbers(&mut queue), [0, 0, 1, 0]);
    assert_eq!(queue.ask(r#"{"purge": {}}"#), json!({"purged": 1}));
    assert_eq!(queue.ask(r#"{"stats": {}}"#)["bytes"], 0);
}

/// Looking must not cost a commit, also when something lapsed meanwhile.
#[test]
fn reads_and_empty_leases_state_nothing() {
    let key = Key::new("q").unwrap();
    let mut queue = Queue::default();
    queue.apply(Event::Pushed { items: vec![Json::default()], visible_at_ms: 0 });
    queue.apply(Event::Leased { ids: vec![1], until_ms: 10, consumer: None });
    for command in [Command::Stats {}, Command::Peek { limit: 1 }, Command::DeadLetters { limit: 1 }] {
        let mut context = Context::detached(&key, 20, 2);
        queue.handle(command, &mut context).unwrap();
        assert!(matches!(context.into_effects().change, Change::Keep));
    }
}

/// What a step of the property test does.
#[derive(Clone, Debug)]
enum Step {
    Push { count: usize, delay_ms: u64 },
    Lease { count: u32, visibility_ms: u64 },
    Ack(usize),
    Nack { which: usize, delay_ms: u64 },
    Extend { which: usize, visibility_ms: u64 },
    Redrive,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..4usize, 0..10u64).prop_map(|(count, delay_ms)| Step::Push { count, delay_ms }),
        3 => (1..4u32, 1..20u64).prop_map(|(count, visibility_ms)| Step::Lease { count, visibility_ms }),
        2 => any::<usize>().prop_map(Step::Ack),
        2 => (any::<usize>(), 0..10u64).prop_map(|(which, delay_ms)| Step::Nack { which, delay_ms }),
        1 => (any::<usize>(), 1..20u64).prop_map(|(which, visibility_ms)| Step::Extend { which, visibility_ms }),
        1 => Just(Step::Redrive),
        3 => (0..15u64).prop_map(Step::Wait),
    ]
}

/// Where the model has an item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waiting { from_ms: u64 },
    Leased { token: u64, until_ms: u64 },
    Dead,
    Done,
}

/// The queue as a list that is walked through for everything.
#[derive(Default)]
struct Model {
    items: Vec<(u32, Place)>,
    tokens: u64,
}

const MAX_ATTEMPTS: u32 = 3;

impl Model {
    fn fail(item: &mut (u32, Place), from_ms: u64) {
        item.1 = if item.0 >= MAX_ATTEMPTS { Place::Dead } else { Place::Waiting { from_ms } };
    }

    fn pass(&mut self, now: u64) {
        for item in &mut self.items {
            if matches!(item.1, Place::Leased { until_ms, .. } if until_ms <= now) {
                Self::fail(item, 0);
            }
        }
    }

    fn lease(&mut self, now: u64, count: u32, until_ms: u64) -> Vec<u64> {
        let mut leased = Vec::new();
        for (at, item) in self.items.iter_mut().enumerate() {
            let visible = matches!(item.1, Place::Waiting { from_ms } if from_ms <= now);
            if visible && leased.len() < count as usize {
                self.tokens += 1;
                *item = (item.0 + 1, Place::Leased { token: self.tokens, until_ms });
                leased.push(at as u64 + 1);
            }
        }
        leased
    }

    fn held(&mut self, token: u64) -> Option<&mut (u32, Place)> {
        self.items
            .iter_mut()
            .find(|item| matches!(item.1, Place::Leased { token: held, .. } if held == token))
    }

    fn numbers(&self, now: u64) -> [u64; 4] {
        let count =
            |wanted: &dyn Fn(Place) -> bool| self.items.iter().filter(|item| wanted(item.1)).count() as u64;
        [
            count(&|place| matches!(place, Place::Waiting { from_ms } if from_ms <= now)),
            count(&|place| matches!(place, Place::Waiting { from_ms } if from_ms > now)),
            count(&|place| matches!(place, Place::Leased { .. })),
            count(&|place| place == Place::Dead),
        ]
    }
}

proptest! {
    /// Whatever happens, it does what a list would do that is walked through at each command.
    #[test]
    fn it_behaves_like_a_list(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut queue, mut model) = (queue(), Model::default());
        queue.ask(r#"{"configure": {"max_attempts": 3}}"#);
        for step in steps {
            let now = queue.now_ms();
            model.pass(now);
            let token_of = |which: usize, model: &Model| 1 + (which as u64) % (model.tokens + 1);
            match step {
                Step::Wait(ms) => queue.advance(ms),
                Step::Push { count, delay_ms } => {
                    let items = vec![Json::default(); count];
                    queue.command(Command::PushMany { items, delay_ms }).unwrap();
                    model.items.extend(vec![(0, Place::Waiting { from_ms: now + delay_ms }); count]);
                }
                Step::Lease { count, visibility_ms } => {
                    let lease = Command::Lease { count, visibility_ms: Some(visibility_ms), consumer: None };
                    let leased = serde_json::to_value(queue.command(lease).unwrap()).unwrap();
                    prop_assert_eq!(ids(&leased, "leased"), model.lease(now, count, now + visibility_ms));
                }
                Step::Ack(which) => {
                    let token = token_of(which, &model);
                    let acked = queue.command(Command::Ack { token }).is_ok();
                    let held = model.held(token);
                    prop_assert_eq!(acked, held.is_some());
                    if let Some(item) = held { item.1 = Place::Done; }
                }
                Step::Nack { which, delay_ms } => {
                    let token = token_of(which, &model);
                    let nacked = queue.command(Command::Nack { token, delay_ms }).is_ok();
                    let held = model.held(token);
                    prop_assert_eq!(nacked, held.is_some());
                    if let Some(item) = held { Model::fail(item, now + delay_ms); }
                }
                Step::Extend { which, visibility_ms } => {
                    let token = token_of(which, &model);
                    let extend = Command::Extend { token, visibility_ms: Some(visibility_ms) };
                    let extended = queue.command(extend).is_ok();
                    let held = model.held(token);
                    prop_assert_eq!(extended, held.is_some());
                    if let Some(item) = held { item.1 = Place::Leased { token, until_ms: now + visibility_ms }; }
                }
                Step::Redrive => {
                    queue.ask(r#"{"redrive": {}}"#);
                    for item in model.items.iter_mut().filter(|item| item.1 == Place::Dead) {
                        *item = (0, Place::Waiting { from_ms: 0 });
                    }
                }
            }
            let now = queue.now_ms();
            model.pass(now);
            prop_assert_eq!(numbers(&mut queue), model.numbers(now));
            let bytes = queue.ask(r#"{"stats": {}}"#)["bytes"].as_u64().unwrap();
            let left = model.items.iter().filter(|item| item.1 != Place::Done).count();
            prop_assert_eq!(bytes, left as u64 * (4 + ITEM_OVERHEAD_BYTES as u64));
        }
    }
}
