//! Clients that add to counters and read them while nodes come and go, and what must be true of every single answer:
//!
//! * An answer shows everything that was acknowledged before its request was sent: no stale read, nothing lost.
//! * In the end each counter has what was acknowledged, through every node: nothing lost, nothing twice.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use playhouse_client::{CallError, Client, Entity, Idempotency, IdempotencyKey, Options};
use playhouse_cluster::environment::watch;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Deserialize;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::nodes::{Nodes, until};

/// How many counters there are. More than shards, so that every shard has some.
const COUNTERS: usize = 64;
/// How long a client rests between two requests: the machine must have time for the nodes.
const REST: Duration = Duration::from_millis(4);

/// Clients at work.
pub struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Book>,
    shared: Arc<Shared>,
}

struct Shared {
    prefix: String,
    /// The highest value of each counter that anybody was told.
    told: Vec<AtomicI64>,
    answers: AtomicU64,
}

/// What happened.
#[derive(Default)]
pub struct Book {
    /// What was acknowledged to be added, by counter.
    added: Vec<i64>,
    calls: Vec<(Instant, Instant)>,
    failures: Vec<Failure>,
    failed_reads: Vec<String>,
    shared: Option<Arc<Shared>>,
}

struct Failure {
    counter: usize,
    add: i64,
    key: IdempotencyKey,
    error: String,
}

#[derive(Deserialize)]
struct Value {
    value: i64,
}

impl Load {
    /// Starts as many clients, each with its own view of which gateways answer. Counters are those of `prefix`.
    pub fn start(prefix: &str, clients: usize, connect: impl Fn() -> Client) -> Self {
        let told = (0..COUNTERS).map(|_| AtomicI64::new(0)).collect();
        let shared = Arc::new(Shared { prefix: prefix.to_owned(), told, answers: AtomicU64::new(0) });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(Worker::new(connect(), &shared).run(stopped.clone()));
        }
        Self { stop, clients: tasks, shared }
    }

    /// What somebody was told of each counter, by name: every later answer shows at least that.
    pub fn told(&self) -> Vec<(String, i64)> {
        let told = self.shared.told.iter().map(|told| told.load(Ordering::SeqCst));
        told.enumerate().map(|(counter, told)| (format!("{}-{counter}", self.shared.prefix), told)).collect()
    }

    /// Starts more clients, which only read.
    pub fn add_readers(&mut self, clients: usize, connect: impl Fn() -> Client) {
        for _ in 0..clients {
            let worker = Worker { reads_only: true, ..Worker::new(connect(), &self.shared) };
            self.clients.spawn(worker.run(self.stop.subscribe()));
        }
    }

    /// Returns when clients got so many more answers.
    pub async fn until_answers(&self, more: u64) {
        let answers = || self.shared.answers.load(Ordering::Relaxed);
        let wanted = answers() + more;
        until("clients get answers", async || answers() >= wanted).await;
    }

    /// Ends all clients after their current request.
    pub async fn stop(mut self) -> Book {
        self.stop.send_replace(true);
        let mut all = Book { added: vec![0; COUNTERS], shared: Some(self.shared), ..Book::default() };
        while let Some(book) = self.clients.join_next().await {
            let book = book.expect("no answer broke its promise");
            all.added.iter_mut().zip(book.added).for_each(|(all, one)| *all += one);
            all.calls.extend(book.calls);
            all.failures.extend(book.failures);
            all.failed_reads.extend(book.failed_reads);
        }
        all
    }
}

/// One client.
struct Worker {
    client: Client,
    random: SmallRng,
    shared: Arc<Shared>,
    book: Book,
    reads_only: bool,
}

impl Worker {
    fn new(client: Client, shared: &Arc<Shared>) -> Self {
        let book = Book { added: vec![0; COUNTERS], ..Book::default() };
        let (random, shared) = (SmallRng::from_os_rng(), Arc::clone(shared));
        Self { client, random, shared, book, reads_only: false }
    }

    async fn run(mut self, stopped: watch::Receiver<bool>) -> Book {
        while !*stopped.borrow() {
            let counter = self.random.random_range(0..COUNTERS);
            let begin = Instant::now();
            match self.random.random_range(0..if self.reads_only { 2 } else { 8 }) {
                0 => self.ask(counter).await,
                1 => self.look(counter).await,
                _ => self.add(counter).await,
            }
            self.book.calls.push((begin, Instant::now()));
            self.shared.answers.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(REST).await;
        }
        self.book
    }

    async fn add(&mut self, counter: usize) {
        let (add, told) = (self.random.random_range(1..10), self.shared.told(counter));
        let key = IdempotencyKey::new(format!("{:032x}", self.random.random::<u128>())).unwrap();
        let entity = self.shared.entity(&self.client, counter);
        match send(&entity, add, &key).await {
            Ok(value) => {
                assert!(value >= told + add, "{told} was acknowledged, then {value} after adding {add}");
                self.shared.tell(counter, value);
                self.book.added[counter] += add;
            }
            Err(error) => self.book.failures.push(Failure { counter, add, key, error: shown(&error) }),
        }
    }

    /// By a command that changes nothing.
    async fn ask(&mut self, counter: usize) {
        let told = self.shared.told(counter);
        let entity = self.shared.entity(&self.client, counter);
        let answer = entity.call::<_, Value>(&json!({"get": {}})).await;
        self.heard(counter, told, answer.map_err(|error| shown(&error)));
    }

    /// By looking at its state.
    async fn look(&mut self, counter: usize) {
        let told = self.shared.told(counter);
        let entity = self.shared.entity(&self.client, counter);
        let answer = entity.get::<Value>().await.map(|view| view.state);
        self.heard(counter, told, answer.map_err(|error| shown(&error)));
    }

    fn heard(&mut self, counter: usize, told: i64, answer: Result<Value, String>) {
        let value = match answer {
            Ok(Value { value }) => value,
            Err(error) => return self.book.failed_reads.push(error),
        };
        assert!(value >= told, "a stale answer: {told} was acknowledged before, {value} was read");
        self.shared.tell(counter, value);
    }
}

impl Shared {
    fn entity(&self, client: &Client, counter: usize) -> Entity {
        client.entity("counter", format!("{}-{counter}", self.prefix)).unwrap()
    }

    fn told(&self, counter: usize) -> i64 {
        self.told[counter].load(Ordering::SeqCst)
    }

    fn tell(&self, counter: usize, value: i64) {
        self.told[counter].fetch_max(value, Ordering::SeqCst);
    }
}

async fn send(entity: &Entity, add: i64, key: &IdempotencyKey) -> Result<i64, CallError> {
    let options = Options { idempotency: Idempotency::Key(key.clone()), ..Options::default() };
    entity.call_with::<_, Value>(&json!({"add": add}), &options).await.map(|replied| replied.reply.value)
}

fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl Book {
    /// No request was given up by its client.
    pub fn assert_no_failures(&self) {
        let failed_adds = self.failures.iter().map(|failure| &failure.error);
        let failures: Vec<_> = failed_adds.chain(&self.failed_reads).collect();
        assert!(failures.is_empty(), "{} of {} failed: {failures:#?}", failures.len(), self.calls.len());
    }

    /// Sends what got no answer once more, with the same keys: it happens now, or it did then.
    pub async fn settle(&mut self, client: &Client) {
        let shared = Arc::clone(self.shared.as_ref().expect("it is of a load that ended"));
        for Failure { counter, add, key, .. } in std::mem::take(&mut self.failures) {
            send(&shared.entity(client, counter), add, &key).await.unwrap();
            self.added[counter] += add;
        }
    }

    /// Each counter has exactly what was acknowledged, through each of these nodes.
    pub async fn audit(&self, nodes: &Nodes, of: &[usize]) {
        for at in of {
            self.audit_by(&nodes.client(&[*at]), &format!("node {at}")).await;
        }
    }

    /// Each counter has exactly what was acknowledged, through this client.
    pub async fn audit_by(&self, client: &Client, whose: &str) {
        assert!(self.failures.is_empty(), "what is not known must be settled first");
        assert!(self.added.iter().any(|added| *added > 0), "the test did something");
        let shared = self.shared.as_ref().expect("it is of a load that ended");
        for (counter, added) in self.added.iter().enumerate() {
            let entity = shared.entity(client, counter);
            let Value { value } = entity.call(&json!({"get": {}})).await.unwrap();
            assert_eq!(value, *added, "counter {counter} through {whose}");
        }
    }

    /// The longest that anybody waited, after each of these moments until the next one.
    pub fn pauses(&self, moments: &[Instant]) -> Pauses {
        let ends = moments.iter().skip(1).copied().map(Some).chain([None]);
        let longest = |(begin, end): (&Instant, Option<Instant>)| {
            let meets = |call: &&(Instant, Instant)| call.1 >= *begin && end.is_none_or(|end| call.0 < end);
            let waits = self.calls.iter().filter(meets).map(|(begin, end)| *end - *begin);
            waits.max().unwrap_or_default()
        };
        let mut pauses: Vec<_> = moments.iter().zip(ends).map(longest).collect();
        pauses.sort();
        let mut waits: Vec<_> = self.calls.iter().map(|(begin, end)| *end - *begin).collect();
        waits.sort();
        Pauses { pauses, calls: waits.len(), typical: waits[waits.len() / 2] }
    }
}

/// How long clients waited.
pub struct Pauses {
    pauses: Vec<Duration>,
    calls: usize,
    typical: Duration,
}

impl Pauses {
    /// Tells a person.
    pub fn print(&self, what: &str) {
        let (p50, max) = (self.pauses[self.pauses.len() / 2], self.max());
        println!(
            "{what}: {} calls, {:.0?} each (median); {} pauses, p50 {p50:.2?}, max {max:.2?}",
            self.calls,
            self.typical,
            self.pauses.len()
        );
    }

    pub fn max(&self) -> Duration {
        *self.pauses.last().expect("there is a moment")
    }
}
