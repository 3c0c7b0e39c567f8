//! What clients do, as real ones would: through any node, again with the same idempotency key when it is not known whether
//! the first attempt happened, until their patience ends.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse::protocol::{Body, CallError, EntityId, Reply, Request, RequestId};
use playhouse_cluster::environment::Environment;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    history::{History, Input, Operation, Ordered, Outcome, Output, Sent},
    journal::Line,
    relay::relay_name,
    world::Directory,
};

/// How many counters, and how many documents.
pub const ENTITIES: usize = 3;
/// How many accounts.
pub const ACCOUNTS: usize = 4;
/// What each account is opened with.
pub const OPENED_WITH: u64 = 1_000;
/// How many journals.
pub const JOURNALS: usize = 2;
/// How many relays.
pub const RELAYS: u32 = 4;
/// How many casts a relay is asked for at once, at most.
const PASSED_MAX: u32 = 4;
/// How many messages a sender has on their way at most.
const BURST_MAX: u32 = 6;
/// How long before a client looks again for a node that serves.
const AGAIN: Duration = Duration::from_millis(50);

/// What all clients of a run share.
#[derive(Clone)]
pub struct Clients {
    pub directory: Directory,
    pub nodes: usize,
    pub history: History,
    /// When they stop to begin something.
    pub until: Instant,
    /// The world of the clients, apart from that of the nodes.
    pub environment: Environment,
    /// How many of them are at work.
    pub active: Arc<Mutex<usize>>,
    /// Names what is sent.
    pub last_name: Arc<Mutex<u64>>,
}

/// What a patient client knows in the end.
enum Known {
    Told(Result<Reply, CallError>),
    Never,
    Unknown,
}

/// One client with its habits.
struct Client {
    number: usize,
    shared: Clients,
    random: SmallRng,
    home: usize,
}

impl Clients {
    /// Starts all clients.
    pub fn start(&self, seed: u64) {
        for number in 0..4 {
            self.spawn(number, seed, |client| async move { client.use_entities().await });
        }
        self.spawn(4, seed, |client| async move { client.transfer().await });
        for number in 5..7 {
            self.spawn(number, seed, |client| async move { client.write_journals().await });
        }
        for number in 7..9 {
            self.spawn(number, seed, |client| async move { client.pass_on().await });
        }
    }

    fn spawn<F>(&self, number: usize, seed: u64, work: impl FnOnce(Client) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let client = self.client(number, seed);
        *self.active.lock() += 1;
        let (active, work) = (Arc::clone(&self.active), work(client));
        self.environment.spawn(async move {
            work.await;
            *active.lock() -= 1;
        });
    }

    fn client(&self, number: usize, seed: u64) -> Client {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64));
        let home = random.random_range(0..self.nodes);
        Client { number, shared: self.clone(), random, home }
    }

    /// Opens the accounts, while nothing goes wrong.
    pub async fn open_accounts(&self) -> bool {
        let mut client = self.client(100, 1);
        for account in 0..ACCOUNTS {
            let command = json!({"open": {"balance": OPENED_WITH}});
            let known =
                client.ask("account", &account_name(account), &command, Duration::from_secs(20)).await;
            if !matches!(known, Known::Told(Ok(_))) {
                return false;
            }
        }
        true
    }

    /// Asks an entity through a certain node until it answers. `None`: it did not.
    pub async fn read(
        &self,
        at: usize,
        kind: &str,
        key: &str,
        command: &Value,
        limit: Duration,
    ) -> Option<Value> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(router) = self.directory.router(at) {
                let request = self.request(kind, key, command, Duration::from_secs(2), None);
                if let Ok(reply) = router.call(request).await {
                    return serde_json::from_slice(&reply.body).ok();
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        None
    }

    fn name(&self) -> u64 {
        let mut last = self.last_name.lock();
        *last += 1;
        *last
    }

    fn request(
        &self,
        kind: &str,
        key: &str,
        command: &Value,
        timeout: Duration,
        once: Option<u64>,
    ) -> Request {
        Request {
            target: EntityId::new(kind, key).expect("the names of this workload are allowed"),
            body: Body::json(command.to_string()),
            request_id: RequestId::random(&self.environment),
            idempotency_key: once.map(|once| once.to_string().into()),
            timeout,
            trace: None,
        }
    }
}

impl Client {
    async fn pause(&mut self, most: Duration) {
        let pause = most.mul_f64(self.random.random_range(0.0..1.0));
        tokio::time::sleep(pause).await;
    }

    fn gateway(&mut self) -> usize {
        if self.random.random_bool(0.3) {
            self.home = self.random.random_range(0..self.shared.nodes);
        }
        self.home
    }

    /// Asks again and again, through any node, until it is told something or its patience ends.
    async fn ask(&mut self, kind: &str, key: &str, command: &Value, patience: Duration) -> Known {
        let deadline = Instant::now() + patience;
        let once = self.shared.name();
        let mut is_unknown = false;
        while Instant::now() < deadline {
            let at = self.gateway();
            let Some(router) = self.shared.directory.router(at) else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let timeout = Duration::from_millis(self.random.random_range(300..4_000));
            let request = self.shared.request(kind, key, command, timeout, Some(once));
            match router.call(request).await {
                Ok(reply) => return Known::Told(Ok(reply)),
                Err(error @ CallError::Refused(_)) => return Known::Told(Err(error)),
                Err(CallError::OutcomeUnknown | CallError::DeadlineExceeded) => is_unknown = true,
                Err(
                    CallError::NotCommitted
                    | CallError::Unavailable { .. }
                    | CallError::Draining
                    | CallError::Overloaded { .. },
                ) => {}
                Err(error) => {
                    self.shared.history.absurd(format!("{kind}/{key} answered {command} with: {error}"));
                    return Known::Unknown;
                }
            }
            self.pause(AGAIN * 4).await;
        }
        if is_unknown { Known::Unknown } else { Known::Never }
    }

    /// Counters and documents.
    async fn use_entities(mut self) {
        let mut seen = [0; ENTITIES];
        while Instant::now() < self.shared.until {
            let which = self.random.random_range(0..ENTITIES);
            match self.random.random_range(0..10) {
                0..4 => drop(self.operate("counter", which, Input::Add(self.number as i64 + 1)).await),
                4..6 => drop(self.operate("counter", which, Input::Get).await),
                6..8 => {
                    let value = self.random.random_range(0..1_000_000);
                    let input = Input::Put { value, if_revision: seen[which] };
                    if let Outcome::Told(Output::Written { revision }) =
                        self.operate("document", which, input).await
                    {
                        seen[which] = revision;
                    }
                }
                _ => {
                    let outcome = self.operate("document", which, Input::Read).await;
                    if let Outcome::Told(Output::Found { revision, .. }) = outcome {
                        seen[which] = revision;
                    }
                }
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    async fn operate(&mut self, kind: &str, which: usize, input: Input) -> Outcome {
        let key = entity_name(which);
        let patience = Duration::from_secs(self.random.random_range(2..20));
        let began = self.shared.history.tick();
        let known = self.ask(kind, &key, &command(&input), patience).await;
        let outcome = match known {
            Known::Never => Outcome::Never,
            Known::Unknown => Outcome::Unknown,
            Known::Told(told) => match output(&input, &told) {
                Some(output) => Outcome::Told(output),
                None => {
                    self.shared.history.absurd(format!("{kind}/{key} answered {input:?} with {told:?}"));
                    Outcome::Unknown
                }
            },
        };
        let (client, entity, ended) = (self.number, format!("{kind}/{key}"), self.shared.history.tick());
        self.shared.history.add(Operation { client, entity, input, began, ended, outcome });
        outcome
    }

    async fn transfer(mut self) {
        while Instant::now() < self.shared.until {
            let from = self.random.random_range(0..ACCOUNTS);
            let to = (from + self.random.random_range(1..ACCOUNTS)) % ACCOUNTS;
            let amount = self.random.random_range(1..OPENED_WITH);
            let name = format!("t{}", self.shared.name());
            let order = json!({"from": account_name(from), "to": account_name(to), "amount": amount});
            let known = self.ask("transfer", &name, &json!({"start": order}), Duration::from_secs(15)).await;
            let happened = match known {
                Known::Told(Ok(_)) => Some(true),
                Known::Told(Err(_)) | Known::Never => Some(false),
                Known::Unknown => None,
            };
            self.shared.history.ordered(Ordered { name, from, to, amount, happened });
            self.pause(Duration::from_millis(800)).await;
        }
    }

    /// Has entities cast to others, which cannot read all of it.
    async fn pass_on(mut self) {
        while Instant::now() < self.shared.until {
            let relay = self.random.random_range(0..RELAYS);
            let count = self.random.random_range(1..=PASSED_MAX);
            let (key, command) = (relay_name(relay), json!({"pass": {"relay": relay, "count": count}}));
            if let Known::Told(told) = self.ask("relay", &key, &command, Duration::from_secs(10)).await {
                match told.as_ref().map(|reply| serde_json::from_slice(&reply.body)) {
                    Ok(Ok(passed)) => self.shared.history.passed(relay, passed),
                    _ => self.shared.history.absurd(format!("relay/{key} answered with {told:?}")),
                }
            }
            self.pause(Duration::from_millis(500)).await;
        }
    }

    /// Sends without waiting; a sender is one that speaks through one start of one node.
    async fn write_journals(mut self) {
        while Instant::now() < self.shared.until {
            let at = self.gateway();
            let Some(router) = self.shared.directory.router(at) else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let sender = u32::try_from(self.shared.name()).expect("there are few");
            let key = entity_name(self.random.random_range(0..JOURNALS));
            let mut number = 0;
            for _ in 0..self.random.random_range(1..8) {
                if Instant::now() > self.shared.until {
                    return;
                }
                let mut burst = Vec::new();
                for _ in 0..self.random.random_range(1..=BURST_MAX) {
                    number += 1;
                    let line = Line { sender, number };
                    let command = json!({"append": line});
                    let timeout = Duration::from_millis(self.random.random_range(500..8_000));
                    let request = self.shared.request("journal", &key, &command, timeout, None);
                    let started = router.start(request);
                    burst.push((line, started.map(|reply| tokio::time::timeout(timeout, reply))));
                }
                for (line, started) in burst {
                    let happened = match started {
                        Err(error) => is_known(&Err(error)),
                        Ok(reply) => reply.await.map_or(None, |outcome| is_known(&outcome)),
                    };
                    self.shared.history.sent(Sent { line, happened });
                }
                self.pause(Duration::from_millis(300)).await;
            }
        }
    }
}

fn is_known(outcome: &Result<Reply, CallError>) -> Option<bool> {
    match outcome {
        Ok(_) => Some(true),
        Err(CallError::OutcomeUnknown | CallError::DeadlineExceeded) => None,
        Err(_) => Some(false),
    }
}

/// The key of an entity.
pub fn entity_name(which: usize) -> String {
    format!("e{which}")
}

/// The key of an account.
pub fn account_name(which: usize) -> String {
    format!("account-{which}")
}

fn command(input: &Input) -> Value {
    match input {
        Input::Add(add) => json!({"add": add}),
        Input::Get | Input::Read => json!({"get": {}}),
        Input::Put { value, if_revision } => json!({"put": {"value": value, "if_revision": if_revision}}),
    }
}

/// What the answer means; `None` if it means nothing.
fn output(input: &Input, told: &Result<Reply, CallError>) -> Option<Output> {
    let body: Value = match told {
        Ok(reply) => serde_json::from_slice(&reply.body).ok()?,
        Err(CallError::Refused(refused)) if refused.code == "revision_mismatch" => {
            return Some(Output::Mismatch);
        }
        Err(_) => return None,
    };
    let revision = body.get("revision").and_then(Value::as_u64);
    match input {
        Input::Add(_) | Input::Get => Some(Output::Value(body["value"].as_i64()?)),
        Input::Put { .. } => Some(Output::Written { revision: revision? }),
        Input::Read => {
            Some(Output::Found { revision: revision?, value: body["value"].as_i64().unwrap_or_default() })
        }
    }
}
