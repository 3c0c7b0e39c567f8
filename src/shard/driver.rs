//! Runs a core: brings time and messages, proposes, acts on what leaves the gate.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use parking_lot::Mutex;
use playhouse_cluster::{
    collections::Hasher,
    consensus::{Group, Leadership, Observer, Progress, ProposeError, Term},
    environment::{Environment, watch},
    store::StoreError,
};
use tokio::{sync::Notify, time::Instant};

use super::{
    budget::{ResidentBudget, Share},
    core::{Config, Core, Effect},
    envelope::{Cast, Message},
    handover::Handover,
    mailbox::Mailbox,
    meter::{Meter, SLOW_HANDLER},
    statistics::ShardStatistics,
};
use crate::{
    entity::{KindIndex, KindRegistry, Spawn},
    protocol::{Body, CallError, EntityId, Key, Reply, ShardId},
    telemetry::{Metrics, traces::Traces},
};

/// How many messages are executed before other tasks of the thread get a turn.
const MESSAGES_PER_TURN: usize = 1_024;
/// How many read barriers may be on their way.
const BARRIERS_MAX: usize = 64;
/// How often idle residents are looked for, and statistics published.
const TICK: Duration = Duration::from_secs(1);
/// How many residents per kind are looked at in one tick. With each step of pressure twice as many, up to
/// [`PASSIVATE_DOUBLED_MAX`] times: entities may be woken faster than this finds those that are to go.
const PASSIVATE_PER_TICK: usize = 10_000;
/// Then a tick takes some milliseconds.
const PASSIVATE_DOUBLED_MAX: u32 = 4;
/// How many messages are executed between two looks at the clock, while they are short.
const UNTIMED_MAX: u32 = 16;
/// An idle executor keeps memory for this many messages.
const BACKLOG_KEPT: usize = 1_024;

/// Where an executor sends what leaves its shard.
pub trait Outgoing: Send + Sync + 'static {
    /// Sends a cast of the outbox until it is acknowledged; the outcome comes back as [`Message::CastDone`].
    fn cast(&self, cast: Cast);

    /// Sends a cast once.
    fn cast_once(&self, target: EntityId, body: Body);

    /// Calls an entity.
    fn call(
        &self,
        target: EntityId,
        body: Body,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Reply, CallError>>;
}

/// What executors of one node share.
#[derive(Clone)]
pub struct ShardServices {
    /// The kinds of this node.
    pub kinds: Arc<KindRegistry>,
    /// Bounds.
    pub config: Config,
    /// Where messages for other shards go.
    pub outgoing: Arc<dyn Outgoing>,
    /// Clock, tasks, hash seed.
    pub environment: Environment,
    /// The memory that residents of all shards share.
    pub residents: ResidentBudget,
    /// Where to count.
    pub metrics: Metrics,
    /// Where spans go.
    pub traces: Traces,
}

/// One term of one shard, to be run.
pub struct Executor {
    /// Which shard.
    pub shard: ShardId,
    /// In which term.
    pub term: Term,
    /// Its group.
    pub group: Arc<dyn Group>,
    /// Where messages arrive.
    pub mailbox: Mailbox,
    /// What was counted, once per second.
    pub statistics: watch::Sender<ShardStatistics>,
    /// Becomes `true` when the node stops.
    pub stopped: watch::Receiver<bool>,
    /// Pauses it before a planned move.
    pub handover: Handover,
}

/// How far proposals have come; filled by consensus, emptied by the executor.
#[derive(Default)]
struct News {
    queue: Mutex<Vec<(u64, Progress)>>,
    waiting: Notify,
    /// Whether the executor waits until the store has something, too; it does only when it may go no further before.
    awaits_store: AtomicBool,
}

impl News {
    fn tell(&self, number: u64, progress: Progress) {
        let is_applied = progress == Progress::Applied;
        self.queue.lock().push((number, progress));
        if !is_applied || self.awaits_store.load(Ordering::SeqCst) {
            self.waiting.notify_one();
        }
    }

    /// Whether nothing is there that would not wake the executor: of two that meet here, either this one sees what the other
    /// pushed, or the other one sees the flag.
    fn may_wait(&self, awaits_store: bool) -> bool {
        self.awaits_store.store(awaits_store, Ordering::SeqCst);
        !awaits_store || self.queue.lock().is_empty()
    }
}

struct Watcher {
    number: u64,
    news: Arc<News>,
}

impl Observer for Watcher {
    fn progress(&mut self, progress: Progress) {
        self.news.tell(self.number, progress);
    }
}

type Barrier = BoxFuture<'static, Result<(), ProposeError>>;

struct Running {
    core: Core,
    executor: Executor,
    services: ShardServices,
    news: Arc<News>,
    barriers: FuturesOrdered<Barrier>,
    /// What waits for each barrier.
    reads: VecDeque<Vec<Effect>>,
    /// What the replies take that wait for barriers.
    barrier_bytes: usize,
    /// When each proposal on its way was made.
    made: VecDeque<(u64, Instant)>,
    /// What was taken from the mailbox and not executed yet.
    backlog: VecDeque<Message>,
    /// Since when acknowledgements wait for a proposal.
    housekeeping_since: Option<Instant>,
    next_tick: Instant,
    meter: Meter,
    share: Share,
    /// How many messages are executed between two looks at the clock.
    untimed_max: u32,
    /// Whether leadership is about to move, so that nothing new is begun.
    is_paused: bool,
}

/// Why an executor ended.
#[derive(Debug)]
enum End {
    TermOver,
    Store(StoreError),
}

/// Executes the shard until its term ends or the store fails. Whoever waits then is told what is known.
///
/// # Errors
///
/// When the store cannot be read; the node must not go on serving this shard.
pub async fn run(executor: Executor, services: ShardServices, hasher: &Hasher) -> Result<(), StoreError> {
    let (kinds, config) = (Arc::clone(&services.kinds), services.config.clone());
    let group = Arc::clone(&executor.group);
    let loaded = Core::load(executor.shard, executor.term, group, kinds, hasher, config);
    let (core, effects) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            refuse_all(executor.mailbox.close(), &executor);
            return Err(error);
        }
    };
    let next_tick = services.environment.now() + TICK;
    let (metrics, traces, environment) = (&services.metrics, &services.traces, &services.environment);
    let meter = Meter::new(metrics, traces, environment, executor.shard, &services.kinds);
    let share = Share::new(&services.residents);
    let mut running = Running {
        core,
        executor,
        services,
        news: Arc::default(),
        barriers: FuturesOrdered::new(),
        reads: VecDeque::new(),
        barrier_bytes: 0,
        made: VecDeque::new(),
        backlog: VecDeque::new(),
        housekeeping_since: None,
        next_tick,
        meter,
        share,
        untimed_max: 1,
        is_paused: false,
    };
    running.act(effects);
    let end = running.serve().await;
    running.finish();
    match end {
        End::TermOver => Ok(()),
        End::Store(error) => Err(error),
    }
}

fn refuse_all(messages: impl IntoIterator<Item = Message>, executor: &Executor) {
    let count = messages.into_iter().map(|message| message.refuse(CallError::NotCommitted)).count();
    if count > 0 {
        tracing::debug!(shard = executor.shard.0, count, "messages met a shard that moves");
    }
}

impl Running {
    async fn serve(&mut self) -> End {
        let mut leadership = self.executor.group.leadership();
        let mut handover = self.executor.handover.wanted();
        let ours = Leadership::Leader { term: self.executor.term };
        loop {
            self.is_paused = *handover.borrow_and_update();
            if *leadership.borrow_and_update() != ours || *self.executor.stopped.borrow_and_update() {
                return End::TermOver;
            }
            if let Err(end) = self.turn().await {
                return end;
            }
            self.executor.handover.tell(self.is_paused && self.is_quiet());
            if self.has_work() {
                tokio::task::yield_now().await;
                continue;
            }
            self.park(&mut leadership, &mut handover).await;
        }
    }

    /// Waits until there is something to do.
    async fn park(
        &mut self,
        leadership: &mut watch::Receiver<Leadership>,
        handover: &mut watch::Receiver<bool>,
    ) {
        let takes_messages = self.takes_messages();
        if !self.news.may_wait(self.is_paused || !takes_messages) {
            return;
        }
        let wake_at = self.wake_at();
        let mut stopped = self.executor.stopped.clone();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => {}
            changed = leadership.changed() => {
                if changed.is_err() {
                    tracing::debug!(shard = self.executor.shard.0, "the replica is gone");
                }
            }
            _ = handover.changed() => {}
            () = self.news.waiting.notified() => {}
            Some(outcome) = next_barrier(&mut self.barriers) => self.passed(&outcome),
            () = self.executor.mailbox.wait(), if takes_messages => {}
            () = tokio::time::sleep_until(wake_at) => {}
        }
    }

    /// Whether nothing that this executor began is on its way.
    fn is_quiet(&self) -> bool {
        self.core.is_quiet() && self.barriers.is_empty()
    }

    fn takes_messages(&self) -> bool {
        !self.is_paused && self.core.may_take(self.barrier_bytes) && self.barriers.len() < BARRIERS_MAX
    }

    fn has_work(&self) -> bool {
        self.takes_messages() && (!self.backlog.is_empty() || !self.executor.mailbox.is_empty())
    }

    /// The next time at which something is due without a message.
    fn wake_at(&self) -> Instant {
        if self.is_paused || !self.core.may_propose() {
            // Nothing that is due could be proposed; that the store has the next one, or the end of the pause, wakes us.
            return self.next_tick;
        }
        let now = self.services.environment.now();
        let timer = self.core.next_due_ms().map(|due_ms| {
            now + Duration::from_millis(due_ms.saturating_sub(self.services.environment.wall_ms()).max(1))
        });
        // A commit wakes us, too.
        let housekeeping = self.housekeeping_since.filter(|_| self.core.is_worth_proposing());
        let housekeeping = housekeeping.map(|since| since + self.core_config().housekeeping_after);
        [Some(self.next_tick), timer, housekeeping].into_iter().flatten().min().unwrap_or(self.next_tick)
    }

    fn core_config(&self) -> &Config {
        &self.services.config
    }

    /// Hears news, executes messages, proposes.
    async fn turn(&mut self) -> Result<(), End> {
        self.hear()?;
        self.core.advance(self.services.environment.wall_ms());
        if !self.is_paused && self.core.may_propose() {
            while self.core.may_propose() && self.core.fire_due().map_err(End::Store)? {
                self.propose().await;
            }
            self.execute().await?;
        }
        if self.core.may_propose() {
            self.propose().await;
        }
        self.release();
        self.pass_barriers();
        self.tick();
        Ok(())
    }

    async fn execute(&mut self) -> Result<(), End> {
        let (mut now, mut untimed) = (self.services.environment.now(), 0);
        for _ in 0..MESSAGES_PER_TURN {
            if !self.takes_messages() {
                return Ok(());
            }
            let Some(message) = self.next_message() else { return Ok(()) };
            match self.deliver(message, now)? {
                Some(after) => (now, untimed) = (after, 0),
                None => untimed += 1,
            }
            if untimed >= self.untimed_max {
                let after = self.services.environment.now();
                self.timed(after.duration_since(now), untimed);
                (now, untimed) = (after, 0);
            }
            if self.core.is_full() {
                self.propose().await;
                now = self.services.environment.now();
            }
        }
        Ok(())
    }

    /// Executes one message. A command of a client is measured by itself; then the time after it is returned.
    fn deliver(&mut self, message: Message, now: Instant) -> Result<Option<Instant>, End> {
        let Some(kind) = message.kind_for_client() else {
            self.core.deliver(message, now).map_err(End::Store)?;
            return Ok(None);
        };
        let began = self.services.environment.now();
        let started = self.meter.start(&message, began);
        let before = self.core.open_proposal();
        self.core.deliver(message, began).map_err(End::Store)?;
        let after = self.services.environment.now();
        if let Some(started) = started {
            let (number, bytes) = self.core.open_proposal();
            self.meter.ran(&started, (began, after), (bytes > before.1).then_some(number));
        }
        if self.meter.slow(after.duration_since(began), Some(kind)) {
            self.core.note_slow_handler();
        }
        Ok(Some(after))
    }

    /// Looks at how long the last messages took. Reading the clock costs as much as a short handler, so it is read
    /// once for several, until they take long enough for one of them to be slow.
    fn timed(&mut self, took: Duration, messages: u32) {
        if self.meter.slow(took, None) {
            self.core.note_slow_handler();
        }
        let is_slow = took > SLOW_HANDLER / UNTIMED_MAX * messages;
        self.untimed_max = if is_slow { 1 } else { UNTIMED_MAX };
    }

    fn next_message(&mut self) -> Option<Message> {
        if self.backlog.is_empty() {
            self.executor.mailbox.take(&mut self.backlog);
            if !self.backlog.is_empty() {
                self.meter.batch(self.backlog.len());
            }
        }
        self.backlog.pop_front()
    }

    async fn propose(&mut self) {
        let now = self.services.environment.now();
        // A paused executor that was quiet must stay so: its group is about to be led elsewhere.
        let waited = !self.is_paused
            && self
                .housekeeping_since
                .is_some_and(|since| since + self.core_config().housekeeping_after <= now);
        if self.core.is_worth_proposing()
            && let Some(proposal) = self.core.seal(waited)
        {
            self.made.push_back((proposal.number, now));
            self.meter.proposed(proposal.changes.bytes());
            let watcher = Box::new(Watcher { number: proposal.number, news: Arc::clone(&self.news) });
            let (group, term) = (&self.executor.group, self.executor.term);
            group.propose(term, proposal.number, proposal.changes, watcher).await;
        }
        self.housekeeping_since = match (self.core.has_housekeeping(), self.housekeeping_since) {
            (false, _) => None,
            (true, since) => Some(since.unwrap_or(now)),
        };
    }

    /// Lets out what waits for no proposal, and asks for the barrier that reads need.
    fn release(&mut self) {
        let free = self.core.take_free();
        self.act(free);
        let reads = self.core.take_reads();
        if !reads.is_empty() {
            let (group, term) = (Arc::clone(&self.executor.group), self.executor.term);
            self.barrier_bytes += reads.iter().map(Effect::bytes).sum::<usize>();
            self.reads.push_back(reads);
            self.barriers.push_back(Box::pin(async move { barrier(&*group, term).await }));
        }
    }

    /// Lets out reads whose barrier is behind them. A busy executor never parks, so this is asked every turn.
    fn pass_barriers(&mut self) {
        while let Some(Some(outcome)) = futures_util::FutureExt::now_or_never(self.barriers.next()) {
            self.passed(&outcome);
        }
    }

    fn passed(&mut self, outcome: &Result<(), ProposeError>) {
        let effects = self.reads.pop_front().unwrap_or_default();
        self.barrier_bytes -= effects.iter().map(Effect::bytes).sum::<usize>();
        match outcome {
            Ok(()) => self.act(effects),
            Err(_) => effects.into_iter().for_each(|effect| effect.refuse(CallError::NotCommitted)),
        }
    }

    fn hear(&mut self) -> Result<(), End> {
        let news = std::mem::take(&mut *self.news.queue.lock());
        for (number, progress) in news {
            match progress {
                Progress::Committed => self.committed(number),
                Progress::Applied => {
                    self.committed(number);
                    self.core.applied(number);
                }
                Progress::Failed(failure) => {
                    if failure == ProposeError::NotCommitted {
                        let never = self.core.never_happened(number);
                        never.into_iter().for_each(|effect| effect.refuse(CallError::NotCommitted));
                    }
                    // What was proposed behind it rests on it. Its outcome is not ours to tell.
                    return Err(End::TermOver);
                }
            }
        }
        Ok(())
    }

    fn committed(&mut self, number: u64) {
        let now = self.services.environment.now();
        while let Some((made, at)) = self.made.front().copied()
            && made <= number
        {
            self.made.pop_front();
            self.meter.committed(made, at, now);
        }
        let effects = self.core.committed(number);
        self.act(effects);
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(reply, answer) => reply.send(answer),
                Effect::View(reply, view) => drop(reply.send(view)),
                Effect::Page(reply, page) => drop(reply.send(page)),
                Effect::DeadLetters(reply, letters) => drop(reply.send(Ok(letters))),
                Effect::Cast(cast) => self.services.outgoing.cast(cast),
                Effect::CastOnce { target, body } => self.services.outgoing.cast_once(target, body),
                Effect::Spawn { kind, key, spawn } => self.spawn(kind, key, spawn),
                Effect::NoSubscription(reply, error) => drop(reply.send(Err(error))),
                Effect::Buried(kind) => self.core.count_letter(kind),
                subscriber @ (Effect::Publish { .. } | Effect::StartSubscription(_)) => {
                    self.core.act_for_subscribers(subscriber);
                }
            }
        }
    }

    fn spawn(&self, kind: KindIndex, key: Key, spawn: Spawn) {
        let (mailbox, outgoing) = (self.executor.mailbox.clone(), Arc::clone(&self.services.outgoing));
        self.services.environment.spawn_executor(async move {
            let command = match spawn {
                Spawn::Future(future) => future.await,
                Spawn::Call { target, body, timeout, then } => {
                    then(outgoing.call(target, body, timeout).await)
                }
            };
            // A closed mailbox means that the term is over, and with it everything that is not durable.
            drop(mailbox.push(Message::Returned { kind, key, command }));
        });
    }

    fn tick(&mut self) {
        let now = self.services.environment.now();
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            let statistics = self.core.statistics();
            let pressure = self.share.tell(statistics.tables.resident_bytes);
            self.core.passivate(PASSIVATE_PER_TICK << pressure.min(PASSIVATE_DOUBLED_MAX), pressure);
            // The mailbox and the backlog swap their memory, so this reaches both in time.
            self.backlog.shrink_to(BACKLOG_KEPT);
            self.executor.statistics.send_replace(statistics);
            self.meter.tables(&self.core);
            self.meter.counted(self.core.take_counted());
        }
    }

    fn finish(self) {
        let Self { mut core, executor, backlog, reads, meter, .. } = self;
        let mut lost = Vec::new();
        let left = backlog.into_iter().chain(executor.mailbox.close()).filter_map(|message| match message {
            Message::Lost(some) => {
                lost.push(some);
                None
            }
            message => Some(message),
        });
        refuse_all(left, &executor);
        // They are counted; there is no term any more in which they could be kept.
        lost.into_iter().for_each(|some| core.lost(*some));
        meter.counted(core.take_counted());
        reads.into_iter().flatten().for_each(|effect| effect.refuse(CallError::NotCommitted));
        for (effect, known) in core.end() {
            effect.refuse(known);
        }
    }
}

/// Passes a read barrier. While the quorum is silent it is asked again; only the end of the term is a refusal.
async fn barrier(group: &dyn Group, term: Term) -> Result<(), ProposeError> {
    const AGAIN: Duration = Duration::from_millis(50);
    let leadership = group.leadership();
    loop {
        let passed = group.read_barrier(term).await;
        if passed.is_ok() || *leadership.borrow() != (Leadership::Leader { term }) {
            return passed;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The next barrier that was passed; never returns while there is none.
async fn next_barrier(barriers: &mut FuturesOrdered<Barrier>) -> Option<Result<(), ProposeError>> {
    if barriers.is_empty() {
        return std::future::pending().await;
    }
    std::future::poll_fn(|context| Pin::new(&mut *barriers).poll_next(context)).await
}

#[cfg(test)]
mod tests;
