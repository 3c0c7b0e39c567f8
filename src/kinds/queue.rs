//! `queue`: first in, first out, durable; items are leased, then acknowledged.
//!
//! | command | reply |
//! |---|---|
//! | `{"push": {"item": "a"}}`, with `"delay_ms": 1000` | `{"first_id": 1, "last_id": 1}` |
//! | `{"push_many": {"items": ["b", "c"]}}` | `{"first_id": 2, "last_id": 3}` |
//! | `{"lease": {"count": 1, "visibility_ms": 5000, "consumer": "w1"}}` | `{"leased": [{"id": 1, "item": "a", "token": 1, "attempts": 1, "until_ms": …}]}` |
//! | `{"ack": {"token": 1}}` | `{"acked": 1}` |
//! | `{"nack": {"token": 2, "delay_ms": 1000}}` | `{"nacked": 2, "dead": false}` |
//! | `{"extend": {"token": 2, "visibility_ms": 5000}}` | `{"extended": 2, "until_ms": …}` |
//! | `{"peek": {"limit": 10}}` | `{"waiting": [{"id": 2, "item": "b", "attempts": 1, "visible_at_ms": …}]}` |
//! | `{"stats": {}}` | `{"ready": 1, "delayed": 1, "leased": 0, "dead": 0, "bytes": 70, "next_visible_at_ms": …}` |
//! | `{"dead_letters": {"limit": 10}}` | `{"dead_letters": [{"id": 2, "item": "b", "attempts": 5, "died_at_ms": …}]}` |
//! | `{"redrive": {"limit": 10}}` | `{"redriven": 1}` |
//! | `{"purge": {"what": "dead"}}` (`waiting`, `all`) | `{"purged": 0}` |
//! | `{"configure": {"max_attempts": 5, "visibility_ms": 30000}}` | `{"max_attempts": 5, "visibility_ms": 30000}` |
//!
//! A lease that is neither acknowledged nor extended lapses, and its item is visible again at its old place; after
//! `max_attempts` leases it becomes a dead letter instead. Delivery is therefore at least once. Time is taken from
//! the clock whenever the queue is asked, without timers: nobody can tell the difference.
//!
//! Refusals: `queue_full`, `too_many_leases`, `unknown_token` (409), `item_too_large`, `out_of_range` (422).

mod command;
mod error;
mod event;
mod reply;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use command::{Command, What};
pub use error::Error;
pub use event::Event;
pub use reply::{
    Acked, DeadLetter, DeadLetters, Extended, Leased, LeasedItem, Nacked, Peeked, Purged, Pushed, Redriven,
    Reply, Stats, WaitingItem,
};

use crate::{
    entity::{Context, Entity},
    protocol::{Json, Key},
};

/// Most items in one queue, dead letters included.
pub const ITEMS_MAX: usize = 10_000;
/// Most bytes in one queue: the compact JSON of its items and [`ITEM_OVERHEAD_BYTES`] for each.
pub const BYTES_MAX: usize = 900_000;
/// What an item costs besides its JSON.
pub const ITEM_OVERHEAD_BYTES: usize = 32;
/// Most items that are leased at the same time.
pub const LEASES_MAX: usize = 1_000;
/// Most items that one command pushes, shows or redrives.
pub const COUNT_MAX: u32 = 1_000;
/// Most items that one command leases.
pub const LEASE_COUNT_MAX: u32 = 100;
/// Longest visibility timeout and longest delay: 7 days.
pub const MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Longest name of a consumer, in bytes.
pub const CONSUMER_BYTES_MAX: usize = 64;

/// First in, first out, durable; items are leased, then acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    settings: Settings,
    /// The number of the item that was pushed last.
    last_id: u64,
    /// The token that was given last. Never given again.
    last_token: u64,
    /// What the items cost, see [`BYTES_MAX`].
    bytes: usize,
    /// By number: the order in which they were pushed.
    waiting: BTreeMap<u64, Waiting>,
    /// By token.
    leases: BTreeMap<u64, Lease>,
    /// By number.
    dead: BTreeMap<u64, Dead>,
}

/// How a queue treats its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How often an item is leased before it becomes a dead letter. A lease keeps the rule under which it was given.
    pub max_attempts: u32,
    /// How long a lease holds if the command does not say, in milliseconds.
    pub visibility_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_attempts: 5, visibility_ms: 30_000 }
    }
}

/// An item that is not leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    item: Json,
    attempts: u32,
    visible_at_ms: u64,
}

/// An item in the hands of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    id: u64,
    item: Json,
    attempts: u32,
    until_ms: u64,
    /// If it fails, the item becomes a dead letter.
    is_last: bool,
    consumer: Option<CompactString>,
}

/// An item that failed too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Dead {
    item: Json,
    attempts: u32,
    died_at_ms: u64,
}

impl Entity for Queue {
    const KIND: &'static str = "queue";
    const SUMMARY: &'static str = "First in, first out; items are leased, then acknowledged.";
    const IMAGE_EVERY_EVENTS: u32 = 500;
    type Command = Command;
    type Reply = Reply;
    type Event = Event;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        let queue = self.settled(context.now_ms());
        if let Some(reply) = queue.read(&command, context.now_ms())? {
            return Ok(reply);
        }
        if let Cow::Owned(_) = queue {
            context.emit(Event::Settled { at_ms: context.now_ms() });
        }
        queue.write(command, context)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Settled { at_ms } => self.settle(at_ms),
            Event::Configured(settings) => self.settings = settings,
            Event::Pushed { items, visible_at_ms } => {
                items.into_iter().for_each(|item| self.pushed(item, visible_at_ms));
            }
            Event::Leased { ids, until_ms, consumer } => {
                ids.into_iter().for_each(|id| self.leased(id, until_ms, consumer.clone()));
            }
            Event::Acked { token } => self.acked(token),
            Event::Nacked { token, at_ms, visible_at_ms } => self.failed(token, at_ms, visible_at_ms),
            Event::Extended { token, until_ms } => {
                if let Some(lease) = self.leases.get_mut(&token) {
                    lease.until_ms = until_ms;
                }
            }
            Event::Redriven { ids } => ids.into_iter().for_each(|id| self.redriven(id)),
            Event::Purged { what } => self.purged(what),
        }
    }

    /// Numbers as of the last change: the items themselves are behind `peek`.
    fn show(&self) -> serde_json::Value {
        serde_json::json!({
            "settings": self.settings,
            "waiting": self.waiting.len(),
            "leased": self.leases.len(),
            "dead": self.dead.len(),
            "bytes": self.bytes,
        })
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"push": {"item": "a"}}),
            serde_json::json!({"push_many": {"items": ["b", {"c": 1}], "delay_ms": 1000}}),
            serde_json::json!({"lease": {"count": 10, "visibility_ms": 5000, "consumer": "worker-1"}}),
            serde_json::json!({"ack": {"token": 1}}),
            serde_json::json!({"nack": {"token": 2, "delay_ms": 1000}}),
            serde_json::json!({"extend": {"token": 2, "visibility_ms": 5000}}),
            serde_json::json!({"peek": {"limit": 10}}),
            serde_json::json!({"stats": {}}),
            serde_json::json!({"dead_letters": {"limit": 10}}),
            serde_json::json!({"redrive": {"limit": 10}}),
            serde_json::json!({"purge": {"what": "dead"}}),
            serde_json::json!({"configure": {"max_attempts": 3, "visibility_ms": 60_000}}),
        ]
    }
}

/// What handlers do: they look, and state events.
impl Queue {
    /// The queue as it is at `now_ms`: leases that lapsed by then are gone. Copied only if there are any.
    fn settled(&self, now_ms: u64) -> Cow<'_, Self> {
        if self.leases.values().all(|lease| lease.until_ms > now_ms) {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle(now_ms);
        Cow::Owned(settled)
    }

    fn read(&self, command: &Command, now_ms: u64) -> Result<Option<Reply>, Error> {
        Ok(Some(match command {
            Command::Peek { limit } => Reply::Peeked(self.peek(in_range("limit", *limit, COUNT_MAX)?)),
            Command::Stats {} => Reply::Stats(self.stats(now_ms)),
            Command::DeadLetters { limit } => {
                Reply::DeadLetters(self.dead_letters(in_range("limit", *limit, COUNT_MAX)?))
            }
            _ => return Ok(None),
        }))
    }

    fn write(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        let now_ms = context.now_ms();
        match command {
            Command::Push { item, delay_ms } => self.push(vec![item], delay_ms, context),
            Command::PushMany { items, delay_ms } => self.push(items, delay_ms, context),
            Command::Lease { count, visibility_ms, consumer } => {
                self.lease(count, visibility_ms, consumer, context)
            }
            Command::Ack { token } => {
                let acked = self.lease_of(token)?.id;
                context.emit(Event::Acked { token });
                Ok(Reply::Acked(Acked { acked }))
            }
            Command::Nack { token, delay_ms } => {
                let lease = self.lease_of(token)?;
                let visible_at_ms = now_ms + delay("delay_ms", delay_ms)?;
                context.emit(Event::Nacked { token, at_ms: now_ms, visible_at_ms });
                Ok(Reply::Nacked(Nacked { nacked: lease.id, dead: lease.is_last }))
            }
            Command::Extend { token, visibility_ms } => {
                let extended = self.lease_of(token)?.id;
                let until_ms = now_ms + self.visibility(visibility_ms)?;
                context.emit(Event::Extended { token, until_ms });
                Ok(Reply::Extended(Extended { extended, until_ms }))
            }
            Command::Redrive { limit } => self.redrive(limit, context),
            Command::Purge { what } => {
                context.emit(Event::Purged { what });
                Ok(Reply::Purged(Purged { purged: self.count(what) }))
            }
            Command::Configure { max_attempts, visibility_ms } => {
                self.configure(max_attempts, visibility_ms, context)
            }
            Command::Peek { .. } | Command::Stats {} | Command::DeadLetters { .. } => {
                unreachable!("reads were answered before")
            }
        }
    }

    fn push(&self, items: Vec<Json>, delay_ms: u64, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let count = u64::from(in_range("items", count, COUNT_MAX)?);
        let visible_at_ms = context.now_ms() + delay("delay_ms", delay_ms)?;
        self.expect_room(&items)?;
        context.emit(Event::Pushed { items, visible_at_ms });
        Ok(Reply::Pushed(Pushed { first_id: self.last_id + 1, last_id: self.last_id + count }))
    }

    fn expect_room(&self, items: &[Json]) -> Result<(), Error> {
        if let Some(bytes) = items.iter().map(cost).find(|bytes| *bytes > BYTES_MAX) {
            return Err(Error::ItemTooLarge { bytes });
        }
        let bytes = self.bytes + items.iter().map(cost).sum::<usize>();
        if bytes > BYTES_MAX || self.len() + items.len() > ITEMS_MAX {
            return Err(Error::Full { items: self.len(), bytes: self.bytes });
        }
        Ok(())
    }

    fn lease(
        &self,
        count: u32,
        visibility_ms: Option<u64>,
        consumer: Option<CompactString>,
        context: &mut Context<'_, Self>,
    ) -> Result<Reply, Error> {
        let count = in_range("count", count, LEASE_COUNT_MAX)? as usize;
        let until_ms = context.now_ms() + self.visibility(visibility_ms)?;
        check("consumer", consumer.as_ref().map_or(1, |name| name.len() as u64), CONSUMER_BYTES_MAX as u64)?;
        let room = LEASES_MAX.saturating_sub(self.leases.len());
        if room == 0 {
            return Err(Error::TooManyLeases);
        }
        let chosen = self.waiting.iter().filter(|(_, waiting)| waiting.visible_at_ms <= context.now_ms());
        let leased: Vec<LeasedItem> = (self.last_token + 1..)
            .zip(chosen.take(count.min(room)))
            .map(|(token, (id, waiting))| waiting.leased(*id, token, until_ms))
            .collect();
        if !leased.is_empty() {
            let ids = leased.iter().map(|item| item.id).collect();
            context.emit(Event::Leased { ids, until_ms, consumer });
        }
        Ok(Reply::Leased(Leased { leased }))
    }

    fn redrive(&self, limit: u32, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        let limit = in_range("limit", limit, COUNT_MAX)?;
        let ids: Vec<u64> = self.dead.keys().take(limit as usize).copied().collect();
        let redriven = ids.len();
        if redriven > 0 {
            context.emit(Event::Redriven { ids });
        }
        Ok(Reply::Redriven(Redriven { redriven }))
    }

    fn configure(
        &self,
        max_attempts: Option<u32>,
        visibility_ms: Option<u64>,
        context: &mut Context<'_, Self>,
    ) -> Result<Reply, Error> {
        let max_attempts = max_attempts.unwrap_or(self.settings.max_attempts);
        let settings = Settings {
            max_attempts: in_range("max_attempts", max_attempts, COUNT_MAX)?,
            visibility_ms: self.visibility(visibility_ms)?,
        };
        context.emit(Event::Configured(settings));
        Ok(Reply::Settings(settings))
    }

    fn lease_of(&self, token: u64) -> Result<&Lease, Error> {
        self.leases.get(&token).ok_or(Error::UnknownToken { token })
    }

    fn visibility(&self, visibility_ms: Option<u64>) -> Result<u64, Error> {
        check("visibility_ms", visibility_ms.unwrap_or(self.settings.visibility_ms), MS_MAX)
    }

    fn peek(&self, limit: u32) -> Peeked {
        let waiting = self.waiting.iter().take(limit as usize);
        Peeked { waiting: waiting.map(|(id, waiting)| waiting.shown(*id)).collect() }
    }

    fn dead_letters(&self, limit: u32) -> DeadLetters {
        let dead = self.dead.iter().take(limit as usize);
        DeadLetters { dead_letters: dead.map(|(id, dead)| dead.shown(*id)).collect() }
    }

    fn stats(&self, now_ms: u64) -> Stats {
        let later = || self.waiting.values().map(|waiting| waiting.visible_at_ms).filter(|at| *at > now_ms);
        let delayed = later().count();
        Stats {
            ready: self.waiting.len() - delayed,
            delayed,
            leased: self.leases.len(),
            dead: self.dead.len(),
            bytes: self.bytes,
            next_visible_at_ms: later().chain(self.leases.values().map(|lease| lease.until_ms)).min(),
        }
    }

    fn len(&self) -> usize {
        self.count(What::All)
    }

    fn count(&self, what: What) -> usize {
        match what {
            What::Waiting => self.waiting.len(),
            What::Dead => self.dead.len(),
            What::All => self.waiting.len() + self.leases.len() + self.dead.len(),
        }
    }
}

impl Waiting {
    fn leased(&self, id: u64, token: u64, until_ms: u64) -> LeasedItem {
        LeasedItem { id, item: self.item.clone(), token, attempts: self.attempts + 1, until_ms }
    }

    fn shown(&self, id: u64) -> WaitingItem {
        let Self { item, attempts, visible_at_ms } = self.clone();
        WaitingItem { id, item, attempts, visible_at_ms }
    }
}

impl Dead {
    fn shown(&self, id: u64) -> DeadLetter {
        let Self { item, attempts, died_at_ms } = self.clone();
        DeadLetter { id, item, attempts, died_at_ms }
    }
}

fn cost(item: &Json) -> usize {
    item.bytes() + ITEM_OVERHEAD_BYTES
}

fn in_range(what: &'static str, value: u32, max: u32) -> Result<u32, Error> {
    check(what, u64::from(value), u64::from(max)).map(|_| value)
}

fn check(what: &'static str, value: u64, max: u64) -> Result<u64, Error> {
    if (1..=max).contains(&value) { Ok(value) } else { Err(Error::OutOfRange { what, min: 1, max }) }
}

fn delay(what: &'static str, ms: u64) -> Result<u64, Error> {
    if ms <= MS_MAX { Ok(ms) } else { Err(Error::OutOfRange { what, min: 0, max: MS_MAX }) }
}
