//! Promises of the executor that a review found broken. They were written after the mending.

#![allow(clippy::unwrap_used)] // A test that cannot go on ends.

use std::time::Duration;

use playhouse::{
    entity::{Context, Entity, NoEvents},
    kinds::{Limiter, limiter},
    protocol::Key,
    testing::{Release, Stage},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Counts its rings; an alarm that rings can stop another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Alarm {
    rung: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Command {
    Set(String, u64),
    /// Rings; the first name rang, the second is cancelled.
    Ring(String, Option<String>),
    SetStopping(String, u64, String),
    /// Changes nothing that is stored.
    CancelNothing {},
    Get {},
}

impl Entity for Alarm {
    const KIND: &'static str = "alarm";
    type Command = Command;
    type Reply = Vec<String>;
    type Event = NoEvents;
    type Error = std::convert::Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(
        &self,
        command: Command,
        context: &mut Context<'_, Self>,
    ) -> Result<Vec<String>, std::convert::Infallible> {
        let after = Duration::from_millis;
        match command {
            Command::Set(name, ms) => {
                let ring = Command::Ring(name.clone(), None);
                context.set_timer(&name, after(ms), &ring);
            }
            Command::SetStopping(name, ms, other) => {
                let ring = Command::Ring(name.clone(), Some(other));
                context.set_timer(&name, after(ms), &ring);
            }
            Command::Ring(name, stops) => {
                if let Some(other) = stops {
                    context.cancel_timer(&other);
                }
                context.state_mut(self).rung.push(name);
            }
            Command::CancelNothing {} => context.cancel_timer("nothing"),
            Command::Get {} => {}
        }
        Ok(self.rung.clone())
    }
}

/// All due timers were taken before the first of them ran, so a cancelled one rang all the same.
#[test]
fn a_timer_cancelled_by_another_of_the_same_time_does_not_fire() {
    let mut stage = Stage::of::<Alarm>();
    stage.call::<Alarm>("a", &Command::SetStopping("early".into(), 1_000, "late".into())).unwrap();
    stage.call::<Alarm>("a", &Command::Set("late".into(), 2_000)).unwrap();
    stage.advance(Duration::from_secs(5)); // Both are due by now.
    assert_eq!(stage.call::<Alarm>("a", &Command::Get {}), Ok(vec!["early".to_owned()]));
    assert!(stage.timers().is_empty());
}

/// Many timers that are due together fire in their order, each once.
#[test]
fn many_timers_of_one_time_fire_once_each() {
    let mut stage = Stage::of::<Alarm>();
    for number in 0..600 {
        let key = format!("a{number:03}");
        stage.call::<Alarm>(&key, &Command::Set("ring".into(), 1_000)).unwrap();
    }
    stage.advance(Duration::from_secs(2));
    stage.advance(Duration::from_secs(2));
    for number in [0, 255, 256, 599] {
        let key = format!("a{number:03}");
        assert_eq!(stage.call::<Alarm>(&key, &Command::Get {}), Ok(vec!["ring".to_owned()]), "{key}");
    }
}

/// A command that states an effect, but changes nothing stored, was answered only with the next write of the shard.
#[test]
fn a_write_that_changes_nothing_stored_is_answered() {
    let mut stage = Stage::of::<Alarm>();
    assert_eq!(stage.call::<Alarm>("a", &Command::CancelNothing {}), Ok(Vec::new()));
    assert_eq!(stage.call::<Alarm>("a", &Command::Get {}), Ok(Vec::new()));
    assert_eq!(stage.view::<Alarm>("a"), json!({"rung": []}));
}

/// The view of a volatile entity waited for a proposal that was never made, and it was never passivated.
#[test]
fn a_volatile_entity_can_be_seen_and_passivated() {
    let mut stage = Stage::start(Release::new().kind::<Limiter>());
    let take = serde_json::from_value::<limiter::Command>(
        json!({"take": {"tokens": 1, "capacity": 10, "refill_per_second": 1}}),
    )
    .unwrap();
    stage.call::<Limiter>("l", &take).unwrap();
    assert!(stage.view::<Limiter>("l").is_object());
    stage.advance(Duration::from_secs(3_600));
    stage.passivate();
    assert_eq!(stage.resident(), 0);
}

/// After its window a key names a new request. (Its bytes are counted in `src/shard/idempotency.rs`.)
#[test]
fn an_idempotency_key_may_be_used_again_after_its_window() {
    let mut stage = Stage::of::<Alarm>();
    let set = Command::Set("ring".into(), 10_000_000_000);
    for _ in 0..3 {
        stage.call_once::<Alarm>("key", "a", &set).unwrap();
        stage.advance(Duration::from_secs(3_600));
    }
    assert_eq!(stage.timers().len(), 1);
}
