//! What can be seen without a command: views, lists, subscriptions, dead letters.

use playhouse_cluster::store::StoreError;
use tokio::sync::oneshot;

use super::{Core, Effect, Of, gate::StartSubscription};
use crate::{
    entity::{Image, Scope},
    protocol::{CallError, EntityId, EntityView, Key, KindName, Page},
    shard::{
        DeadLetter,
        envelope::Subscriber,
        history::{self, Missed},
        keys::{self, Family},
        outbox,
        records::decode,
    },
};

impl Core {
    pub(super) fn view(
        &mut self,
        name: KindName,
        key: Key,
        reply: oneshot::Sender<Result<EntityView, CallError>>,
    ) {
        let Some(kind) = self.kinds.find(&name) else {
            let unknown = Effect::View(reply, Err(CallError::unknown_kind(&name)));
            return self.gate.hold_until(0, self.pending.open_number(), unknown);
        };
        let scope = Scope {
            now_ms: self.meta.clock_ms,
            request_id: None,
            records: &self.pending,
            limits: &self.config.limits,
            proposal: self.pending.open_number(),
            casts_room: 0,
            timers_room: 0,
            wants_reply: true,
        };
        let outcome = self.tables[usize::from(kind.0)].view(&key, &scope);
        let id = EntityId { kind: name, key };
        let (shard, revision) = (self.shard, outcome.revision);
        let view = outcome.reply.map(|state| EntityView { id, shard, revision, state });
        if self.tables[usize::from(kind.0)].is_volatile() {
            self.gate.pass(Effect::View(reply, view));
        } else {
            self.gate.hold_until(outcome.saw, self.pending.open_number(), Effect::View(reply, view));
        }
    }

    /// What is stored is listed by name, so a release that does not have the kind lists what others wrote of it.
    pub(super) fn list(
        &mut self,
        name: &KindName,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
        reply: oneshot::Sender<Result<Page, CallError>>,
    ) -> Result<(), StoreError> {
        let start = keys::kind_prefix(Family::Image, name.as_str(), prefix);
        let end = keys::after_prefix(&start);
        let from = match after {
            Some(after) => {
                let of = Of { kind: name.as_str(), key: after };
                let behind = [&keys::entity(Family::Image, of)[..], b"\0"].concat();
                start.max(behind.into())
            }
            None => start,
        };
        let prefix_bytes = keys::kind_prefix(Family::Image, name.as_str(), "").len();
        let mut entities = Vec::new();
        for (stored, image) in self.pending.scan(&from, &end, limit.saturating_add(1))? {
            let key = std::str::from_utf8(&stored[prefix_bytes..]).ok().and_then(|key| Key::new(key).ok());
            let Some(key) = key else { continue };
            let revision = self.revision(name.as_str(), &key, &image)?;
            entities.push((key, revision));
        }
        let has_more = entities.len() > limit;
        entities.truncate(limit);
        let next_after = entities.last().filter(|_| has_more).map(|(key, _)| key.clone());
        let is_unknown = entities.is_empty() && self.kinds.find(name).is_none() && !self.is_stored(name)?;
        let page =
            if is_unknown { Err(CallError::unknown_kind(name)) } else { Ok(Page { entities, next_after }) };
        let open = self.pending.open_number();
        // Any proposal on its way may be part of what was seen.
        let saw = if self.pending.is_clean() { open - 1 } else { open };
        self.gate.hold_until(saw, open, Effect::Page(reply, page));
        Ok(())
    }

    /// Whether there is any entity of that kind.
    fn is_stored(&self, kind: &KindName) -> Result<bool, StoreError> {
        let start = keys::kind_prefix(Family::Image, kind.as_str(), "");
        Ok(!self.pending.scan(&start, &keys::after_prefix(&start), 1)?.is_empty())
    }

    fn revision(&self, kind: &str, key: &Key, image: &[u8]) -> Result<u64, StoreError> {
        let image: Image = decode("an image", image)?;
        let of = Of { kind, key };
        let from = keys::entity_number(Family::Event, of, image.event + 1);
        let has_events =
            !self.pending.scan(&from, &keys::entity_number(Family::Event, of, u64::MAX), 1)?.is_empty();
        if !has_events {
            return Ok(image.revision);
        }
        let stored = self.pending.read_entity(kind, key)?.stored;
        Ok(stored.map_or(image.revision, |stored| stored.image.revision + stored.events.len() as u64))
    }

    pub(super) fn subscribe(
        &mut self,
        name: &KindName,
        key: Key,
        after: Option<u64>,
        subscriber: Subscriber,
        reply: oneshot::Sender<Result<u64, CallError>>,
    ) -> Result<(), StoreError> {
        if self.subscribers.len() >= self.config.subscribers_max {
            let what = format!("this shard has {} subscribers already", self.subscribers.len());
            drop(reply.send(Err(CallError::Overloaded { what })));
            return Ok(());
        }
        let Some(kind) = self.kinds.find(name) else {
            let unknown = Effect::NoSubscription(reply, CallError::unknown_kind(name));
            self.gate.hold_until(0, self.pending.open_number(), unknown);
            return Ok(());
        };
        let missed = if self.tables[usize::from(kind.0)].is_volatile() {
            let last = self.volatile_revision;
            // Nothing is kept, so whoever asks for what is older is told that something may be missing. Behind a revision that there is
            // not yet nothing would be heard for a long time, so that is refused.
            let gap = after.filter(|after| *after < last).map(|_| last + 1);
            let after = after.map_or(last, |after| after.max(last));
            Missed { after, gap, items: Vec::new(), last, proposal: 0 }
        } else {
            history::missed(&self.pending, Of { kind: name.as_str(), key: &key }, after)?
        };
        self.next_listener += 1;
        let number = self.next_listener;
        self.subscribers.add(kind, &key, subscriber, number);
        let saw = missed.proposal;
        let start = StartSubscription { kind, key, number, missed, reply };
        let effect = Effect::StartSubscription(Box::new(start));
        self.gate.hold_until(saw, self.pending.open_number(), effect);
        Ok(())
    }

    pub(super) fn dead_letters(
        &mut self,
        limit: usize,
        reply: oneshot::Sender<Result<Vec<DeadLetter>, CallError>>,
    ) -> Result<(), StoreError> {
        let letters = outbox::dead_letters(&self.pending, &self.meta, limit)?;
        let open = self.pending.open_number();
        let saw = if self.pending.is_clean() { open - 1 } else { open };
        self.gate.hold_until(saw, open, Effect::DeadLetters(reply, letters));
        Ok(())
    }
}
