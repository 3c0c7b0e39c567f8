//! A node as a child process: reads a command per line, prints an answer per line.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    sync::Arc,
    time::Duration,
};

use playhouse::process::{
    self, Distribution, Down, Exit, ExitReason, Home, Mailbox, Portable, Process, Reply, distribution,
};
use playhouse_cluster::{
    consensus::RaftId,
    environment::{Environment, spawn_here, watch},
    identity::Incarnation,
    peering::{self, Cookie, Cookies, Local, Peering},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Set for a child: its number, its incarnation, after how many seconds a silent peer counts as dead, and a number that means
/// nothing here.
pub const ROLE: &str = "PLAYHOUSE_DISTRIBUTION_PEER";
/// What stands before each answer, as the test harness prints, too.
pub const ANSWER: &str = "peer: ";
/// Longer than anything takes that is waited for.
const LONG: Duration = Duration::from_secs(30);
/// The group of the processes that others are to find.
const FOUND: &str = "found";

/// Runs until standard input ends.
pub fn run(role: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    let mut peer = runtime.block_on(Peer::start(role, environment));
    say(peer.peering.address());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let answer = runtime.block_on(peer.obey(&words));
        say(&answer);
    }
    runtime.block_on(peer.peering.stop());
}

fn say(text: &str) {
    println!("{ANSWER}{text}");
    std::io::stdout().flush().unwrap();
}

#[derive(Serialize, Deserialize)]
enum Say {
    /// It answers.
    Answer(Reply<String>),
    /// It keeps the place for the answer.
    Keep(Reply<String>),
    /// It answers what it heard so far.
    Heard(Reply<Vec<String>>),
    TrapExit,
    Down(Down),
    Exit(Exit),
    End(ExitReason),
}

impl ractor::Message for Say {}

impl Portable for Say {
    const NAME: &'static str = "say.1";
}

struct Listener;

#[derive(Default)]
struct Memory {
    heard: Vec<String>,
    kept: Vec<Reply<String>>,
}

impl Actor for Listener {
    type Msg = Say;
    type State = Memory;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Say>, (): ()) -> Result<Memory, ActorProcessingErr> {
        Ok(Memory::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Say>,
        say: Say,
        memory: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        match say {
            Say::Answer(reply) => drop(reply.send("here".to_owned())),
            Say::Keep(reply) => memory.kept.push(reply),
            Say::Heard(reply) => drop(reply.send(memory.heard.clone())),
            Say::TrapExit => Process::of(&myself).unwrap().trap_exit(Say::Exit),
            Say::Down(down) => memory.heard.push(format!("down:{}", down.reason)),
            Say::Exit(exit) => memory.heard.push(format!("exit:{}", exit.reason)),
            Say::End(reason) => return Err(reason.into()),
        }
        Ok(())
    }
}

struct Peer {
    peering: Peering,
    distribution: Distribution,
    seeds: Arc<watch::Sender<BTreeSet<String>>>,
    /// What hears of ends on this node.
    observer: Process<Say>,
    /// The process that others find.
    own: Process<Say>,
    /// The process of another node that was found.
    found: Option<Process<Say>>,
    call: Option<JoinHandle<String>>,
}

impl Peer {
    async fn start(role: &str, environment: Environment) -> Self {
        let words: Vec<_> = role.split(' ').map(number).collect();
        let local = Local {
            name: format!("node-{}", words[0]),
            raft_id: RaftId(words[0]),
            incarnation: Incarnation(words[1]),
            release: "1.0.0".to_owned(),
            zone: String::new(),
            track: "stable".to_owned(),
            shards: 1,
        };
        let config = peering::Config {
            listen: "127.0.0.1:0".to_owned(),
            mail: true,
            ping_every: Duration::from_millis(200),
            suspect_after: Duration::from_millis(800),
            close_after: Duration::from_secs(words[2]),
            redial_max: Duration::from_millis(500),
            ..peering::Config::default()
        };
        let home = Home { node: local.raft_id, incarnation: local.incarnation };
        let distribution = Distribution::new(home, distribution::Config::default(), environment.clone());
        let cookies = Arc::new(Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None });
        let seeds = Arc::new(watch::Sender::new(BTreeSet::new()));
        let (frames, discovery, none) = (Arc::new(distribution.clone()), Arc::clone(&seeds), BTreeMap::new());
        let peering = Peering::start(config, local, None, cookies, discovery, none, frames, environment);
        let peering = peering.await.unwrap();
        let observer = process::spawn(Listener, (), Mailbox::default()).await.unwrap();
        observer.cast(Say::TrapExit).await.unwrap();
        let own = process::spawn(Listener, (), Mailbox::default()).await.unwrap();
        distribution.groups().join(FOUND, &own).unwrap();
        Self { peering, distribution, seeds, observer, own, found: None, call: None }
    }

    async fn obey(&mut self, words: &[&str]) -> String {
        match *words {
            ["dial", address] => self.dial(address),
            ["reach", incarnation] => self.reach(number(incarnation)).await,
            ["lost"] => self.lost().await,
            ["find", incarnation] => self.find(number(incarnation)).await,
            ["watch"] => {
                self.observer.monitor(self.found(), Say::Down).unwrap();
                "ok".to_owned()
            }
            ["link"] => {
                self.observer.link(self.found());
                "ok".to_owned()
            }
            ["heard", count] => self.heard(number(count)).await,
            ["call"] => self.call().await,
            ["hang"] => self.hang().await,
            ["hung"] => self.call.take().unwrap().await.unwrap(),
            ["end"] => {
                self.own.cast(Say::End(ExitReason::Shutdown)).await.unwrap();
                self.own.ended().await.to_string()
            }
            ["ended"] => self.own.ended().await.to_string(),
            _ => panic!("{words:?}"),
        }
    }

    fn dial(&self, address: &str) -> String {
        self.seeds.send_modify(|seeds| {
            seeds.insert(address.to_owned());
        });
        "ok".to_owned()
    }

    async fn reach(&self, incarnation: u64) -> String {
        let (mut peers, start) = (self.distribution.peers(), Instant::now());
        let is_reached =
            |peers: &Arc<BTreeMap<_, Home>>| peers.values().any(|home| home.incarnation.0 == incarnation);
        let reached = timeout(LONG, peers.wait_for(is_reached)).await.is_ok();
        if reached { took(start) } else { format!("never: {:?}", self.distribution) }
    }

    async fn lost(&self) -> String {
        let (mut peers, start) = (self.distribution.peers(), Instant::now());
        let lost = timeout(LONG, peers.wait_for(|peers| peers.is_empty())).await.is_ok();
        if lost { took(start) } else { "never".to_owned() }
    }

    /// Finds the process of that start of another node.
    async fn find(&mut self, incarnation: u64) -> String {
        let is_there = |process: &Process<Say>| {
            process.id().home().is_some_and(|home| home.incarnation.0 == incarnation)
        };
        let find = async {
            loop {
                let members = self.distribution.groups().members::<Say>(FOUND);
                if let Some(found) = members.into_iter().find(is_there) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        self.found = timeout(LONG, find).await.ok();
        if self.found.is_some() { "ok" } else { "never" }.to_owned()
    }

    fn found(&self) -> &Process<Say> {
        self.found.as_ref().expect("it was found")
    }

    /// What the observer heard since the start, once it is as much.
    async fn heard(&self, count: u64) -> String {
        let hear = async {
            loop {
                let heard = self.observer.call(Say::Heard, LONG).await.unwrap();
                if heard.len() as u64 >= count {
                    return heard.join(" ");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, hear).await.unwrap_or_else(|_| "never".to_owned())
    }

    async fn call(&self) -> String {
        match self.found().call(Say::Answer, LONG).await {
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        }
    }

    /// Begins a call that has no answer; returns when the message has arrived.
    async fn hang(&mut self) -> String {
        let found = self.found().clone();
        self.call = Some(spawn_here(async move {
            let start = Instant::now();
            match found.call(Say::Keep, LONG * 10).await {
                Ok(answer) => answer,
                Err(error) => format!("{error} {}", took(start)),
            }
        }));
        self.call().await
    }
}

fn took(start: Instant) -> String {
    format!("{} ms", start.elapsed().as_millis())
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}
