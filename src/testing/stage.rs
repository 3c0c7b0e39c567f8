//! One shard on the machine of a test.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use compact_str::CompactString;
use playhouse_cluster::{
    collections::Hasher,
    consensus::Term,
    store::{Crash, Engine, Memory},
};
use serde_json::Value;
use tokio::{sync::oneshot, time::Instant};

use super::{Item, Promise, Release, SentCast, group::Solo, sabotage};
use crate::{
    entity::{Entity, KindIndex, KindRegistry, Spawn},
    protocol::{Body, CallError, EntityId, EntityView, Key, KindName, Reply, ShardId, codec},
    shard::{
        CastOutcome, Config, Core, DeadLetter, Effect, Envelope, Message, More, Position, ReplyTo, SetTimer,
        StreamId,
    },
};

const SHARD: ShardId = ShardId(0);
/// When every stage begins, in milliseconds since the Unix epoch.
const START_MS: u64 = 1_800_000_000_000;
/// More rounds than this of casts that beget casts, or timers that set timers, have no end.
const ROUNDS_MAX: usize = 100_000;

/// One shard on the machine of a test. See [the module](super) for an example.
pub struct Stage {
    kinds: Arc<KindRegistry>,
    memory: Arc<Memory>,
    core: Core,
    now_ms: u64,
    term: u64,
    is_stalled: bool,
    /// Proposals that are written but not durable.
    written: VecDeque<u64>,
    casts: VecDeque<SentCast>,
    published: Vec<Item>,
    spawned: VecDeque<(KindIndex, Key, Spawn)>,
    /// What all terms counted since somebody asked.
    dead_letters: BTreeMap<String, u64>,
}

/// Commands.
impl Stage {
    /// A new shard, executed by `release`. The clock stands at 1,800,000,000,000 ms.
    #[must_use]
    pub fn start(release: Release) -> Self {
        let (kinds, memory) = (Arc::new(release.into_kinds()), Memory::new());
        let (core, _) = load(1, &kinds, &memory);
        let mut stage = Self {
            kinds,
            memory,
            core,
            now_ms: START_MS,
            term: 1,
            is_stalled: false,
            written: VecDeque::new(),
            casts: VecDeque::new(),
            published: Vec::new(),
            spawned: VecDeque::new(),
            dead_letters: BTreeMap::new(),
        };
        stage.core.advance(START_MS);
        stage
    }

    /// A new shard with one kind.
    #[must_use]
    pub fn of<E: Entity>() -> Self {
        Self::start(Release::new().kind::<E>())
    }

    /// Calls an entity and waits for the reply.
    ///
    /// # Errors
    ///
    /// As a client of the node would get them.
    ///
    /// # Panics
    ///
    /// When `key` is not allowed, or when the reply waits for a commit because the stage is [stalled](Self::stall).
    pub fn call<E: Entity>(&mut self, key: &str, command: &E::Command) -> Result<E::Reply, CallError> {
        self.send::<E>(key, command).outcome().expect(STALLED)
    }

    /// Calls an entity with an idempotency key: at most one effect per key, and the first reply again.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call).
    pub fn call_once<E: Entity>(
        &mut self,
        idempotency_key: &str,
        key: &str,
        command: &E::Command,
    ) -> Result<E::Reply, CallError> {
        let more = More { idempotency_key: Some(idempotency_key.into()), ..More::default() };
        let reply = self.request(entity::<E>(key), encode(command), Some(more), None);
        Promise::<E>::new(reply).outcome().expect(STALLED)
    }

    /// Calls an entity as a client in another language does.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call).
    pub fn call_json(&mut self, kind: &str, key: &str, command: &Value) -> Result<Value, CallError> {
        let target = EntityId::new(kind, key).expect("the test names an entity");
        let mut reply = self.request(target, Body::json(command.to_string()), None, None);
        let reply = reply.try_recv().expect(STALLED)?;
        Ok(serde_json::from_slice(&reply.body).expect("replies to JSON are JSON"))
    }

    /// Sends a command whose reply may wait: for a commit, while the stage is [stalled](Self::stall).
    ///
    /// # Panics
    ///
    /// When `key` is not allowed.
    pub fn send<E: Entity>(&mut self, key: &str, command: &E::Command) -> Promise<E> {
        Promise::new(self.request(entity::<E>(key), encode(command), None, None))
    }

    /// The state as the kind shows it.
    ///
    /// # Panics
    ///
    /// As [`call`](Self::call), and when the state cannot be read.
    pub fn view<E: Entity>(&mut self, key: &str) -> Value {
        let (reply, mut view) = oneshot::channel();
        let EntityId { kind, key } = entity::<E>(key);
        self.deliver(Message::View { kind, key, reply });
        let view: EntityView = view.try_recv().expect(STALLED).expect("the state can be read");
        serde_json::from_slice(&view.state).expect("a kind shows JSON")
    }
}

/// What was stated.
impl Stage {
    /// Casts that left the output gate and were not delivered yet, oldest first.
    pub fn casts(&self) -> impl Iterator<Item = &SentCast> {
        self.casts.iter()
    }

    /// Timers that are set, in the order in which they fire.
    ///
    /// # Panics
    ///
    /// When the memory store cannot be read.
    #[must_use]
    pub fn timers(&self) -> Vec<SetTimer> {
        self.core.timers().expect(READABLE)
    }

    /// Items published since this was last asked.
    pub fn take_published(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.published)
    }

    /// Spawned work and calls that were not [run](Self::run_spawned) yet.
    #[must_use]
    pub fn spawned(&self) -> usize {
        self.spawned.len()
    }

    /// Messages that could not be delivered.
    ///
    /// # Panics
    ///
    /// While the stage is [stalled](Self::stall).
    pub fn dead_letters(&mut self) -> Vec<DeadLetter> {
        let (reply, mut letters) = oneshot::channel();
        self.deliver(Message::DeadLetters { limit: usize::MAX, reply });
        letters.try_recv().expect(STALLED).expect(READABLE)
    }

    /// How many there were since this was last asked, by kind, also those of which no letter is kept. A letter that waits for its
    /// commit is none.
    pub fn dead_letters_counted(&mut self) -> BTreeMap<String, u64> {
        self.take_counted();
        std::mem::take(&mut self.dead_letters)
    }

    /// Entities in memory.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.core.statistics().tables.resident
    }

    /// The clock, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// What happens.
impl Stage {
    /// Delivers the oldest cast. `false` when there was none.
    ///
    /// # Panics
    ///
    /// While the stage is [stalled](Self::stall).
    pub fn deliver_cast(&mut self) -> bool {
        let Some((number, outcome)) = self.give_cast() else { return false };
        if let Some(number) = number {
            self.deliver(Message::CastDone { number, outcome });
        }
        true
    }

    /// Delivers the oldest cast, and the answer is lost on its way: the outbox sends the cast again when the shard moves.
    /// `false` when there was none.
    ///
    /// # Panics
    ///
    /// While the stage is [stalled](Self::stall).
    pub fn deliver_cast_unheard(&mut self) -> bool {
        self.give_cast().is_some()
    }

    /// Delivers casts until there are none, also those that the receivers state. Returns how many.
    ///
    /// # Panics
    ///
    /// While the stage is [stalled](Self::stall), and when casts beget casts without end.
    pub fn settle(&mut self) -> usize {
        let mut delivered = 0;
        while self.deliver_cast() {
            delivered += 1;
            assert!(delivered < ROUNDS_MAX, "casts beget casts without end");
        }
        delivered
    }

    /// Lets time pass; timers fire at their times. Returns how many fired. Casts that they state wait for
    /// [`settle`](Self::settle).
    ///
    /// # Panics
    ///
    /// When timers set timers that are due at once, without end.
    pub fn advance(&mut self, by: Duration) -> u64 {
        let before = self.core.statistics().timers_fired;
        let end_ms = self.now_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        let mut rounds = 0;
        while let Some(due_ms) = self.core.next_due_ms().filter(|due_ms| *due_ms <= end_ms) {
            rounds += 1;
            assert!(rounds < ROUNDS_MAX, "timers set timers without end");
            self.turn_clock(due_ms);
            self.core.fire_due().expect(READABLE);
            self.commit();
        }
        self.turn_clock(end_ms);
        self.core.statistics().timers_fired - before
    }

    /// Runs spawned work to its end, and what it spawns; the results come back as commands. Returns how many.
    ///
    /// # Panics
    ///
    /// When spawned work calls an entity while the stage is [stalled](Self::stall).
    pub async fn run_spawned(&mut self) -> usize {
        let mut count = 0;
        while let Some((kind, key, spawn)) = self.spawned.pop_front() {
            let command = match spawn {
                Spawn::Future(future) => future.await,
                Spawn::Call { target, body, then, .. } => {
                    then(self.request(target, body, None, None).try_recv().expect(STALLED))
                }
            };
            self.deliver(Message::Returned { kind, key, command });
            count += 1;
        }
        count
    }

    /// The next handler panics, after it has stated everything. The caller gets [`CallError::Crashed`].
    pub fn crash_next_handler(&mut self) {
        sabotage::light_fuse();
    }

    /// The next handler does not panic after all. `true` if none had come meanwhile.
    pub fn spare_next_handler(&mut self) -> bool {
        sabotage::defuse()
    }

    /// From now on nothing becomes durable: replies and casts wait at the output gate.
    pub fn stall(&mut self) {
        self.is_stalled = true;
    }

    /// What waits becomes durable, and leaves.
    pub fn resume(&mut self) {
        self.is_stalled = false;
        self.commit();
    }

    /// The machine loses power and starts again: what is not durable is lost. Whoever waits hears that the
    /// outcome is unknown. Spawned work is gone; casts of the outbox are sent again.
    pub fn crash(&mut self) {
        self.memory = self.memory.crash(Crash::LoseUnsynced);
        self.next_term();
    }

    /// Another node takes over the shard: it has all that was proposed, even if nobody was told so. Whoever waits
    /// hears that the outcome is unknown.
    ///
    /// # Panics
    ///
    /// When the memory store cannot be written.
    pub fn fail_over(&mut self) {
        self.memory.sync().expect(READABLE);
        self.next_term();
    }

    /// Another release takes over the shard, as in a rolling update.
    pub fn deploy(&mut self, release: Release) {
        self.kinds = Arc::new(release.into_kinds());
        self.fail_over();
    }

    /// Forgets all entities that are not waiting for a commit; they wake when they are called. Returns how many.
    /// One millisecond passes, and what is due by then fires.
    pub fn passivate(&mut self) -> usize {
        self.advance(Duration::from_millis(1));
        self.core.passivate(self.resident() + 1, 0)
    }
}

const STALLED: &str = "the reply waits for a commit: resume the stage first";
const READABLE: &str = "the memory store has no faults";

impl Stage {
    /// Gives the oldest cast to its target; its number in the outbox, and what the target answers.
    fn give_cast(&mut self) -> Option<(Option<u64>, CastOutcome)> {
        let SentCast { target, body, number } = self.casts.pop_front()?;
        assert!(!self.is_stalled, "{STALLED}");
        let known = self.kinds.describe(self.kind(&target.kind));
        let is_durable = known.is_none_or(|kind| kind.durable);
        let position = number.filter(|_| is_durable).map(position);
        let outcome = match self.request(target, body, None, position).try_recv().expect(STALLED) {
            Ok(_) | Err(CallError::Refused(_)) => CastOutcome::Executed,
            Err(error) => CastOutcome::Undeliverable { reason: error.to_string() },
        };
        Some((number, outcome))
    }

    fn request(
        &mut self,
        target: EntityId,
        body: Body,
        more: Option<More>,
        position: Option<Position>,
    ) -> oneshot::Receiver<Result<Reply, CallError>> {
        let (sender, receiver) = oneshot::channel();
        let kind = self.kind(&target.kind);
        let mut more = more.map(Box::new);
        if let Some(naming) = More::naming(kind, &target.kind) {
            more.get_or_insert_default().kind = naming.kind;
        }
        let (key, reply) = (target.key, ReplyTo::Caller(sender));
        let (body, position) = (body.into(), position.map(Box::new));
        let envelope = Envelope { kind, key, body, reply, position, deadline: None, more };
        self.deliver(Message::Command(envelope));
        receiver
    }

    pub(super) fn deliver(&mut self, message: Message) {
        self.core.deliver(message, Instant::now()).expect(READABLE);
        self.commit();
    }

    /// Writes what is open; unless stalled, makes it durable and lets out what waited for it.
    fn commit(&mut self) {
        while let Some(proposal) = self.core.seal(true) {
            self.memory.write(&proposal.changes).expect(READABLE);
            self.written.push_back(proposal.number);
        }
        if !self.is_stalled {
            self.memory.sync().expect(READABLE);
            while let Some(number) = self.written.pop_front() {
                let effects = self.core.committed(number);
                self.core.applied(number);
                self.act(effects);
            }
        }
        let free = self.core.take_free();
        self.act(free);
        let reads = self.core.take_reads();
        self.act(reads);
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(reply, answer) => reply.send(answer),
                Effect::View(reply, view) => drop(reply.send(view)),
                Effect::Page(reply, page) => drop(reply.send(page)),
                Effect::DeadLetters(reply, letters) => drop(reply.send(Ok(letters))),
                Effect::Cast(cast) => {
                    let (target, body, number) = (cast.target, cast.body, Some(cast.number));
                    self.casts.push_back(SentCast { target, body, number });
                }
                Effect::CastOnce { target, body } => {
                    self.casts.push_back(SentCast { target, body, number: None });
                }
                Effect::Spawn { kind, key, spawn } => self.spawned.push_back((kind, key, spawn)),
                Effect::Publish { kind, key, items } => self.publish(kind, &key, &items),
                Effect::NoSubscription(reply, error) => drop(reply.send(Err(error))),
                Effect::Buried(kind) => self.core.count_letter(kind),
                start @ Effect::StartSubscription(_) => self.core.act_for_subscribers(start),
            }
        }
    }

    fn publish(&mut self, kind: KindIndex, key: &Key, items: &[(u64, Bytes)]) {
        let entity = EntityId { kind: self.kinds.description(kind).kind.clone(), key: key.clone() };
        self.published.extend(items.iter().map(|(revision, item)| Item {
            entity: entity.clone(),
            revision: *revision,
            item: serde_json::from_slice(item).expect("published items are JSON"),
        }));
    }

    fn next_term(&mut self) {
        self.term += 1;
        self.take_counted();
        let (core, effects) = load(self.term, &self.kinds, &self.memory);
        let ended = std::mem::replace(&mut self.core, core);
        self.casts.clear();
        self.spawned.clear();
        self.written.clear();
        self.is_stalled = false;
        ended.end().into_iter().for_each(|(effect, known)| effect.refuse(known));
        self.core.advance(self.now_ms);
        self.act(effects);
    }

    fn take_counted(&mut self) {
        for (kind, count) in self.core.take_counted().dead_letters {
            *self.dead_letters.entry(kind).or_default() += count;
        }
    }

    fn turn_clock(&mut self, to_ms: u64) {
        self.now_ms = self.now_ms.max(to_ms);
        self.core.advance(self.now_ms);
    }

    fn kind(&self, name: &KindName) -> KindIndex {
        self.kinds.find(name).unwrap_or(KindIndex::UNKNOWN)
    }
}

fn load(term: u64, kinds: &Arc<KindRegistry>, memory: &Arc<Memory>) -> (Core, Vec<Effect>) {
    let term = Term(term);
    let group = Arc::new(Solo::new(Arc::clone(memory), term));
    let config =
        Config { passivate_after: Duration::ZERO, in_flight_max: NonZeroUsize::MAX, ..Config::default() };
    Core::load(SHARD, term, group, Arc::clone(kinds), &Hasher::with_seed(1), config).expect(READABLE)
}

fn entity<E: Entity>(key: &str) -> EntityId {
    EntityId::new(E::KIND, CompactString::from(key)).expect("the test names an entity")
}

fn encode<C: serde::Serialize>(command: &C) -> Body {
    Body::binary(codec::encode(command).expect("commands are encodable"))
}

fn position(number: u64) -> Position {
    Position { stream: StreamId::Shard(SHARD), number, acknowledged: 0, generation: 1 }
}
