//! Commands, from wherever they come.

use std::{any::Any, time::Duration};

use bytes::Bytes;
use compact_str::CompactString;
use playhouse_cluster::store::StoreError;
use tokio::time::Instant;

use super::{Core, Effect, Of};
use crate::{
    entity::{Command, Executed, KindIndex, Outcome, RecordChange, Scope, TimerChange},
    protocol::{Body, CallError, Content, EntityId, Key, Payload, Reply, RequestId},
    shard::{
        envelope::{Cast, Envelope, KeptReply, More, Position, ReplyTo},
        history,
        idempotency::Known,
        records,
        streams::Standing,
        timers::Due,
    },
};

/// How many times the bound of the outbox casts and timers may fill it. Commands of clients are refused at the bound
/// itself; were casts refused there too, two full shards could wait for each other for ever. Past this a cast is a dead
/// letter.
const INTERNAL_OUTBOX_SHARE: usize = 16;

/// Where a command comes from decides how many casts it may add to the outbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Client,
    Internal,
}

/// How long a timer waits at least that the release which leads its shard cannot take, and by how many seconds more at most, so that
/// those that waited together do not come together.
const DEFERRED: Duration = Duration::from_secs(30);
const DEFERRED_SPREAD_SECONDS: u64 = 30;
/// How often it is told that timers are deferred.
const DEFERRED_TOLD_MS: u64 = 60_000;

/// How long a timer waits that could not fire because its shard was too busy.
const BUSY: Duration = Duration::from_secs(1);

/// When a timer fires instead whose handler did not run. A timer that is lost because its shard was busy would
/// stop whoever relies on it to try again.
fn put_off(error: &CallError) -> Option<Duration> {
    match error {
        CallError::Quarantined { retry_after } => Some(*retry_after),
        CallError::Overloaded { .. } => Some(BUSY),
        _ => None,
    }
}

/// Whether another release may be able to do it: one that has the kind, knows the command, or reads the state.
fn is_for_another_release(error: &CallError) -> bool {
    matches!(
        error,
        CallError::UnknownKind { .. } | CallError::InvalidBody { .. } | CallError::UnreadableState { .. }
    )
}

impl Core {
    pub(super) fn command(&mut self, envelope: Envelope, now: Instant) -> Result<(), StoreError> {
        if envelope.deadline.is_some_and(|deadline| deadline <= now) {
            envelope.reply.send(Err(CallError::DeadlineExceeded));
            return Ok(());
        }
        let Envelope { kind, key, body, reply, position, more, .. } = envelope;
        if let Some(position) = &position {
            match self.streams.check(&self.pending, position)? {
                Standing::New => {}
                standing @ Standing::Passed { .. } => {
                    // A keyed repetition may still have its record.
                    if let Some(reply) = self.find_kept(kind, &key, &body, more.as_deref(), reply)? {
                        self.repeat(standing, reply);
                    }
                    return Ok(());
                }
                standing => {
                    self.repeat(standing, reply);
                    return Ok(());
                }
            }
        }
        let Some(reply) = self.find_kept(kind, &key, &body, more.as_deref(), reply)? else { return Ok(()) };
        // Not before: a release that has the kind may have executed it, and then this is its repetition.
        if let Some(name) = more.as_deref().and_then(|more| more.kind.clone()) {
            self.refuse_unknown(EntityId { kind: name, key }, &body, position.as_deref(), reply);
            return Ok(());
        }
        self.fresh(kind, &key, body, position, more, reply)
    }

    /// Answers a message that was sent before.
    fn repeat(&mut self, standing: Standing, reply: ReplyTo) {
        self.statistics.repeated += 1;
        let (answer, saw) = match standing {
            Standing::Executed { reply: Some(kept), proposal } => (Ok(kept.into()), proposal),
            Standing::Executed { reply: None, proposal } => {
                (Ok(Reply { body: Bytes::new(), revision: 0 }), proposal)
            }
            Standing::Passed { proposal } => (Err(CallError::NotCommitted), proposal),
            Standing::Stale | Standing::New => (Err(CallError::NotCommitted), 0),
        };
        self.gate.hold_until(saw, self.pending.open_number(), Effect::Reply(reply, answer));
    }

    /// Answers from an idempotency record. Gives the reply path back if there is none.
    fn find_kept(
        &mut self,
        kind: KindIndex,
        key: &Key,
        body: &Payload,
        more: Option<&More>,
        reply: ReplyTo,
    ) -> Result<Option<ReplyTo>, StoreError> {
        let Some(idempotency_key) = more.and_then(|more| more.idempotency_key.as_ref()) else {
            return Ok(Some(reply));
        };
        let name = self.name_of(kind, more.and_then(|more| more.kind.as_ref())).clone();
        let of = Of { kind: name.as_str(), key };
        let known =
            self.idempotency.find(&self.pending, of, idempotency_key, body.bytes(), self.meta.clock_ms)?;
        let (answer, saw) = match known {
            Known::Yes { reply, proposal } => (Ok(reply.into()), proposal),
            Known::OtherBody { proposal } => (Err(CallError::IdempotencyMismatch), proposal),
            Known::No => match self.idempotency.check_room(&self.meta) {
                Ok(()) => return Ok(Some(reply)),
                Err(full) => (Err(full), 0),
            },
        };
        self.statistics.repeated += 1;
        self.gate.hold_until(saw, self.pending.open_number(), Effect::Reply(reply, answer));
        Ok(None)
    }

    /// This release does not have the kind. Only who leads may say so, hence the barrier of a read, or the commit of a letter.
    fn refuse_unknown(
        &mut self,
        target: EntityId,
        body: &Payload,
        position: Option<&Position>,
        reply: ReplyTo,
    ) {
        let error = CallError::unknown_kind(&target.kind);
        if let Some(position) = position.filter(|position| position.is_of_outbox()) {
            self.bury_cast(target, body, &error, position, reply);
        } else if matches!(reply, ReplyTo::Nobody) {
            self.lose(target, body, &error);
        } else {
            self.gate.hold_until(0, self.pending.open_number(), Effect::Reply(reply, Err(error)));
        }
    }

    /// A cast of an outbox that cannot have an effect: its letter and its place in the stream are one proposal, and its answer
    /// is that it is dealt with. Were the failure told in the answer alone, a lost answer would lose the cast: when it is sent
    /// again, later ones of its stream may have been executed, and then it counts as executed, too.
    fn bury_cast(
        &mut self,
        target: EntityId,
        body: &Payload,
        error: &CallError,
        position: &Position,
        reply: ReplyTo,
    ) {
        self.bury(target, body.to_body(), error.to_string());
        let nothing = KeptReply { body: Bytes::new(), revision: 0 };
        self.streams.executed(&mut self.pending, position, nothing.clone());
        self.gate.hold(Effect::Reply(reply, Ok(nothing.into())));
    }

    fn fresh(
        &mut self,
        kind: KindIndex,
        key: &Key,
        body: Payload,
        position: Option<Box<Position>>,
        more: Option<Box<More>>,
        reply: ReplyTo,
    ) -> Result<(), StoreError> {
        let cast_from = position.as_deref().filter(|position| position.is_of_outbox());
        let origin = if cast_from.is_some() { Origin::Internal } else { Origin::Client };
        let request_id = more.as_ref().and_then(|more| more.request_id.as_ref());
        let idempotency_key = more.as_ref().and_then(|more| more.idempotency_key.as_ref());
        let wants_reply = !matches!(reply, ReplyTo::Nobody);
        let outcome = self.execute(
            kind,
            key,
            Command::Encoded(body.content(), body.bytes()),
            request_id,
            origin,
            wants_reply,
        );
        let is_durable = !self.tables[usize::from(kind.0)].is_volatile();
        if let (true, Some(position), Some(error)) = (is_durable, cast_from, outcome.failure()) {
            let target = EntityId { kind: self.kinds.description(kind).kind.clone(), key: key.clone() };
            self.bury_cast(target, &body, error, position, reply);
            return Ok(());
        }
        let is_write = outcome.executed.as_ref().is_some_and(|executed| executed.is_write);
        if is_write && is_durable {
            let reply = outcome.reply.clone().unwrap_or_default();
            let kept = KeptReply { body: reply, revision: outcome.revision };
            if let Some(position) = &position {
                self.streams.executed(&mut self.pending, position, kept.clone());
            }
            if let Some(idempotency_key) = idempotency_key {
                let name = self.kinds.description(kind).kind.clone();
                let of = Of { kind: name.as_str(), key };
                let (pending, meta) = (&mut self.pending, &mut self.meta);
                self.idempotency.keep(pending, meta, of, idempotency_key, body.bytes(), kept)?;
            }
        }
        self.finish(kind, key, outcome, reply)
    }

    pub(super) fn returned(
        &mut self,
        kind: KindIndex,
        key: &Key,
        command: Box<dyn Any + Send>,
    ) -> Result<(), StoreError> {
        let outcome = self.execute(kind, key, Command::Typed(command), None, Origin::Internal, false);
        self.finish(kind, key, outcome, ReplyTo::Nobody)
    }

    pub(super) fn timer(&mut self, due: Due) -> Result<(), StoreError> {
        let name = crate::protocol::KindName::new(&due.kind).ok();
        let Some(kind) = name.as_ref().and_then(|name| self.kinds.find(name)) else {
            let unknown = CallError::UnknownKind { kind: due.kind.clone() };
            return self.defer(KindIndex::UNKNOWN, due, &unknown);
        };
        let command = Command::Encoded(Content::Binary, &due.command);
        let outcome = self.execute(kind, &due.key, command, None, Origin::Internal, false);
        let key = due.key.clone();
        match &outcome.reply {
            Ok(_) | Err(CallError::Refused(_)) => {}
            Err(error) if is_for_another_release(error) => self.defer(kind, due, error)?,
            Err(error) => match put_off(error) {
                Some(delay) => self.set_again(due, delay)?,
                None => self.bury_timer(due, error),
            },
        }
        self.finish(kind, &key, outcome, ReplyTo::Nobody)
    }

    fn set_again(&mut self, due: Due, delay: Duration) -> Result<(), StoreError> {
        let change = self.later(delay, due.name, due.command);
        self.timers.change(&mut self.pending, Of { kind: &due.kind, key: &due.key }, change)
    }

    /// During a rolling update an older release may lead. Unlike a cast, a timer has none behind it that must not overtake it, so it
    /// can wait for another leader.
    fn defer(&mut self, kind: KindIndex, due: Due, error: &CallError) -> Result<(), StoreError> {
        let now_ms = self.meta.clock_ms;
        if self.deferred_told_ms.is_none_or(|told_ms| told_ms.saturating_add(DEFERRED_TOLD_MS) <= now_ms) {
            self.deferred_told_ms = Some(now_ms);
            let (shard, kind, key) = (self.shard.0, &due.kind, &due.key);
            tracing::warn!(shard, kind, %key, %error, "timers wait for a release that can take them");
        }
        *self.counted.timers_deferred.entry(self.label(kind)).or_default() += 1;
        self.statistics.timers_deferred += 1;
        let spread = self.statistics.timers_deferred % (DEFERRED_SPREAD_SECONDS + 1);
        self.set_again(due, DEFERRED + Duration::from_secs(spread))
    }

    fn later(&self, delay: Duration, name: CompactString, command: Bytes) -> TimerChange {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1);
        TimerChange::Set { name, at_ms: self.meta.clock_ms.saturating_add(delay_ms), command }
    }

    pub(super) fn volatile_timer(
        &mut self,
        kind: KindIndex,
        key: &Key,
        name: CompactString,
        command: Bytes,
    ) -> Result<(), StoreError> {
        let body = Command::Encoded(Content::Binary, &command);
        let outcome = self.execute(kind, key, body, None, Origin::Internal, false);
        if let Some(delay) = outcome.reply.as_ref().err().and_then(put_off) {
            let change = self.later(delay, name, command);
            self.timers.change_volatile(kind, key, change);
        }
        self.finish(kind, key, outcome, ReplyTo::Nobody)
    }

    fn bury_timer(&mut self, due: Due, error: &CallError) {
        if let Ok(target) = EntityId::new(&due.kind, due.key.as_str()) {
            let body = Body { content: Content::Binary, bytes: due.command };
            self.bury(target, body, format!("a timer fired, but: {error}"));
        }
    }

    fn execute(
        &mut self,
        kind: KindIndex,
        key: &Key,
        command: Command<'_>,
        request_id: Option<&RequestId>,
        origin: Origin,
        wants_reply: bool,
    ) -> Outcome {
        let outbox_max = match origin {
            Origin::Client => self.config.outbox_max,
            Origin::Internal => self.config.outbox_max.saturating_mul(INTERNAL_OUTBOX_SHARE),
        };
        let scope = Scope {
            now_ms: self.meta.clock_ms,
            request_id,
            records: &self.pending,
            limits: &self.config.limits,
            proposal: self.pending.open_number(),
            casts_room: outbox_max.saturating_sub(self.outbox.len()),
            timers_room: self.config.volatile_timers_max.saturating_sub(self.timers.volatile_len()),
            wants_reply,
        };
        self.statistics.executed += 1;
        self.tables[usize::from(kind.0)].execute(key, command, &scope)
    }

    /// Writes the effects into the open proposal and lets the reply wait for what it saw.
    fn finish(
        &mut self,
        kind: KindIndex,
        key: &Key,
        outcome: Outcome,
        reply: ReplyTo,
    ) -> Result<(), StoreError> {
        let Outcome { reply: answer, revision, saw, executed } = outcome;
        let answer = answer.map(|body| Reply { body, revision });
        let Some(executed) = executed else {
            self.answer(kind, saw, reply, answer);
            return Ok(());
        };
        if self.tables[usize::from(kind.0)].is_volatile() {
            self.finish_volatile(kind, key, executed);
            self.pass_reply(reply, answer);
        } else if executed.is_write {
            self.statistics.written += 1;
            self.gate.hold(Effect::Reply(reply, answer));
            self.write(kind, key, executed)?;
        } else {
            let open = self.pending.open_number();
            self.gate.hold_until(saw, open, Effect::Reply(reply, answer));
            for spawn in executed.spawns {
                self.gate.hold_until(saw, open, Effect::Spawn { kind, key: key.clone(), spawn });
            }
        }
        Ok(())
    }

    fn answer(&mut self, kind: KindIndex, saw: u64, reply: ReplyTo, answer: Result<Reply, CallError>) {
        if self.tables[usize::from(kind.0)].is_volatile() {
            self.pass_reply(reply, answer);
        } else {
            self.gate.hold_until(saw, self.pending.open_number(), Effect::Reply(reply, answer));
        }
    }

    fn pass_reply(&mut self, reply: ReplyTo, answer: Result<Reply, CallError>) {
        if !matches!(reply, ReplyTo::Nobody) {
            self.gate.pass(Effect::Reply(reply, answer));
        }
    }

    fn write(&mut self, kind: KindIndex, key: &Key, executed: Executed) -> Result<(), StoreError> {
        let name = self.kinds.description(kind).kind.clone();
        let of = Of { kind: name.as_str(), key };
        if matches!(executed.record, RecordChange::Remove { .. }) {
            self.timers.remove_all(&mut self.pending, of)?;
            history::clear(&mut self.pending, of)?;
        }
        records::write(&mut self.pending, of, executed.record);
        for change in executed.timers {
            self.timers.change(&mut self.pending, of, change)?;
        }
        for cast in executed.casts {
            let number = self.outbox.add(&mut self.pending, &mut self.meta, &cast);
            let (source, term) = (self.shard, self.term);
            let cast = Cast { source, term, number, target: cast.target, body: cast.body };
            self.gate.hold(Effect::Cast(cast));
        }
        if !executed.published.is_empty() {
            let items = history::publish(&mut self.pending, of, executed.published)?;
            self.gate.hold(Effect::Publish { kind, key: key.clone(), items });
        }
        for spawn in executed.spawns {
            self.gate.hold(Effect::Spawn { kind, key: key.clone(), spawn });
        }
        Ok(())
    }

    fn finish_volatile(&mut self, kind: KindIndex, key: &Key, executed: Executed) {
        for change in executed.timers {
            self.timers.change_volatile(kind, key, change);
        }
        for cast in executed.casts {
            self.gate.pass(Effect::CastOnce { target: cast.target, body: cast.body });
        }
        if !executed.published.is_empty() {
            let first = self.volatile_revision + 1;
            self.volatile_revision += executed.published.len() as u64;
            let items = (first..).zip(executed.published).collect();
            self.gate.pass(Effect::Publish { kind, key: key.clone(), items });
        }
        for spawn in executed.spawns {
            self.gate.pass(Effect::Spawn { kind, key: key.clone(), spawn });
        }
    }
}
