//! A node as a child process: reads a command per line, prints an answer per line.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Write},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use playhouse_cluster::{
    consensus::RaftId,
    environment::{Environment, watch},
    identity::Incarnation,
    peering::{
        self, Cookie, Cookies, Local, Peering,
        processes::{self, CallError, CastError, Processes, Remote},
    },
};
use ractor::{Actor, ActorCell, ActorId, ActorRef, pg, registry};
use tokio::time::{Instant, timeout};

use super::actors::{Ask, Echo, Ordinary, Text};

/// Set for a child: its number, its incarnation, the largest frame in KiB, all answers in MiB.
pub const ROLE: &str = "PLAYHOUSE_PROCESS_PEER";
/// What stands before each answer, as the test harness prints, too.
pub const ANSWER: &str = "peer: ";
/// Longer than anything takes that is waited for.
const LONG: Duration = Duration::from_secs(30);
/// A casting loop makes room for others now and then.
const PAUSE: Duration = Duration::from_millis(1);

/// When a silent peer counts as dead, here.
pub const CLOSE_AFTER: Duration = Duration::from_millis(1500);

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
    runtime.block_on(peer.stop());
}

fn say(text: &str) {
    println!("{ANSWER}{text}");
    std::io::stdout().flush().unwrap();
}

struct Peer {
    peering: Peering,
    processes: Processes,
    seeds: Arc<watch::Sender<BTreeSet<String>>>,
    actors: BTreeMap<u64, ActorCell>,
}

impl Peer {
    async fn start(role: &str, environment: Environment) -> Self {
        let words: Vec<_> = role.split(' ').map(number).collect();
        let [number, incarnation, frame_kib_max, answers_mib_max] = words.try_into().unwrap();
        let local = Local {
            name: format!("node-{number}"),
            raft_id: RaftId(number),
            incarnation: Incarnation(incarnation),
            release: "1.0.0".to_owned(),
            zone: String::new(),
            track: "stable".to_owned(),
            shards: 1,
        };
        let config = peering::Config {
            listen: "127.0.0.1:0".to_owned(),
            processes: true,
            ping_every: Duration::from_millis(200),
            suspect_after: Duration::from_millis(800),
            close_after: CLOSE_AFTER,
            redial_max: Duration::from_millis(500),
            ..peering::Config::default()
        };
        let cookies = Arc::new(Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None });
        let seeds = Arc::new(watch::Sender::new(BTreeSet::new()));
        let frame_bytes_max = usize::try_from(frame_kib_max << 10).unwrap();
        let answers_bytes_max = usize::try_from(answers_mib_max << 20).unwrap();
        let bounds = processes::Config { frame_bytes_max, answers_bytes_max, ..processes::Config::default() };
        let processes = Processes::start(bounds, &local, &environment).await.unwrap();
        let frames = Arc::new(processes.clone());
        let discovery = Arc::clone(&seeds);
        let none = BTreeMap::new();
        let peering = Peering::start(config, local, None, cookies, discovery, none, frames, environment);
        Self { peering: peering.await.unwrap(), processes, seeds, actors: BTreeMap::new() }
    }

    async fn stop(self) {
        self.peering.stop().await;
        self.processes.stop().await;
    }

    async fn obey(&mut self, words: &[&str]) -> String {
        match *words {
            ["dial", address] => self.dial(address),
            ["reach", incarnation] => self.reach(number(incarnation)).await,
            ["newer", node_id] => self.newer(number(node_id)).await,
            ["lost"] => self.lost().await,
            ["mirrors", count] => self.mirrors(number(count)).await,
            ["spawn", what, count] => self.spawn(what, number(count)).await,
            ["named", what, name] => self.spawn_one(what, Some(name.to_owned())).await.to_string(),
            ["stop", pid] => self.stop_one(number(pid)).await,
            ["where", name] => describe(registry::where_is(name).into_iter().collect()),
            ["join", group, "all"] => self.join_all(group),
            ["join", group, pid] => self.join(group, number(pid)),
            ["members", group, count] => members(group, number(count)).await,
            ["echo", pid, ms, text] => self.echo(number(pid), number(ms), text).await,
            ["echo-at-last", pid, text] => self.echo_at_last(number(pid), text).await,
            ["silent", pid, ms] => self.silent(number(pid), number(ms)).await,
            ["long", pid, bytes, ms] => self.long(number(pid), number(bytes), number(ms)).await,
            ["count", pid, notes] => self.count(number(pid), number(notes)).await,
            ["noted", pid, notes] => self.noted(number(pid), number(notes)).await,
            ["cast", pid, bytes] => self.cast(number(pid), number(bytes)),
            ["flood", pid, bytes] => self.flood(number(pid), number(bytes)).await,
            ["storm", pid, bytes, ms, seconds] => {
                self.storm(number(pid), number(bytes), number(ms), number(seconds)).await
            }
            ["dropped", expected] => self.dropped(number(expected)).await,
            ["resident"] => resident_kib().to_string(),
            ["listening"] => listening().join(" "),
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
        let (mut peers, start) = (self.processes.peers(), Instant::now());
        let is_reached = |peers: &Arc<BTreeMap<_, processes::ProcessPeer>>| {
            peers.values().any(|peer| peer.incarnation.0 == incarnation)
        };
        let reached = timeout(LONG, peers.wait_for(is_reached)).await.is_ok();
        if reached { took(start) } else { format!("never: {:?}", self.processes) }
    }

    /// The node id of the session with the peer, once it is a newer one.
    async fn newer(&self, than: u64) -> String {
        let mut peers = self.processes.peers();
        let newest = |peers: &Arc<BTreeMap<_, processes::ProcessPeer>>| {
            peers.values().map(|peer| peer.node_id).max().unwrap_or(0)
        };
        let reached = timeout(LONG, peers.wait_for(|peers| newest(peers) > than)).await;
        reached.map_or_else(|_| "never".to_owned(), |peers| newest(&peers.unwrap()).to_string())
    }

    async fn lost(&self) -> String {
        let (mut peers, start) = (self.processes.peers(), Instant::now());
        let lost = timeout(LONG, peers.wait_for(|peers| peers.is_empty())).await.is_ok();
        if lost { took(start) } else { "never".to_owned() }
    }

    fn all_mirrors(&self) -> Vec<ActorCell> {
        let peers = self.processes.peers().borrow().clone();
        peers.keys().flat_map(|peer| self.processes.mirrors(*peer)).collect()
    }

    /// How many mirrors there are, once there are as many as expected.
    async fn mirrors(&self, expected: u64) -> String {
        until(|| self.all_mirrors().len() as u64 == expected).await;
        self.all_mirrors().len().to_string()
    }

    async fn spawn(&mut self, what: &str, count: u64) -> String {
        let mut last = 0;
        for _ in 0..count {
            last = self.spawn_one(what, None).await;
        }
        last.to_string()
    }

    async fn spawn_one(&mut self, what: &str, name: Option<String>) -> u64 {
        let cell = match what {
            "echo" => Actor::spawn(name, Echo, ()).await.unwrap().0.get_cell(),
            "ordinary" => Actor::spawn(name, Ordinary, ()).await.unwrap().0.get_cell(),
            "text" => Actor::spawn(name, Text, ()).await.unwrap().0.get_cell(),
            _ => panic!("{what}"),
        };
        let pid = cell.get_id().pid();
        self.actors.insert(pid, cell);
        pid
    }

    async fn stop_one(&mut self, pid: u64) -> String {
        self.actors.remove(&pid).unwrap().stop_and_wait(None, None).await.unwrap();
        "ok".to_owned()
    }

    fn join(&self, group: &str, pid: u64) -> String {
        pg::join(group.to_owned(), vec![self.actors[&pid].clone()]);
        "ok".to_owned()
    }

    fn join_all(&self, group: &str) -> String {
        pg::join(group.to_owned(), self.actors.values().cloned().collect());
        "ok".to_owned()
    }

    /// How many messages were dropped, once there are as many as expected.
    async fn dropped(&self, expected: u64) -> String {
        until(|| self.processes.frames_dropped() == expected).await;
        self.processes.frames_dropped().to_string()
    }

    /// Waits for the mirror of the process, and makes a reference of it.
    async fn remote(&self, pid: u64) -> Remote<Ask> {
        let find = || self.all_mirrors().into_iter().find(|mirror| mirror.get_id().pid() == pid);
        until(|| find().is_some()).await;
        self.processes.remote(&find().unwrap_or_else(|| panic!("no mirror of {pid}"))).unwrap()
    }

    async fn echo(&self, pid: u64, ms: u64, text: &str) -> String {
        let remote = self.remote(pid).await;
        let start = Instant::now();
        outcome(remote.call(|port| Ask::Echo(text.to_owned(), port), millis(ms)).await, start)
    }

    /// As [`echo`](Self::echo), but tries again while too many calls wait.
    async fn echo_at_last(&self, pid: u64, text: &str) -> String {
        let (remote, start) = (self.remote(pid).await, Instant::now());
        loop {
            let answer = remote.call(|port| Ask::Echo(text.to_owned(), port), LONG).await;
            if answer != Err(CallError::NotSent(CastError::Full)) || start.elapsed() > LONG {
                return outcome(answer, start);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn silent(&self, pid: u64, ms: u64) -> String {
        let remote = self.remote(pid).await;
        let start = Instant::now();
        outcome(remote.call(Ask::Silent, millis(ms)).await, start)
    }

    async fn long(&self, pid: u64, bytes: u64, ms: u64) -> String {
        let remote = self.remote(pid).await;
        let start = Instant::now();
        let answer = remote.call(|port| Ask::Long(bytes, port), millis(ms)).await;
        outcome(answer.map(|bytes| bytes.len().to_string()), start)
    }

    /// Many callers that wait for a short time, and call again.
    async fn storm(&self, pid: u64, bytes: u64, ms: u64, seconds: u64) -> String {
        const CALLERS: usize = 16;
        let (remote, end) = (self.remote(pid).await, Instant::now() + Duration::from_secs(seconds));
        let caller = async || {
            let (mut answered, mut late, mut refused) = (0_u64, 0_u64, 0_u64);
            while Instant::now() < end {
                match remote.call(|port| Ask::Long(bytes, port), millis(ms)).await {
                    Ok(_) => answered += 1,
                    Err(CallError::Timeout { .. }) => late += 1,
                    Err(CallError::NotSent(CastError::Full)) => {
                        refused += 1;
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            [answered, late, refused]
        };
        let counts = join_all((0..CALLERS).map(|_| caller())).await;
        let sum = |at: usize| counts.iter().map(|count| count[at]).sum::<u64>();
        format!("{} {} {}", sum(0), sum(1), sum(2))
    }

    /// As [`count`](Self::count), of a process of this node.
    async fn noted(&self, pid: u64, expected: u64) -> String {
        let local = ActorRef::<Ask>::from(self.actors[&pid].clone());
        let deadline = Instant::now() + LONG;
        loop {
            let notes = local.call(Ask::Count, Some(LONG)).await.unwrap().unwrap();
            if notes == expected || Instant::now() > deadline {
                return notes.to_string();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many notes the process has taken, once there are as many as expected.
    async fn count(&self, pid: u64, expected: u64) -> String {
        let remote = self.remote(pid).await;
        let deadline = Instant::now() + LONG;
        loop {
            let notes = remote.call(Ask::Count, LONG).await.unwrap();
            if notes == expected || Instant::now() > deadline {
                return notes.to_string();
            }
        }
    }

    fn cast(&self, pid: u64, bytes: u64) -> String {
        let mirror = self.all_mirrors().into_iter().find(|mirror| mirror.get_id().pid() == pid);
        let remote = self.processes.remote::<Ask>(&mirror.unwrap()).unwrap();
        match remote.cast(Ask::Note(vec![1; usize::try_from(bytes).unwrap()])) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Casts, and tries again what is refused, until the peer is lost. A call waits meanwhile, in front of all of it.
    async fn flood(&self, pid: u64, bytes: u64) -> String {
        let (remote, start) = (self.remote(pid).await, Instant::now());
        let before = resident_kib();
        let call = remote.call(|port| Ask::Echo(String::new(), port), Duration::from_secs(600));
        let casts = async {
            let (mut taken, mut refused, mut resident) = (0_u64, 0_u64, 0);
            loop {
                match remote.cast(Ask::Note(vec![1; usize::try_from(bytes).unwrap()])) {
                    Ok(()) => taken += 1,
                    Err(CastError::Full) => {
                        refused += 1;
                        resident = resident_kib().max(resident);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(error) => {
                        let grown = resident.saturating_sub(before);
                        break format!("{taken} {refused} {} {grown} {error}", start.elapsed().as_millis());
                    }
                }
            }
        };
        let (call, casts) = tokio::join!(call, casts);
        assert!(matches!(call, Err(CallError::Lost)), "{call:?}");
        casts
    }
}

/// How many local and remote members the group has, once there are as many as expected.
async fn members(group: &str, expected: u64) -> String {
    let group = group.to_owned();
    until(|| pg::get_members(&group).len() as u64 == expected).await;
    describe(pg::get_members(&group))
}

fn describe(actors: Vec<ActorCell>) -> String {
    let local = actors.iter().filter(|actor| matches!(actor.get_id(), ActorId::Local(_))).count();
    format!("{local} local, {} remote", actors.len() - local)
}

fn outcome(answer: Result<String, CallError>, start: Instant) -> String {
    match answer {
        Ok(answer) => answer,
        Err(error) => format!("{error} after {}", took(start)),
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
    }
}

fn took(start: Instant) -> String {
    format!("{} ms", start.elapsed().as_millis())
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    number(line.split_whitespace().nth(1).unwrap())
}

/// The sockets on which this process listens, as the system writes their addresses.
fn listening() -> Vec<String> {
    const LISTENS: &str = "0A";
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let own: BTreeSet<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let tables =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    let is_own = |row: &Vec<&str>| row[3] == LISTENS && own.contains(&format!("socket:[{}]", row[9]));
    rows.filter(is_own).map(|row| row[1].to_owned()).collect()
}
