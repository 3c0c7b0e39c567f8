//! `lease`: a distributed lock with an end and a fencing token.
//!
//! | command | reply |
//! |---|---|
//! | `{"acquire": {"owner": "w1", "ttl_ms": 5000}}` | `{"held": true, "owner": "w1", "token": 1, "until_ms": …}` |
//! | `{"renew": {"owner": "w1", "token": 1, "ttl_ms": 5000}}` | `{"held": true, "owner": "w1", "token": 1, "until_ms": …}` |
//! | `{"release": {"owner": "w1", "token": 1}}` | `{"held": false, "owner": null, "token": 1, "until_ms": null}` |
//! | `{"get": {}}` | `{"held": false, "owner": null, "token": 1, "until_ms": null}` |
//!
//! Each `acquire` that succeeds gives a larger token, for ever. A holder cannot know that its time is over while it
//! is paused; therefore it sends the token with whatever it writes, and who stores that refuses smaller tokens than
//! the largest seen. The same owner may acquire again, as after a restart: it gets a new token, its old one is over.
//!
//! Subscribers receive `{"acquired": {…}}`, `{"released": {"token": 1}}` and `{"expired": {"token": 1}}`.
//!
//! Refusals: `held`, `not_holder` (409), `bad_owner`, `out_of_range` (422).

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{
    entity::{Context, Entity, NoEvents, Refusal},
    protocol::{Key, RefusalClass},
};

/// Longest time to live: one day. Renew it instead.
pub const TTL_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Longest name of an owner, in bytes.
pub const OWNER_BYTES_MAX: usize = 128;

const EXPIRE: &str = "expire";

/// A distributed lock with an end and a fencing token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The last that was given. Outlives every holder.
    token: u64,
    holder: Option<Holder>,
}

/// Who has it, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    owner: CompactString,
    until_ms: u64,
}

/// What a lease can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Takes it, if it is free or already the owner's.
    Acquire {
        /// 1 to 128 bytes that name one holder among all.
        owner: CompactString,
        /// How long, 1 ms to one day.
        ttl_ms: u64,
    },
    /// Keeps it until `ttl_ms` from now.
    Renew {
        /// Who holds it.
        owner: CompactString,
        /// From `acquire`.
        token: u64,
        /// How long, 1 ms to one day.
        ttl_ms: u64,
    },
    /// Gives it back.
    Release {
        /// Who holds it.
        owner: CompactString,
        /// From `acquire`.
        token: u64,
    },
    /// Who holds it.
    Get {},
    /// Ends it if its time is over. The lease's own timer sends it; from others it is harmless.
    Expire {},
}

/// Who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether somebody does.
    pub held: bool,
    /// Who.
    pub owner: Option<CompactString>,
    /// The last fencing token that was given; 0 if none was.
    pub token: u64,
    /// When its time is over, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
}

/// What subscribers receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Somebody took it.
    Acquired {
        /// Who.
        owner: CompactString,
        /// With which token.
        token: u64,
    },
    /// It was given back.
    Released {
        /// The token that is over.
        token: u64,
    },
    /// Its time is over.
    Expired {
        /// The token that is over.
        token: u64,
    },
}

/// Why a lease says no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody else has it. Wait for its end, or subscribe.
    #[error("held by {owner} with token {token} for another {left_ms} ms")]
    Held {
        /// Who has it.
        owner: CompactString,
        /// The token.
        token: u64,
        /// How long it holds unless it is renewed.
        left_ms: u64,
    },
    /// The time is over, or somebody else has it by now. Stop what the lease was for.
    #[error("{owner} does not hold the lease with token {token}")]
    NotHolder {
        /// Who asked.
        owner: CompactString,
        /// With which token.
        token: u64,
    },
    /// The name is not allowed.
    #[error("an owner has a name of 1 to {OWNER_BYTES_MAX} bytes")]
    BadOwner,
    /// The time is not allowed.
    #[error("ttl_ms must be 1 to {TTL_MS_MAX}")]
    OutOfRange,
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::NotHolder { .. } => "not_holder",
            Self::BadOwner => "bad_owner",
            Self::OutOfRange => "out_of_range",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::Held { .. } | Self::NotHolder { .. } => RefusalClass::Conflict,
            Self::BadOwner | Self::OutOfRange => RefusalClass::Unprocessable,
        }
    }
}

impl Entity for Lease {
    const KIND: &'static str = "lease";
    const SUMMARY: &'static str = "A distributed lock with an end and a fencing token.";
    type Command = Command;
    type Reply = Standing;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Standing, Error> {
        let now = self.at(context.now_ms());
        let next = match command {
            Command::Get {} => return Ok(now.standing()),
            Command::Acquire { owner, ttl_ms } => now.acquired(owner, ttl_ms, context.now_ms())?,
            Command::Renew { owner, token, ttl_ms } => {
                now.expect_holder(&owner, token)?;
                now.held_by(owner, ttl_ms, context.now_ms())?
            }
            Command::Release { owner, token } => {
                now.expect_holder(&owner, token)?;
                Self { holder: None, ..now }
            }
            Command::Expire {} => now,
        };
        self.tell(&next, context);
        let standing = next.standing();
        self.become_next(next, context);
        Ok(standing)
    }

    fn show(&self) -> serde_json::Value {
        serde_json::to_value(self.standing()).unwrap_or(serde_json::Value::Null)
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"acquire": {"owner": "worker-1", "ttl_ms": 5000}}),
            serde_json::json!({"renew": {"owner": "worker-1", "token": 1, "ttl_ms": 5000}}),
            serde_json::json!({"release": {"owner": "worker-1", "token": 1}}),
            serde_json::json!({"get": {}}),
        ]
    }
}

impl Lease {
    /// The lease as it is at `now_ms`, whether or not the timer has come.
    fn at(&self, now_ms: u64) -> Self {
        let holder = self.holder.clone().filter(|holder| holder.until_ms > now_ms);
        Self { token: self.token, holder }
    }

    fn acquired(&self, owner: CompactString, ttl_ms: u64, now_ms: u64) -> Result<Self, Error> {
        if !(1..=OWNER_BYTES_MAX).contains(&owner.len()) {
            return Err(Error::BadOwner);
        }
        match &self.holder {
            Some(holder) if holder.owner != owner => Err(Error::Held {
                owner: holder.owner.clone(),
                token: self.token,
                left_ms: holder.until_ms - now_ms,
            }),
            _ => Self { token: self.token + 1, holder: None }.held_by(owner, ttl_ms, now_ms),
        }
    }

    fn held_by(&self, owner: CompactString, ttl_ms: u64, now_ms: u64) -> Result<Self, Error> {
        if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
            return Err(Error::OutOfRange);
        }
        let holder = Holder { owner, until_ms: now_ms.saturating_add(ttl_ms) };
        Ok(Self { token: self.token, holder: Some(holder) })
    }

    fn expect_holder(&self, owner: &CompactString, token: u64) -> Result<(), Error> {
        match &self.holder {
            Some(holder) if holder.owner == *owner && self.token == token => Ok(()),
            _ => Err(Error::NotHolder { owner: owner.clone(), token }),
        }
    }

    /// Tells subscribers how it came from here to `next`.
    fn tell(&self, next: &Self, context: &mut Context<'_, Self>) {
        let (token, new_token) = (self.token, next.token != self.token);
        if let Some(holder) = self.holder.as_ref().filter(|_| new_token || next.holder.is_none()) {
            let expired = holder.until_ms <= context.now_ms();
            context.publish(&if expired { Notice::Expired { token } } else { Notice::Released { token } });
        }
        if let Some(holder) = next.holder.as_ref().filter(|_| new_token) {
            context.publish(&Notice::Acquired { owner: holder.owner.clone(), token: next.token });
        }
    }

    fn become_next(&self, next: Self, context: &mut Context<'_, Self>) {
        let until_ms = |lease: &Self| lease.holder.as_ref().map(|holder| holder.until_ms);
        match until_ms(&next) {
            at_ms if at_ms == until_ms(self) => {}
            Some(at_ms) => context.set_timer_at(EXPIRE, at_ms, &Command::Expire {}),
            None => context.cancel_timer(EXPIRE),
        }
        if next != *self {
            context.save(next);
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            held: self.holder.is_some(),
            owner: self.holder.as_ref().map(|holder| holder.owner.clone()),
            token: self.token,
            until_ms: self.holder.as_ref().map(|holder| holder.until_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{entity::TimerChange, kinds::scene::Scene};

    fn acquire(owner: u8, ttl_ms: u64) -> Command {
        Command::Acquire { owner: owner.to_string().into(), ttl_ms }
    }

    #[test]
    fn one_holds_it_until_it_gives_it_back() {
        let mut lease = Scene::<Lease>::new("l");
        let until_ms = lease.now_ms() + 5_000;
        let held = json!({"held": true, "owner": "a", "token": 1, "until_ms": until_ms});
        assert_eq!(lease.ask(r#"{"acquire": {"owner": "a", "ttl_ms": 5000}}"#), held);
        assert!(matches!(lease.timers(), [TimerChange::Set { at_ms, .. }] if *at_ms == until_ms));
        let refused = lease.try_ask(r#"{"acquire": {"owner": "b", "ttl_ms": 5000}}"#);
        assert_eq!(refused, Err(Error::Held { owner: "a".into(), token: 1, left_ms: 5_000 }));
        assert_eq!(lease.ask(r#"{"get": {}}"#), held);

        lease.ask(r#"{"release": {"owner": "a", "token": 1}}"#);
        assert_eq!(lease.published(), [json!({"released": {"token": 1}})]);
        assert_eq!(lease.ask(r#"{"acquire": {"owner": "b", "ttl_ms": 5000}}"#)["token"], 2);
    }

    #[test]
    fn a_holder_whose_time_is_over_cannot_renew_or_release() {
        let mut lease = Scene::<Lease>::new("l");
        lease.ask(r#"{"acquire": {"owner": "a", "ttl_ms": 100}}"#);
        lease.advance(99);
        lease.ask(r#"{"renew": {"owner": "a", "token": 1, "ttl_ms": 100}}"#);
        assert!(lease.published().is_empty());
        lease.advance(100);
        let over = Err(Error::NotHolder { owner: "a".into(), token: 1 });
        assert_eq!(lease.try_ask(r#"{"renew": {"owner": "a", "token": 1, "ttl_ms": 100}}"#), over);
        assert_eq!(lease.try_ask(r#"{"release": {"owner": "a", "token": 1}}"#), over);

        lease.ask(r#"{"expire": {}}"#);
        assert_eq!(lease.published(), [json!({"expired": {"token": 1}})]);
        lease.ask(r#"{"expire": {}}"#);
        assert!(lease.published().is_empty());
    }

    /// A worker that restarted must not be locked out by itself, and its former life must be fenced off.
    #[test]
    fn the_same_owner_gets_a_new_token_and_loses_the_old_one() {
        let mut lease = Scene::<Lease>::new("l");
        lease.ask(r#"{"acquire": {"owner": "a", "ttl_ms": 100}}"#);
        assert_eq!(lease.ask(r#"{"acquire": {"owner": "a", "ttl_ms": 100}}"#)["token"], 2);
        assert_eq!(
            lease.published(),
            [json!({"released": {"token": 1}}), json!({"acquired": {"owner": "a", "token": 2}})]
        );
        assert!(lease.try_ask(r#"{"renew": {"owner": "a", "token": 1, "ttl_ms": 100}}"#).is_err());
    }

    #[test]
    fn names_and_times_out_of_range_are_refused() {
        let mut lease = Scene::<Lease>::new("l");
        assert_eq!(lease.try_ask(r#"{"acquire": {"owner": "", "ttl_ms": 1}}"#), Err(Error::BadOwner));
        assert_eq!(lease.try_ask(r#"{"acquire": {"owner": "a", "ttl_ms": 0}}"#), Err(Error::OutOfRange));
        assert_eq!(
            lease.try_ask(r#"{"acquire": {"owner": "a", "ttl_ms": 86400001}}"#),
            Err(Error::OutOfRange)
        );
    }

    proptest! {
        /// Two never hold it at the same time, and a token is never given twice.
        #[test]
        fn there_is_one_holder_and_tokens_only_grow(steps in proptest::collection::vec((0..3u8, 1..50u64, 0..4u8), 1..80)) {
            let mut lease = Scene::<Lease>::new("l");
            let mut holder: Option<(u8, u64, u64)> = None;
            let mut last_token = 0;
            for (owner, ms, action) in steps {
                holder = holder.filter(|(_, _, until)| *until > lease.now_ms());
                match action {
                    0 => lease.advance(ms),
                    1 => drop(lease.command(Command::Expire {})),
                    2 => {
                        let release = Command::Release { owner: owner.to_string().into(), token: last_token };
                        let released = lease.command(release).is_ok();
                        prop_assert_eq!(released, holder.is_some_and(|(held_by, token, _)| held_by == owner && token == last_token));
                        if released { holder = None; }
                    }
                    _ => match lease.command(acquire(owner, ms)) {
                        Ok(standing) => {
                            prop_assert!(holder.is_none_or(|(held_by, ..)| held_by == owner));
                            prop_assert!(standing.token > last_token);
                            last_token = standing.token;
                            holder = Some((owner, last_token, lease.now_ms() + ms));
                        }
                        Err(_) => prop_assert!(holder.is_some_and(|(held_by, ..)| held_by != owner)),
                    },
                }
            }
        }
    }
}
