//! One run: a cluster forms, clients work while things go wrong, everything heals, and all promises are checked.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Once},
    time::Duration,
};

use playhouse_cluster::{environment::Environment, peering::Encryption, store::Crash};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    checks::{self, Relayed, Watch},
    faults::{Faults, Kind},
    history::{History, Record},
    logs, relay,
    workload::{ACCOUNTS, Clients, ENTITIES, JOURNALS, OPENED_WITH, RELAYS, account_name, entity_name},
    world::{Shape, World},
};

/// How often the world is looked at.
const STEP: Duration = Duration::from_millis(25);
/// How long a cluster may take to form.
const FORMED_WITHIN: Duration = Duration::from_secs(60);
/// How long a cluster may take to be whole again when nothing goes wrong any more.
const WHOLE_WITHIN: Duration = Duration::from_secs(90);
/// How long one answer may take in a whole cluster.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How long transfers may take to end in a whole cluster.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What became of a run.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    pub faults: BTreeMap<Kind, u64>,
    /// Equal for equal runs.
    pub fingerprint: u64,
    pub operations: usize,
    pub acknowledged: usize,
    /// How long it took to be whole again.
    pub healed_in: Duration,
    /// How long it took in reality.
    pub took: Duration,
}

thread_local! {
    /// What panicked on this thread. Tasks swallow their panics.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs one seed on this thread.
pub fn run(seed: u64) -> Report {
    catch_panics();
    // Outside of a runtime, so nothing pauses it.
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let mut report = runtime.expect("a runtime").block_on(async {
        let _logs = logs::follow();
        Run::new(seed).run().await
    });
    report.violations.extend(PANICS.with_borrow_mut(std::mem::take));
    report.took = began.elapsed();
    report
}

fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(format!("a panic: {panic}")));
            print(panic);
        }));
    });
}

/// One simulated cluster with its clients and its faults.
struct Run {
    seed: u64,
    world: World,
    faults: Faults,
    watch: Watch,
    clients: Clients,
    violations: Vec<String>,
}

fn shape(random: &mut SmallRng) -> Shape {
    Shape {
        nodes: *[3, 3, 3, 4, 5].get(random.random_range(0..5)).unwrap_or(&3),
        shards: random.random_range(3..=6),
        encryption: if random.random_bool(0.2) { Encryption::On } else { Encryption::Off },
        log_entries_max: random.random_range(20..400),
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let world = World::new(seed, shape(&mut random));
        let clients = Clients {
            directory: world.directory(),
            nodes: world.hosts.len(),
            history: History::default(),
            until: Instant::now(),
            environment: Environment::simulated(seed ^ 0xc11e),
            active: Arc::default(),
            last_name: Arc::default(),
        };
        let (faults, watch) = (Faults::new(seed), Watch::default());
        Self { seed, world, faults, watch, clients, violations: Vec::new() }
    }

    async fn run(mut self) -> Report {
        self.faults.note(format_args!("{:?}", self.world.shape));
        (0..self.world.hosts.len()).for_each(|at| self.world.start(at));
        let mut healed_in = Duration::ZERO;
        if self.until_whole(FORMED_WITHIN).await && self.clients.open_accounts().await {
            self.faults.note("the cluster is formed");
            self.go_wrong().await;
            let began = Instant::now();
            self.faults.heal(&mut self.world);
            let is_whole = self.until_whole(WHOLE_WITHIN).await;
            healed_in = Instant::now() - began;
            if is_whole {
                self.until_idle().await;
                self.check_end().await;
            }
        } else {
            self.violations.push("the cluster was not formed".to_owned());
        }
        self.report(healed_in)
    }

    fn report(mut self, healed_in: Duration) -> Report {
        let record = self.clients.history.record();
        self.violations.append(&mut self.watch.violations);
        self.violations.append(&mut self.faults.violations);
        self.violations.extend(record.absurd.iter().cloned());
        self.violations.extend(checks::linearizable(&record));
        let fingerprint = self.fingerprint(&record);
        Report {
            seed: self.seed,
            violations: self.violations,
            trace: self.faults.trace,
            faults: self.faults.counts,
            fingerprint,
            operations: record.operations.len() + record.sent.len() + record.ordered.len(),
            acknowledged: record.acknowledged(),
            healed_in,
            took: Duration::ZERO,
        }
    }

    fn fingerprint(&self, record: &Record) -> u64 {
        let text = format!("{} {record:?} {:?}", self.world.network.fingerprint(), self.faults.trace);
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    /// Things go wrong for a while, under load.
    async fn go_wrong(&mut self) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ 0xdead);
        let until = Instant::now() + Duration::from_millis(random.random_range(10_000..40_000));
        self.clients.until = until;
        self.clients.start(self.seed);
        while Instant::now() < until {
            self.faults.step(&mut self.world);
            self.step().await;
        }
    }

    /// A moment passes; somebody looks after nodes that are down.
    async fn step(&mut self) {
        self.faults.watch_restored(&mut self.world);
        for at in 0..self.world.hosts.len() {
            self.look_after(at);
        }
        self.watch.look(&self.world);
        tokio::time::sleep(STEP).await;
    }

    fn look_after(&mut self, at: usize) {
        let is_due = self.world.hosts[at].start_at.is_some_and(|at| at <= Instant::now());
        if is_due && !self.world.is_running(at) {
            self.world.start(at);
            self.faults.note(format_args!("start {at}"));
        }
        if self.faults.is_restoring(at) && !self.world.waits_for_files(at) {
            return;
        }
        if let Some(reason) = self.world.ended(at) {
            self.faults.note(format_args!("{at} ended: {reason}"));
            self.world.crash(at, Crash::Process, false);
            self.world.hosts[at].start_at = Some(Instant::now() + Duration::from_millis(500));
        }
    }

    async fn until_whole(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let missing = checks::missing_for_whole(&self.world);
            if missing.is_empty() {
                return true;
            }
            if Instant::now() > deadline {
                self.violations.push(format!("not whole within {limit:?}: {missing:#?}"));
                return false;
            }
            self.step().await;
        }
    }

    /// Until the clients have ended what they began.
    async fn until_idle(&mut self) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        while *self.clients.active.lock() > 0 {
            if Instant::now() > deadline {
                self.violations.push(format!("{} clients are still waiting", *self.clients.active.lock()));
                return;
            }
            self.step().await;
        }
    }

    /// Each node must answer for all entities, with the same.
    async fn check_end(&mut self) {
        let mut finals = BTreeMap::new();
        for which in 0..ENTITIES {
            let key = entity_name(which);
            if let Some(value) = self.read_everywhere("counter", &key, &json!({"get": {}})).await {
                finals.insert(format!("counter/{key}"), value["value"].as_i64().unwrap_or(i64::MIN));
            }
            self.read_everywhere("document", &key, &json!({"get": {}})).await;
        }
        let mut journals = Vec::new();
        for which in 0..JOURNALS {
            let read = self.read_everywhere("journal", &entity_name(which), &json!({"read": {}})).await;
            journals.extend(read.and_then(|lines| serde_json::from_value(lines).ok()));
        }
        let record = self.clients.history.record();
        self.violations.extend(checks::totals(&record, &finals));
        self.violations.extend(checks::journals(&record, &journals));
        self.check_bank(&record).await;
        self.check_relays(&record).await;
    }

    /// Every cast of a relay arrives, or is a dead letter.
    async fn check_relays(&mut self, record: &Record) {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let found = self.relayed().await;
            let violations: Vec<_> =
                found.iter().flatten().flat_map(|found| checks::relayed(record, found)).collect();
            if found.is_some() && violations.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                self.violations.extend(violations);
                if found.is_none() {
                    self.violations.push("nobody shows the dead letters, or what relays did".to_owned());
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn relayed(&self) -> Option<Vec<Relayed>> {
        let router = self.clients.directory.router(0)?;
        let found = router.dead_letters(usize::MAX, ANSWERED_WITHIN).await;
        if !found.unread.is_empty() {
            return None;
        }
        let unreadable: Vec<_> =
            found.letters.iter().filter_map(|(_, letter)| relay::unreadable(&letter.body.bytes)).collect();
        let mut all = Vec::new();
        for relay in 0..RELAYS {
            let (key, look) = (relay::relay_name(relay), json!({"look": {}}));
            let passed = self.clients.read(0, "relay", &key, &look, ANSWERED_WITHIN).await?;
            let (key, read) = (relay::journal_name(relay), json!({"read": {}}));
            let journal = self.clients.read(0, "journal", &key, &read, ANSWERED_WITHIN).await?;
            let sender = relay::line(relay, 0).sender;
            let letters = unreadable.iter().copied().filter(|line| line.sender == sender).collect();
            let passed = serde_json::from_value(passed).ok()?;
            let journal = serde_json::from_value(journal).ok()?;
            all.push(Relayed { relay, passed, journal, letters });
        }
        Some(all)
    }

    async fn read_everywhere(&mut self, kind: &str, key: &str, command: &Value) -> Option<Value> {
        let mut answers = BTreeSet::new();
        for at in 0..self.world.hosts.len() {
            match self.clients.read(at, kind, key, command, ANSWERED_WITHIN).await {
                None => self.violations.push(format!("node {at} does not answer for {kind}/{key}")),
                Some(answer) => drop(answers.insert(answer.to_string())),
            }
        }
        if answers.len() > 1 {
            self.violations.push(format!("{kind}/{key} is different things at once: {answers:?}"));
        }
        answers.first().and_then(|answer| serde_json::from_str(answer).ok())
    }

    /// Every transfer comes to an end, and the money is where the transfers say.
    async fn check_bank(&mut self, record: &Record) {
        let mut balances = [OPENED_WITH as i64; ACCOUNTS];
        let deadline = Instant::now() + SETTLED_WITHIN;
        for ordered in &record.ordered {
            let phase = self.end_of(&ordered.name, deadline).await;
            let is_there = phase != json!("idle");
            if ordered.happened.is_some_and(|happened| happened != is_there) {
                self.violations.push(format!("{ordered:?} is {phase} in the end"));
            }
            if phase == json!("done") {
                let amount = i64::try_from(ordered.amount).expect("it is small");
                balances[ordered.from] -= amount;
                balances[ordered.to] += amount;
            } else if is_there && phase.get("failed").is_none() {
                self.violations.push(format!("transfer {} does not end: {phase}", ordered.name));
            }
        }
        for (account, expected) in balances.into_iter().enumerate() {
            let read = self.read_everywhere("account", &account_name(account), &json!({"get": {}})).await;
            let expected = json!({"is_open": true, "balance": expected, "held": 0});
            if read.as_ref() != Some(&expected) {
                self.violations.push(format!("account {account} should be {expected}, it is {read:?}"));
            }
        }
    }

    async fn end_of(&self, transfer: &str, deadline: Instant) -> Value {
        loop {
            let get = json!({"get": {}});
            let phase = self.clients.read(0, "transfer", transfer, &get, ANSWERED_WITHIN).await;
            let phase = phase.unwrap_or(Value::Null);
            let is_over = phase == json!("idle") || phase == json!("done") || phase.get("failed").is_some();
            if is_over || Instant::now() > deadline {
                return phase;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
