//! `limiter`: a token bucket, in memory only.
//!
//! | command | reply |
//! |---|---|
//! | `{"take": {"tokens": 1, "capacity": 10, "refill_per_second": 0.5}}` | `{"allowed": true, "remaining": 9, "retry_after_ms": 0}` |
//! | the same, eleven times at once | `{"allowed": false, "remaining": 0, "retry_after_ms": 2000}` |
//!
//! A bucket holds at most `capacity` tokens, is full at first, and gains `refill_per_second`. The rule comes with each
//! command, so it can change at any time. Not allowed is a reply, not an error, and takes nothing; 0 tokens only look.
//!
//! The kind is `Volatile`: fast, but a bucket is full again after its shard moved or its node restarted, and while it
//! moves two may briefly answer. Do not count money with it.
//!
//! Refusals: `out_of_range` (422).

use serde::{Deserialize, Serialize};

use crate::{
    entity::{Context, Durability, Entity, NoEvents, Refusal},
    protocol::{Key, RefusalClass},
};

/// Largest bucket, in tokens.
pub const CAPACITY_MAX: u32 = 1_000_000_000;
/// Slowest refill: one token in about twelve days.
pub const REFILL_PER_SECOND_MIN: f64 = 1e-6;
/// Fastest refill, in tokens per second.
pub const REFILL_PER_SECOND_MAX: f64 = 1e9;

/// Less than this is rounding: who waits as long as it was told must be served.
const HAIR: f64 = 1e-6;

/// A token bucket, in memory only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limiter {
    /// Nothing while the bucket was never used: it is full, whatever its capacity.
    level: Option<Level>,
}

/// How many tokens there were at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Level {
    tokens: f64,
    at_ms: u64,
}

/// What a limiter can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Takes tokens, if there are enough.
    Take {
        /// How many, 0 to `capacity`; 1 if not given.
        #[serde(default = "one")]
        tokens: u32,
        /// How many the bucket holds, 1 to 1,000,000,000.
        capacity: u32,
        /// How many it gains per second, 0.000001 to 1,000,000,000.
        refill_per_second: f64,
    },
}

/// Whether the tokens were taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Whether they were. If not, none was.
    pub allowed: bool,
    /// How many whole tokens are left.
    pub remaining: u32,
    /// When there will be enough if nobody else takes any, in milliseconds from now.
    pub retry_after_ms: u64,
}

/// Why a limiter says no: the rule makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A number is not allowed.
    #[error(
        "tokens must be 0 to capacity, capacity 1 to {CAPACITY_MAX}, refill_per_second {REFILL_PER_SECOND_MIN} to {REFILL_PER_SECOND_MAX}"
    )]
    OutOfRange,
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        "out_of_range"
    }

    fn class(&self) -> RefusalClass {
        RefusalClass::Unprocessable
    }
}

impl Entity for Limiter {
    const KIND: &'static str = "limiter";
    const SUMMARY: &'static str = "A token bucket, in memory only.";
    const DURABILITY: Durability = Durability::Volatile;
    type Command = Command;
    type Reply = Taken;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Taken, Error> {
        let Command::Take { tokens, capacity, refill_per_second } = command;
        let is_rate = (REFILL_PER_SECOND_MIN..=REFILL_PER_SECOND_MAX).contains(&refill_per_second);
        if !is_rate || !(1..=CAPACITY_MAX).contains(&capacity) || tokens > capacity {
            return Err(Error::OutOfRange);
        }
        let level = self.at(context.now_ms(), f64::from(capacity), refill_per_second);
        let missing = f64::from(tokens) - level;
        if missing > HAIR {
            return Ok(Taken {
                allowed: false,
                remaining: whole(level),
                retry_after_ms: (missing / refill_per_second * 1_000.0).ceil().max(1.0) as u64,
            });
        }
        let left = (level - f64::from(tokens)).max(0.0);
        if tokens > 0 {
            context.save(Self { level: Some(Level { tokens: left, at_ms: context.now_ms() }) });
        }
        Ok(Taken { allowed: true, remaining: whole(left), retry_after_ms: 0 })
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"take": {"capacity": 10, "refill_per_second": 2}}),
            serde_json::json!({"take": {"tokens": 5, "capacity": 10, "refill_per_second": 0.5}}),
        ]
    }
}

impl Limiter {
    fn at(&self, now_ms: u64, capacity: f64, refill_per_second: f64) -> f64 {
        self.level.map_or(capacity, |level| {
            let gained = now_ms.saturating_sub(level.at_ms) as f64 * refill_per_second / 1_000.0;
            (level.tokens + gained).min(capacity)
        })
    }
}

fn whole(tokens: f64) -> u32 {
    (tokens + HAIR).floor() as u32
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::kinds::scene::Scene;

    const TAKE: &str = r#"{"take": {"capacity": 10, "refill_per_second": 0.5}}"#;

    #[test]
    fn a_bucket_empties_and_says_when_to_come_again() {
        let mut limiter = Scene::<Limiter>::new("ip");
        for remaining in (0..10).rev() {
            assert_eq!(
                limiter.ask(TAKE),
                json!({"allowed": true, "remaining": remaining, "retry_after_ms": 0})
            );
        }
        let refused = json!({"allowed": false, "remaining": 0, "retry_after_ms": 2000});
        assert_eq!(limiter.ask(TAKE), refused);
        limiter.advance(1_999);
        assert_eq!(limiter.ask(TAKE)["retry_after_ms"], 1);
        limiter.advance(1);
        assert_eq!(limiter.ask(TAKE)["allowed"], true);
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut limiter = Scene::<Limiter>::new("ip");
        limiter.ask(TAKE);
        limiter.advance(1_000_000_000);
        assert_eq!(limiter.ask(TAKE)["remaining"], 9);
        assert_eq!(
            limiter.ask(r#"{"take": {"tokens": 0, "capacity": 3, "refill_per_second": 1}}"#)["remaining"],
            3
        );
    }

    #[test]
    fn looking_takes_nothing() {
        let key = Key::new("ip").unwrap();
        let mut context = Context::detached(&key, 0, 0);
        let look = Command::Take { tokens: 0, capacity: 1, refill_per_second: 1.0 };
        assert!(Limiter::default().handle(look, &mut context).unwrap().allowed);
        assert!(!context.into_effects().is_write());
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let mut limiter = Scene::<Limiter>::new("ip");
        for rule in [
            r#"{"take": {"tokens": 11, "capacity": 10, "refill_per_second": 1}}"#,
            r#"{"take": {"tokens": 0, "capacity": 0, "refill_per_second": 1}}"#,
            r#"{"take": {"capacity": 10, "refill_per_second": 0}}"#,
            r#"{"take": {"capacity": 10, "refill_per_second": -1}}"#,
        ] {
            assert_eq!(limiter.try_ask(rule), Err(Error::OutOfRange), "{rule}");
        }
        let nan = Limiter::default().handle(
            Command::Take { tokens: 1, capacity: 1, refill_per_second: f64::NAN },
            &mut Context::detached(&Key::new("ip").unwrap(), 0, 0),
        );
        assert_eq!(nan, Err(Error::OutOfRange));
    }

    proptest! {
        /// In any span of time it allows no more than the bucket and what it gained, and who waits as told is served.
        #[test]
        fn it_allows_the_rate_and_no_more(
            capacity in 1..20u32,
            rate in 1..50u32,
            steps in proptest::collection::vec((0..5u32, 0..400u64), 1..100),
        ) {
            let mut limiter = Scene::<Limiter>::new("ip");
            let (start, refill_per_second) = (limiter.now_ms(), f64::from(rate));
            let mut taken = 0u32;
            for (tokens, ms) in steps {
                limiter.advance(ms);
                let take = Command::Take { tokens: tokens.min(capacity), capacity, refill_per_second };
                let mut reply = limiter.command(take.clone()).unwrap();
                if !reply.allowed {
                    limiter.advance(reply.retry_after_ms);
                    reply = limiter.command(take).unwrap();
                    prop_assert!(reply.allowed);
                }
                taken += tokens.min(capacity);
                let gained = (limiter.now_ms() - start) as f64 * refill_per_second / 1_000.0;
                prop_assert!(f64::from(taken) <= f64::from(capacity) + gained + 1e-3);
            }
        }
    }
}
