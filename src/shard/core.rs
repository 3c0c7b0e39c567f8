//! Decides what a message does. No clock, task or socket: the driver brings time and acts on [`Effect`]s.

mod execute;
mod gate;
mod look;

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use playhouse_cluster::{
    collections::Hasher,
    consensus::{Group, Term},
    store::{Batch, StoreError},
};
use tokio::time::Instant;

pub use gate::Effect;
use gate::{Gate, StartSubscription};

use super::{
    envelope::{Cast, CastOutcome, Message},
    history::Subscribers,
    idempotency::Idempotency,
    keys::{Family, Of},
    lost::{Flood, Lost, LostCommand},
    outbox::{self, Outbox},
    pending::{Pending, ProposalNumber},
    records::{DeadLetter, Meta, OutboxCast, decode, encode},
    statistics::ShardStatistics,
    streams::Streams,
    timers::{SetTimer, Timers},
};
use crate::{
    entity::{KindIndex, KindRegistry, Limits, Table, TableStatistics},
    protocol::{Body, CallError, EntityId, KindName, Payload, ShardId},
    telemetry::UNKNOWN_KIND,
};

/// Why a command that nobody waits for was not taken.
const NO_ROOM: &str = "the mailbox of its shard was full";
/// How many revisions of `Volatile` items lie between two terms. Nobody remembers how far the last leader counted, so each begins
/// where no leader before it came. What bounds it: 2^28 items of one shard in one term, and 2^25 terms; then it is no longer
/// below 2^53, the last number that every reader of JSON takes for what it is.
const VOLATILE_REVISIONS_PER_TERM: u64 = 1 << 28;
/// How many timers fire before messages get their turn again.
const FIRED_AT_ONCE_MAX: usize = 256;

/// Bounds of an executor.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds of single commands.
    pub limits: Limits,
    /// A proposal is closed when it has this many bytes. A single command may make it larger by its own effects.
    pub proposal_bytes_max: usize,
    /// How many proposals may be on their way. While all are, messages wait in the mailbox, so batches grow.
    pub in_flight_max: NonZeroUsize,
    /// While a proposal waits for its commit, the next one is made when it has so many bytes, or at that commit: what comes
    /// meanwhile shares one log entry. (Nagle's algorithm, RFC 896, with proposals for segments.)
    pub coalesce_bytes_max: usize,
    /// How many bytes of replies may wait for commits and read barriers. Past this, messages wait in the mailbox.
    pub held_bytes_max: usize,
    /// How many casts may wait in the outbox before commands that cast are refused.
    pub outbox_max: usize,
    /// How long a reply is kept for its idempotency key. Keep `Request-Timeout` below it.
    pub idempotency_window: Duration,
    /// What the kept replies of a shard may take, in bytes. Past this, commands with a key are refused.
    pub idempotency_bytes_max: u64,
    /// A resident that nobody called for this long is passivated.
    pub passivate_after: Duration,
    /// How long acknowledgements may wait for a proposal to travel with.
    pub housekeeping_after: Duration,
    /// How many subscribers a shard may have.
    pub subscribers_max: usize,
    /// How many timers of `Volatile` entities a shard may have. Past this, commands of such entities that set one are refused.
    pub volatile_timers_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            proposal_bytes_max: 2 << 20,
            in_flight_max: NonZeroUsize::new(16).expect("it is not zero"),
            coalesce_bytes_max: 16 << 10,
            held_bytes_max: 64 << 20,
            outbox_max: 10_000,
            idempotency_window: Duration::from_secs(600),
            idempotency_bytes_max: 64 << 20,
            passivate_after: Duration::from_secs(300),
            housekeeping_after: Duration::from_millis(20),
            subscribers_max: 10_000,
            volatile_timers_max: 100_000,
        }
    }
}

/// One term of one shard.
pub struct Core {
    shard: ShardId,
    term: Term,
    config: Config,
    kinds: Arc<KindRegistry>,
    tables: Vec<Box<dyn Table>>,
    pending: Pending,
    meta: Meta,
    streams: Streams,
    idempotency: Idempotency,
    timers: Timers,
    outbox: Outbox,
    subscribers: Subscribers,
    next_listener: u64,
    /// The revision of the last item that a `Volatile` entity published.
    volatile_revision: u64,
    gate: Gate,
    statistics: ShardStatistics,
    /// Bounds the letters of commands that nobody waits for.
    flood: Flood,
    /// What was not counted yet.
    counted: Counted,
    /// When it was last told that timers are deferred.
    deferred_told_ms: Option<u64>,
}

/// What was counted since the last look, by kind.
#[derive(Debug, Default)]
pub struct Counted {
    /// Messages that could not be delivered.
    pub dead_letters: BTreeMap<String, u64>,
    /// Timers that wait for another release.
    pub timers_deferred: BTreeMap<String, u64>,
}

/// What the driver proposes.
pub struct Proposal {
    /// Its number within the term.
    pub number: ProposalNumber,
    /// The changes.
    pub changes: Batch,
}

impl Core {
    /// Reads what the shard needs to know. The group must be led in `term` by this node.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn load(
        shard: ShardId,
        term: Term,
        group: Arc<dyn Group>,
        kinds: Arc<KindRegistry>,
        hasher: &Hasher,
        config: Config,
    ) -> Result<(Self, Vec<Effect>), StoreError> {
        let pending = Pending::new(group);
        let meta = match pending.get(&Family::Meta.start())?.0 {
            Some(bytes) => decode("the numbers of a shard", &bytes)?,
            None => Meta::default(),
        };
        let window_ms = u64::try_from(config.idempotency_window.as_millis()).unwrap_or(u64::MAX);
        let (outbox, casts) = Outbox::load(&pending)?;
        let cast = |(number, cast): (u64, OutboxCast)| {
            Effect::Cast(Cast { source: shard, term, number, target: cast.target, body: cast.body })
        };
        let core = Self {
            shard,
            term,
            streams: Streams::load(&pending)?,
            idempotency: Idempotency::load(&pending, window_ms, config.idempotency_bytes_max)?,
            timers: Timers::load(&pending)?,
            outbox,
            tables: kinds.tables(hasher),
            kinds,
            config,
            pending,
            meta,
            subscribers: Subscribers::default(),
            next_listener: 0,
            volatile_revision: term.0.saturating_mul(VOLATILE_REVISIONS_PER_TERM),
            gate: Gate::default(),
            statistics: ShardStatistics::default(),
            flood: Flood::default(),
            counted: Counted::default(),
            deferred_told_ms: None,
        };
        Ok((core, casts.into_iter().map(cast).collect()))
    }

    /// Brings the clock. It never runs back.
    pub fn advance(&mut self, wall_ms: u64) {
        self.meta.clock_ms = self.meta.clock_ms.max(wall_ms);
    }

    /// The shard's clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.meta.clock_ms
    }

    /// Executes one message into the open proposal.
    ///
    /// # Errors
    ///
    /// When the store cannot be read: the executor must end.
    pub fn deliver(&mut self, message: Message, now: Instant) -> Result<(), StoreError> {
        match message {
            Message::Command(envelope) => self.command(envelope, now),
            Message::Returned { kind, key, command } => self.returned(kind, &key, command),
            Message::CastDone { number, outcome } => self.cast_done(number, outcome),
            Message::View { kind, key, reply } => {
                self.view(kind, key, reply);
                Ok(())
            }
            Message::List { kind, prefix, after, limit, reply } => {
                self.list(&kind, &prefix, after.as_ref(), limit, reply)
            }
            Message::Subscribe { kind, key, after, subscriber, reply } => {
                self.subscribe(&kind, key, after, subscriber, reply)
            }
            Message::DeadLetters { limit, reply } => self.dead_letters(limit, reply),
            Message::Lost(lost) => {
                self.lost(*lost);
                Ok(())
            }
        }
    }

    /// Fires what is due and forgets what has expired, a bounded number at a time. `true` when the open proposal is
    /// full: close it and call again.
    ///
    /// # Errors
    ///
    /// As [`deliver`](Self::deliver).
    pub fn fire_due(&mut self) -> Result<bool, StoreError> {
        self.idempotency.expire(&mut self.pending, &mut self.meta)?;
        for _ in 0..FIRED_AT_ONCE_MAX {
            if self.is_full() {
                return Ok(true);
            }
            if let Some(due) = self.timers.pop_due(&mut self.pending, self.meta.clock_ms)? {
                self.timer(due)?;
            } else if let Some((kind, key, name, command)) = self.timers.pop_due_volatile(self.meta.clock_ms)
            {
                self.volatile_timer(kind, &key, name, command)?;
            } else {
                return Ok(false);
            }
            self.statistics.timers_fired += 1;
        }
        Ok(false)
    }

    /// When [`fire_due`](Self::fire_due) has work, in milliseconds of the shard's clock.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        [self.timers.next_ms(), self.idempotency.next_ms()].into_iter().flatten().min()
    }

    /// Timers that are set, in the order in which they fire. Reads them all.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn timers(&self) -> Result<Vec<SetTimer>, StoreError> {
        self.timers.all(&self.pending, |kind| self.kinds.description(kind).kind.clone())
    }

    /// Whether the open proposal is large enough to be closed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pending.open_bytes() >= self.config.proposal_bytes_max
    }

    /// Whether another proposal may be made.
    #[must_use]
    pub fn may_propose(&self) -> bool {
        self.gate.in_flight() < self.config.in_flight_max.get()
    }

    /// Whether another message may be executed, while `elsewhere_bytes` of replies wait for read barriers.
    #[must_use]
    pub fn may_take(&self, elsewhere_bytes: usize) -> bool {
        self.may_propose() && self.gate.held_bytes() + elsewhere_bytes < self.config.held_bytes_max
    }

    /// Whether the open proposal should not wait for the commit of the one before it.
    #[must_use]
    pub fn is_worth_proposing(&self) -> bool {
        let is_large = self.pending.open_bytes() >= self.config.coalesce_bytes_max;
        is_large || self.is_full() || !self.gate.is_awaiting_commit()
    }

    /// Whether nothing waits to be proposed, committed or applied.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.gate.in_flight() == 0 && self.pending.is_clean() && !self.gate.is_waiting()
    }

    /// Closes the open proposal, if there is something in it. Acknowledgements alone are a reason only if
    /// `with_housekeeping`.
    pub fn seal(&mut self, with_housekeeping: bool) -> Option<Proposal> {
        let housekeeping = with_housekeeping && self.outbox.acknowledged() > 0;
        if self.pending.is_clean() && !housekeeping && !self.gate.is_waiting() {
            return None;
        }
        self.outbox.write(&mut self.pending);
        self.streams.write(&mut self.pending);
        self.pending.put(Family::Meta.start(), encode(&self.meta));
        let sealed = self.pending.seal();
        self.gate.sealed(sealed.number, sealed.keys);
        self.statistics.proposals += 1;
        Some(Proposal { number: sealed.number, changes: sealed.batch })
    }

    /// Whether acknowledgements wait for a proposal.
    #[must_use]
    pub fn has_housekeeping(&self) -> bool {
        self.outbox.acknowledged() > 0
    }

    /// Replies that saw nothing but committed state. They may leave after a read barrier.
    pub fn take_reads(&mut self) -> Vec<Effect> {
        self.gate.take_reads()
    }

    /// Effects of `Volatile` entities, which wait for nothing.
    pub fn take_free(&mut self) -> Vec<Effect> {
        self.gate.take_free()
    }

    /// A proposal is committed. Returns what may leave now, in order.
    pub fn committed(&mut self, number: ProposalNumber) -> Vec<Effect> {
        self.gate.committed(number)
    }

    /// The store has the changes of a proposal.
    pub fn applied(&mut self, number: ProposalNumber) {
        if let Some(keys) = self.gate.applied(number) {
            self.pending.applied(number, &keys);
        }
    }

    /// Gives items to subscribers; part of acting on [`Effect::Publish`] and [`Effect::StartSubscription`].
    pub fn act_for_subscribers(&mut self, effect: Effect) {
        match effect {
            Effect::Publish { kind, key, items } => self.subscribers.publish(kind, &key, &items),
            Effect::StartSubscription(start) => self.start(*start),
            _ => debug_assert!(false, "the driver acts on all other effects"),
        }
    }

    fn start(&mut self, start: StartSubscription) {
        let StartSubscription { kind, key, number, missed, reply } = start;
        if missed.after > missed.last {
            self.subscribers.remove(kind, &key, number);
            let (after, last) = (missed.after, missed.last);
            let reason = format!("revision {after} was asked for, and the last one is {last}");
            drop(reply.send(Err(CallError::Subscription { reason })));
        } else if reply.send(Ok(missed.after)).is_ok() {
            self.subscribers.start(kind, &key, number, missed);
        }
    }

    /// A proposal was refused before it was appended. Returns what waited for it: none of it happened. The
    /// executor must end, because what it holds in memory did not happen either.
    pub fn never_happened(&mut self, number: ProposalNumber) -> Vec<Effect> {
        self.gate.never_happened(number)
    }

    /// Ends the term. What is on its way may still be committed by a later leader.
    pub fn end(self) -> Vec<(Effect, CallError)> {
        self.gate.end()
    }

    /// Passivates residents that nobody used lately; looks at `count_max` per kind. The idle time is halved `pressure`
    /// times.
    pub fn passivate(&mut self, count_max: usize, pressure: u32) -> usize {
        let idle_ms = u64::try_from(self.config.passivate_after.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.meta.clock_ms.saturating_sub(idle_ms.checked_shr(pressure).unwrap_or(0));
        let applied = self.gate.applied_number();
        self.subscribers.sweep();
        self.tables.iter_mut().map(|table| table.passivate(before_ms, applied, count_max)).sum()
    }

    /// A handler ran for too long.
    pub fn note_slow_handler(&mut self) {
        self.statistics.slow_handlers += 1;
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> ShardStatistics {
        let mut tables = TableStatistics::default();
        for table in self.table_statistics() {
            tables.resident += table.resident;
            tables.resident_bytes += table.resident_bytes;
            tables.woken += table.woken;
            tables.passivated += table.passivated;
            tables.crashed += table.crashed;
            tables.quarantined += table.quarantined;
        }
        ShardStatistics {
            outbox: self.outbox.len(),
            in_flight: self.gate.in_flight(),
            idempotency_bytes: self.meta.idempotency_bytes,
            subscribers: self.subscribers.len(),
            tables,
            ..self.statistics
        }
    }

    /// What was counted of each kind, in the order of the registry.
    pub fn table_statistics(&self) -> impl Iterator<Item = TableStatistics> {
        self.tables.iter().map(|table| table.statistics(self.meta.clock_ms))
    }

    /// The proposal that is being filled, and how large it is by now, in bytes.
    #[must_use]
    pub fn open_proposal(&self) -> (u64, usize) {
        (self.pending.open_number(), self.pending.open_bytes())
    }

    /// What was counted since the last call.
    pub fn take_counted(&mut self) -> Counted {
        std::mem::take(&mut self.counted)
    }

    /// A dead letter is committed; part of acting on [`Effect::Buried`].
    pub fn count_letter(&mut self, kind: KindIndex) {
        self.count_dead_letters(kind, 1);
    }

    /// Which term this executor belongs to.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Which shard this is.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    fn cast_done(&mut self, number: u64, outcome: CastOutcome) -> Result<(), StoreError> {
        if !self.outbox.done(number) {
            return Ok(());
        }
        let CastOutcome::Undeliverable { reason } = outcome else { return Ok(()) };
        if let Some(cast) = outbox::read_cast(&self.pending, number)? {
            self.bury(cast.target, cast.body, reason);
        }
        Ok(())
    }

    /// Commands that the mailbox had no room for become dead letters.
    pub(super) fn lost(&mut self, lost: Lost) {
        for LostCommand { kind, name, key, body } in lost.kept {
            let target = EntityId { kind: self.name_of(kind, name.as_ref()).clone(), key };
            self.lose(target, &body, &NO_ROOM);
        }
        for (kind, count) in lost.more {
            self.count_dead_letters(KindIndex(kind), count);
        }
    }

    /// The name of the kind of a command; `name` is what came with it.
    fn name_of<'a>(&'a self, kind: KindIndex, name: Option<&'a KindName>) -> &'a KindName {
        name.unwrap_or_else(|| &self.kinds.description(kind).kind)
    }

    /// What this node does not have is counted together: names that somebody invents must not become labels.
    fn count_dead_letters(&mut self, kind: KindIndex, count: u64) {
        self.statistics.dead_letters += count;
        let label = self.label(kind);
        *self.counted.dead_letters.entry(label).or_default() += count;
    }

    fn label(&self, kind: KindIndex) -> String {
        self.kinds.describe(kind).map_or(UNKNOWN_KIND, |kind| kind.kind.as_str()).to_owned()
    }

    fn index_of(&self, kind: &KindName) -> KindIndex {
        self.kinds.find(kind).unwrap_or(KindIndex::UNKNOWN)
    }

    /// Writes a letter about something that comes again when the letter is lost, so it counts when it is committed.
    fn bury(&mut self, target: EntityId, body: Body, reason: String) {
        let kind = self.index_of(&target.kind);
        self.write_letter(target, body, reason);
        self.gate.hold(Effect::Buried(kind));
    }

    /// A command that nobody waits for is lost. It counts at once, whatever becomes of its letter, if it has one.
    fn lose(&mut self, target: EntityId, body: &Payload, reason: &dyn fmt::Display) {
        self.count_dead_letters(self.index_of(&target.kind), 1);
        if self.flood.takes(self.shard, self.meta.clock_ms) {
            self.write_letter(target, body.to_body(), reason.to_string());
        }
    }

    fn write_letter(&mut self, target: EntityId, body: Body, reason: String) {
        let letter = DeadLetter::new(target, body, reason, self.meta.clock_ms);
        outbox::bury(&mut self.pending, &mut self.meta, &letter);
    }
}
