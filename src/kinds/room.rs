//! `room`: publish and subscribe, with history and members.
//!
//! | command | reply |
//! |---|---|
//! | `{"join": {"member": "ann", "ttl_ms": 60000}}` | `{"joined": "ann", "members": 1}` |
//! | `{"publish": {"item": "hello", "member": "ann"}}`, or `say` | `{"number": 1}` |
//! | `{"history": {"limit": 10, "before": 2}}` | `{"history": [{"number": 1, "member": "ann", "item": "hello", "at_ms": …}]}` |
//! | `{"members": {}}` | `{"members": [{"member": "ann", "since_ms": …, "until_ms": …}]}` |
//! | `{"leave": {"member": "ann"}}` | `{"left": "ann", "members": 0}` |
//!
//! Subscribers receive a [`Notice`] of each item and of each coming and going: `{"published": {…}}`,
//! `{"joined": {…}}`, `{"left": {…}}`. A member with a time to live joins again before it is over, without a further
//! notice; otherwise it leaves by itself. The history keeps the last [`HISTORY_MAX`] items and
//! [`HISTORY_BYTES_MAX`] bytes.
//!
//! Refusals: `not_a_member`, `room_full` (409), `bad_name`, `item_too_large`, `out_of_range` (422).

mod error;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU64,
};

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use error::Error;
pub use reply::{History, Joined, Left, Members, Notice, Number, Present, Reply, Said};

use crate::{
    entity::{Context, Entity},
    protocol::{Json, Key},
};

/// Most items in the history.
pub const HISTORY_MAX: usize = 500;
/// Most bytes of compact JSON in the history.
pub const HISTORY_BYTES_MAX: usize = 500_000;
/// Longest item, in bytes of compact JSON.
pub const ITEM_BYTES_MAX: usize = 65_536;
/// Most members.
pub const MEMBERS_MAX: usize = 1_000;
/// Longest name of a member, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

const SWEEP: &str = "sweep";

/// Publish and subscribe, with history and members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    last_number: u64,
    history: VecDeque<Said>,
    history_bytes: usize,
    members: BTreeMap<CompactString, Presence>,
}

/// Since when, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Presence {
    since_ms: u64,
    until_ms: Option<u64>,
}

/// What a room can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Becomes a member, or stays one.
    Join {
        /// 1 to 128 bytes without control characters.
        member: CompactString,
        /// How long, in milliseconds; until it leaves if not given.
        ttl_ms: Option<NonZeroU64>,
    },
    /// Is no member any more. Leaving twice is allowed.
    Leave {
        /// Who.
        member: CompactString,
    },
    /// Gives an item to all subscribers and keeps it in the history.
    #[serde(alias = "say")]
    Publish {
        /// Any JSON, at most 64 KiB.
        item: Json,
        /// Who says so: a member, or nobody.
        member: Option<CompactString>,
    },
    /// Lists the members.
    Members {},
    /// Shows the last items, oldest first.
    History {
        /// At most so many, 1 to 500; 50 if not given.
        #[serde(default = "fifty")]
        limit: usize,
        /// Only items with smaller numbers.
        before: Option<u64>,
    },
    /// Lets members go whose time is over. The room's own timer sends it; from others it is harmless.
    Sweep {},
}

/// What happened to a room. Stored; a change of its shape is a new schema version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody became a member, or stays one for longer.
    Joined {
        /// Who.
        member: CompactString,
        /// When, in milliseconds of the shard's clock.
        at_ms: u64,
        /// When it leaves by itself.
        until_ms: Option<u64>,
    },
    /// Somebody is no member any more.
    Left {
        /// Who.
        member: CompactString,
    },
    /// An item was published.
    Published(Said),
}

impl Entity for Room {
    const KIND: &'static str = "room";
    const SUMMARY: &'static str = "Publish and subscribe, with history and members.";
    type Command = Command;
    type Reply = Reply;
    type Event = Event;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        match command {
            Command::Members {} => Ok(Reply::Members(self.present(context.now_ms()))),
            Command::History { limit, before } => self.latest(limit, before),
            Command::Publish { item, member } => self.publish(item, member, context),
            Command::Join { member, ttl_ms } => self.join(member, ttl_ms, context),
            Command::Leave { member } => Ok(self.leave(member, context)),
            Command::Sweep {} => {
                self.sweep(context);
                Ok(Reply::Members(self.present(context.now_ms())))
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Joined { member, at_ms, until_ms } => {
                let since_ms = self.members.get(&member).map_or(at_ms, |presence| presence.since_ms);
                self.members.insert(member, Presence { since_ms, until_ms });
            }
            Event::Left { member } => drop(self.members.remove(&member)),
            Event::Published(said) => self.keep(said),
        }
    }

    /// Numbers as of the last change: items and members are behind `history` and `members`.
    fn show(&self) -> serde_json::Value {
        serde_json::json!({
            "last_number": self.last_number,
            "history": self.history.len(),
            "history_bytes": self.history_bytes,
            "members": self.members.len(),
        })
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"join": {"member": "ann", "ttl_ms": 60_000}}),
            serde_json::json!({"publish": {"item": "hello", "member": "ann"}}),
            serde_json::json!({"history": {"limit": 10}}),
            serde_json::json!({"members": {}}),
            serde_json::json!({"leave": {"member": "ann"}}),
        ]
    }
}

/// What handlers do: they look, and state events.
impl Room {
    fn publish(
        &self,
        item: Json,
        member: Option<CompactString>,
        context: &mut Context<'_, Self>,
    ) -> Result<Reply, Error> {
        if item.bytes() > ITEM_BYTES_MAX {
            return Err(Error::ItemTooLarge { bytes: item.bytes() });
        }
        let at_ms = context.now_ms();
        if let Some(member) = member.as_ref().filter(|member| !self.has(member, at_ms)) {
            return Err(Error::NotAMember(member.clone()));
        }
        self.sweep(context);
        let said = Said { number: self.last_number + 1, member, item, at_ms };
        context.publish(&Notice::Published(said.clone()));
        let number = said.number;
        context.emit(Event::Published(said));
        Ok(Reply::Number(Number { number }))
    }

    fn join(
        &self,
        member: CompactString,
        ttl_ms: Option<NonZeroU64>,
        context: &mut Context<'_, Self>,
    ) -> Result<Reply, Error> {
        if !(1..=NAME_BYTES_MAX).contains(&member.len()) || member.contains(char::is_control) {
            return Err(Error::BadName);
        }
        let at_ms = context.now_ms();
        let (is_new, others) = (!self.has(&member, at_ms), self.others(&member, at_ms));
        if others >= MEMBERS_MAX {
            return Err(Error::Full);
        }
        let until_ms = ttl_ms.map(|ttl| at_ms.saturating_add(ttl.get()));
        self.change_members(Some(Event::Joined { member: member.clone(), at_ms, until_ms }), context);
        if is_new {
            context.publish(&Notice::Joined(Present { member: member.clone(), since_ms: at_ms, until_ms }));
        }
        Ok(Reply::Joined(Joined { joined: member, members: others + 1 }))
    }

    fn leave(&self, member: CompactString, context: &mut Context<'_, Self>) -> Reply {
        let members = self.others(&member, context.now_ms());
        if self.has(&member, context.now_ms()) {
            self.change_members(Some(Event::Left { member: member.clone() }), context);
            context.publish(&Notice::left(&member, context.now_ms(), false));
        } else {
            self.sweep(context);
        }
        Reply::Left(Left { left: member, members })
    }

    fn sweep(&self, context: &mut Context<'_, Self>) {
        if self.members.values().any(|presence| presence.is_over(context.now_ms())) {
            self.change_members(None, context);
        }
    }

    /// Lets those go whose time is over, then adds `change`, and moves the timer to whoever goes next.
    fn change_members(&self, change: Option<Event>, context: &mut Context<'_, Self>) {
        let over = self.members.iter().filter(|(_, presence)| presence.is_over(context.now_ms()));
        let over: Vec<(&CompactString, u64)> =
            over.map(|(member, presence)| (member, presence.until_ms.unwrap_or_default())).collect();
        let mut next = Self { members: self.members.clone(), ..Self::default() };
        for (member, at_ms) in over {
            context.publish(&Notice::left(member, at_ms, true));
            next.apply(Event::Left { member: member.clone() });
            context.emit(Event::Left { member: member.clone() });
        }
        if let Some(event) = change {
            next.apply(event.clone());
            context.emit(event);
        }
        match next.next_end_ms() {
            end_ms if end_ms == self.next_end_ms() => {}
            Some(at_ms) => context.set_timer_at(SWEEP, at_ms, &Command::Sweep {}),
            None => context.cancel_timer(SWEEP),
        }
    }

    fn next_end_ms(&self) -> Option<u64> {
        self.members.values().filter_map(|presence| presence.until_ms).min()
    }

    fn has(&self, member: &str, now_ms: u64) -> bool {
        self.members.get(member).is_some_and(|presence| !presence.is_over(now_ms))
    }

    fn others(&self, member: &str, now_ms: u64) -> usize {
        let others = self.members.iter().filter(|(name, _)| name.as_str() != member);
        others.filter(|(_, presence)| !presence.is_over(now_ms)).count()
    }

    fn present(&self, now_ms: u64) -> Members {
        let present = self.members.iter().filter(|(_, presence)| !presence.is_over(now_ms));
        Members {
            members: present
                .map(|(member, Presence { since_ms, until_ms })| Present {
                    member: member.clone(),
                    since_ms: *since_ms,
                    until_ms: *until_ms,
                })
                .collect(),
        }
    }

    fn latest(&self, limit: usize, before: Option<u64>) -> Result<Reply, Error> {
        if !(1..=HISTORY_MAX).contains(&limit) {
            return Err(Error::OutOfRange { what: "limit", min: 1, max: HISTORY_MAX as u64 });
        }
        let end = self.history.partition_point(|said| before.is_none_or(|before| said.number < before));
        let history = self.history.range(end.saturating_sub(limit)..end).cloned().collect();
        Ok(Reply::History(History { history }))
    }
}

/// What events do.
impl Room {
    fn keep(&mut self, said: Said) {
        self.last_number = said.number;
        self.history_bytes += said.item.bytes();
        self.history.push_back(said);
        while self.history.len() > HISTORY_MAX || self.history_bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.item.bytes();
        }
    }
}

impl Presence {
    fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
    }
}

fn fifty() -> usize {
    50
}
