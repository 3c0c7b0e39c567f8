//! Nodes, lanes between them that can be held and cut, and a process that does what it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use playhouse_cluster::{
    consensus::RaftId,
    environment::{Environment, spawn_here, watch},
    identity::Incarnation,
    peering::PushError,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::super::{Change, Config, Distribution, Portable, wire::Wire};
use crate::process::{self, Down, Exit, ExitReason, Home, Mailbox, Process, Reply};

pub const SECOND: Duration = Duration::from_secs(1);
/// No claim takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How many frames a held lane takes.
const FRAMES_MAX: usize = 4;

pub fn home(node: u64, incarnation: u64) -> Home {
    Home { node: RaftId(node), incarnation: Incarnation(incarnation) }
}

pub fn node(number: u64) -> Distribution {
    start(number, 1, Config::default())
}

pub fn start(number: u64, incarnation: u64, config: Config) -> Distribution {
    Distribution::new(home(number, incarnation), config, Environment::simulated(number))
}

/// Two nodes that are connected.
pub fn pair() -> (Distribution, Distribution, Lane) {
    let (one, other) = (node(1), node(2));
    let lane = Lane::open(&one, &other);
    (one, other, lane)
}

/// A lane between two nodes.
pub struct Lane {
    held: Arc<watch::Sender<bool>>,
    cut: Arc<watch::Sender<bool>>,
    over: Vec<oneshot::Receiver<()>>,
}

struct End {
    frames: mpsc::Sender<Vec<u8>>,
    cut: Arc<watch::Sender<bool>>,
    is_closed: AtomicBool,
}

impl Wire for Arc<End> {
    fn push(&self, frame: &[u8]) -> Result<(), PushError> {
        if self.is_closed.load(SeqCst) {
            return Err(PushError::Closed);
        }
        self.frames.try_send(frame.to_vec()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PushError::Full,
            mpsc::error::TrySendError::Closed(_) => PushError::Closed,
        })
    }

    fn push_when_room<'a>(&'a self, frame: &'a [u8]) -> BoxFuture<'a, Result<(), PushError>> {
        Box::pin(async move { self.frames.send(frame.to_vec()).await.map_err(|_| PushError::Closed) })
    }

    fn frame_bytes_max(&self) -> usize {
        16 << 20
    }

    fn close(&self, _: &str) {
        self.is_closed.store(true, SeqCst);
        self.cut.send_replace(true);
    }
}

static SESSIONS: AtomicU64 = AtomicU64::new(0);

impl Lane {
    pub fn open(one: &Distribution, other: &Distribution) -> Self {
        let (held, cut) = (Arc::new(watch::Sender::new(false)), Arc::new(watch::Sender::new(false)));
        let mut over = Vec::new();
        let mut pumps = Vec::new();
        for (from, to) in [(one, other), (other, one)] {
            let (frames, taken) = mpsc::channel(FRAMES_MAX);
            let session = SESSIONS.fetch_add(1, SeqCst);
            let end = Arc::new(End { frames, cut: Arc::clone(&cut), is_closed: AtomicBool::new(false) });
            from.open(session, to.home(), "peer", Box::new(end));
            pumps.push((session, taken));
        }
        let [(one_session, from_one), (other_session, from_other)] = pumps.try_into().ok().unwrap();
        for (to, session, frames) in [(other, other_session, from_one), (one, one_session, from_other)] {
            let (ended, end) = oneshot::channel();
            spawn_here(pump(to.clone(), session, frames, held.subscribe(), cut.subscribe(), ended));
            over.push(end);
        }
        Self { held, cut, over }
    }

    /// Nothing arrives any more; what is sent waits.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// The lane ends, and both nodes know it when this returns. What was on the way is lost.
    pub async fn cut(self) {
        self.cut.send_replace(true);
        for over in self.over {
            over.await.unwrap();
        }
    }
}

/// Brings frames to a node until the lane is cut.
async fn pump(
    to: Distribution,
    session: u64,
    mut frames: mpsc::Receiver<Vec<u8>>,
    mut held: watch::Receiver<bool>,
    mut cut: watch::Receiver<bool>,
    ended: oneshot::Sender<()>,
) {
    loop {
        let frame = async {
            let _ = held.wait_for(|held| !held).await;
            frames.recv().await
        };
        tokio::select! {
            biased;
            _ = cut.wait_for(|cut| *cut) => break,
            frame = frame => match frame {
                Some(frame) => to.hear(session, &mut std::iter::once(&*frame)),
                None => break,
            },
        }
    }
    to.close(session, "it was cut");
    let _ = ended.send(());
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Say {
    /// It remembers this.
    Word(String),
    /// It answers what it remembers, and forgets it.
    Heard(Reply<Vec<String>>),
    /// It answers that the call arrived, as this one, which may be of yet another process.
    Answer(Reply<String>),
    /// It drops the place for the answer.
    Forget(Reply<()>),
    /// It keeps it and never answers.
    Keep(Reply<()>),
    /// It panics with it.
    Crash(Reply<()>),
    /// It passes the place for the answer on to another process.
    Pass(Process<Say>, Reply<String>),
    /// It sends a word to that process.
    Send(Process<Say>, String),
    /// It answers with a reference to itself.
    Yourself(Reply<Process<Say>>),
    /// It works for so long.
    Work(Duration),
    End(ExitReason),
    Monitor(Process<Say>),
    Link(Process<Say>),
    TrapExit,
    Down(Down),
    Exit(Exit),
    Change(Change),
}

impl ractor::Message for Say {}

impl Portable for Say {
    const NAME: &'static str = "say.1";
}

/// Takes other messages.
#[derive(Debug, Serialize, Deserialize)]
pub enum Other {
    Ask(Reply<()>),
}

impl ractor::Message for Other {}

impl Portable for Other {
    const NAME: &'static str = "other.1";
}

pub struct Listener;

#[derive(Default)]
pub struct Memory {
    heard: Vec<String>,
    kept: Vec<Reply<()>>,
}

impl Actor for Listener {
    type Msg = Say;
    type State = Memory;
    type Arguments = String;

    /// Fails if it is told why.
    async fn pre_start(&self, _: ActorRef<Say>, failure: String) -> Result<Memory, ActorProcessingErr> {
        if failure.is_empty() { Ok(Memory::default()) } else { Err(failure.into()) }
    }

    async fn handle(
        &self,
        myself: ActorRef<Say>,
        say: Say,
        memory: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        let me = Process::of(&myself).unwrap();
        match say {
            Say::Word(word) => memory.heard.push(word),
            Say::Heard(reply) => drop(reply.send(std::mem::take(&mut memory.heard))),
            Say::Answer(reply) => drop(reply.send(me.id().to_string())),
            Say::Forget(reply) => drop(reply),
            Say::Keep(reply) => memory.kept.push(reply),
            Say::Crash(_reply) => panic!("boom"),
            Say::Pass(to, reply) => to.cast(Say::Answer(reply)).await.unwrap(),
            Say::Send(to, word) => to.cast(Say::Word(word)).await.unwrap(),
            Say::Yourself(reply) => drop(reply.send(me)),
            Say::Work(time) => tokio::time::sleep(time).await,
            Say::End(reason) => return Err(reason.into()),
            Say::Monitor(other) => drop(me.monitor(&other, Say::Down).unwrap()),
            Say::Link(other) => me.link(&other),
            Say::TrapExit => me.trap_exit(Say::Exit),
            Say::Down(down) => memory.heard.push(format!("down {}", down.reason)),
            Say::Exit(exit) => memory.heard.push(format!("exit {}", exit.reason)),
            Say::Change(Change::Joined { processes, .. }) => {
                memory.heard.push(format!("joined {}", processes.len()));
            }
            Say::Change(Change::Left { processes, .. }) => {
                memory.heard.push(format!("left {}", processes.len()))
            }
        }
        Ok(())
    }
}

pub async fn listener() -> Process<Say> {
    with_mailbox(Mailbox::default()).await
}

pub async fn with_mailbox(mailbox: Mailbox<Say>) -> Process<Say> {
    process::spawn(Listener, String::new(), mailbox).await.unwrap()
}

/// A process as the other node sees it.
pub fn seen(process: &Process<Say>, from: &Distribution, to: &Distribution) -> Process<Say> {
    to.process(from.id_of(process).unwrap())
}

pub async fn heard(process: &Process<Say>) -> Vec<String> {
    process.call(Say::Heard, PATIENCE).await.unwrap()
}

/// What it has heard, once it is as many words.
pub async fn hears(process: &Process<Say>, words: usize) -> Vec<String> {
    let hear = async {
        let mut all = Vec::new();
        while all.len() < words {
            all.extend(heard(process).await);
            tokio::task::yield_now().await;
        }
        all
    };
    tokio::time::timeout(PATIENCE, hear).await.expect("it hears so much")
}

/// Returns when both nodes have taken what was sent before.
pub async fn settle(one: &Distribution, other: &Distribution) {
    for (from, to) in [(one, other), (other, one), (one, other)] {
        let nobody = process::ProcessId::there(to.home(), u64::MAX);
        assert_eq!(from.is_alive(nobody, PATIENCE).await, Ok(false));
    }
}

pub fn boom() -> ExitReason {
    ExitReason::Crashed("boom".to_owned())
}
