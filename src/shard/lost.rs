//! Commands that found no room and that nobody waits for: without a trace of them nobody would ever know.

use std::collections::BTreeMap;

use super::envelope::Envelope;
use crate::{
    entity::KindIndex,
    protocol::{Key, KindName, Payload, ShardId},
};

/// How many of them are kept each time the executor looks, and how many letters it writes of them in a second. More are only
/// counted: a shard that has no room has no time either.
const KEPT_MAX: usize = 8;

/// What a mailbox had no room for since the executor looked.
#[derive(Debug, Default)]
pub struct Lost {
    /// The first of them.
    pub kept: Vec<LostCommand>,
    /// How many there were besides, by kind.
    pub more: BTreeMap<u16, u64>,
}

/// A command that was not taken.
#[derive(Debug)]
pub struct LostCommand {
    /// The kind.
    pub kind: KindIndex,
    /// Its name, when this node does not have it.
    pub name: Option<KindName>,
    /// Which entity it was for.
    pub key: Key,
    /// The command.
    pub body: Payload,
}

impl Lost {
    pub(super) fn add(&mut self, envelope: Envelope) {
        let Envelope { kind, key, body, more, .. } = envelope;
        if self.kept.len() < KEPT_MAX {
            let name = more.and_then(|more| more.kind);
            self.kept.push(LostCommand { kind, name, key, body });
        } else {
            *self.more.entry(kind.0).or_default() += 1;
        }
    }
}

/// Keeps a flood from filling the log of its shard with letters about itself: each is a write to all replicas.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Of the shard's clock.
    second: u64,
    /// What came in it.
    came: usize,
}

impl Flood {
    /// Whether a letter is kept of what came at that time of the shard's clock.
    pub(super) fn takes(&mut self, shard: ShardId, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if second != self.second {
            *self = Self { second, came: 0 };
        }
        self.came += 1;
        if self.came == KEPT_MAX + 1 {
            tracing::warn!(
                shard = shard.0,
                "commands that nobody waits for are lost faster than letters are kept; they are counted"
            );
        }
        self.came <= KEPT_MAX
    }
}
