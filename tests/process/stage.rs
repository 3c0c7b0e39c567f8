//! A process that does what it is told, and remembers what it heard.

use std::time::Duration;

use playhouse::process::{self, CastError, Down, Exit, ExitReason, Mailbox, Policy, Process, Reply};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

pub const SECOND: Duration = Duration::from_secs(1);

pub enum Say {
    /// It remembers this.
    Word(&'static str),
    /// It answers what it remembers, and forgets it.
    Heard(Reply<Vec<String>>),
    /// It drops the reply.
    Forget(Reply<()>),
    /// It drops the reply, works for so long, and panics if it is told to.
    ForgetThen(Reply<()>, Duration, bool),
    /// It keeps the reply and never answers.
    Keep(Reply<()>),
    /// It panics, holding the reply.
    Crash(Reply<()>),
    /// It returns this as the error of its handler.
    End(ExitReason),
    /// It says that it begins, and then waits for this.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// It calls itself.
    CallSelf(Reply<process::CallError>),
    /// It sends itself a word: as a process, and by `ractor`'s reference, which must fail.
    SendSelf(&'static str),
    /// It sends itself so many words, and answers how many were refused.
    Flood(usize, Reply<usize>),
    /// It passes this on.
    Tell(oneshot::Sender<String>, String),
    Down(Down),
    Exit(Exit),
}

impl ractor::Message for Say {}

/// The actor; with `last_words`, it takes so long to stop.
pub struct Listener {
    pub last_words: Duration,
}

#[derive(Default)]
pub struct Memory {
    heard: Vec<String>,
    kept: Vec<Reply<()>>,
}

impl Actor for Listener {
    type Msg = Say;
    type State = Memory;
    type Arguments = Option<&'static str>;

    /// Fails if there is a reason to.
    async fn pre_start(
        &self,
        _: ActorRef<Say>,
        failure: Option<&'static str>,
    ) -> Result<Memory, ActorProcessingErr> {
        failure.map_or_else(|| Ok(Memory::default()), |text| Err(text.into()))
    }

    async fn handle(
        &self,
        myself: ActorRef<Say>,
        say: Say,
        memory: &mut Memory,
    ) -> Result<(), ActorProcessingErr> {
        match say {
            Say::Word(word) => memory.heard.push(word.to_owned()),
            Say::Heard(reply) => drop(reply.send(std::mem::take(&mut memory.heard))),
            Say::Forget(reply) => drop(reply),
            Say::ForgetThen(reply, work, crash) => {
                drop(reply);
                tokio::time::sleep(work).await;
                assert!(!crash, "boom");
            }
            Say::Keep(reply) => memory.kept.push(reply),
            Say::Crash(_reply) => panic!("boom"),
            Say::End(reason) => return Err(reason.into()),
            Say::Wait(begun, go) => {
                let _ = begun.send(());
                let _ = go.await;
            }
            Say::CallSelf(reply) => {
                let process = Process::of(&myself).unwrap();
                let _ = reply.send(process.call(Say::Heard, SECOND).await.unwrap_err());
            }
            Say::SendSelf(word) => {
                Process::of(&myself).unwrap().cast(Say::Word(word)).await.unwrap();
                let refused = myself.send_message(Say::Word("never"));
                assert!(matches!(refused, Err(ractor::MessagingErr::InvalidActorType)));
            }
            Say::Flood(words, reply) => {
                let (process, mut refused) = (Process::of(&myself).unwrap(), 0);
                for _ in 0..words {
                    refused += usize::from(process.cast(Say::Word("flood")).await == Err(CastError::Full));
                }
                reply.send(refused);
            }
            Say::Tell(to, word) => drop(to.send(word)),
            Say::Down(down) => memory.heard.push(format!("down {}", down.reason)),
            Say::Exit(exit) => memory.heard.push(format!("exit {}", exit.reason)),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Say>, _: &mut Memory) -> Result<(), ActorProcessingErr> {
        tokio::time::sleep(self.last_words).await;
        Ok(())
    }
}

pub async fn listener() -> Process<Say> {
    with_mailbox(Mailbox::default()).await
}

pub async fn with_mailbox(mailbox: Mailbox<Say>) -> Process<Say> {
    process::spawn(Listener { last_words: Duration::ZERO }, None, mailbox).await.unwrap()
}

/// A mailbox for two messages.
pub fn two(policy: Policy) -> Mailbox<Say> {
    Mailbox::new(policy).messages_max(2)
}

pub async fn heard(process: &Process<Say>) -> Vec<String> {
    process.call(Say::Heard, SECOND).await.unwrap()
}

/// Keeps a process busy until the returned sender is used or dropped.
pub async fn busy(process: &Process<Say>) -> oneshot::Sender<()> {
    let ((begun, begins), (go, goes)) = (oneshot::channel(), oneshot::channel());
    process.cast(Say::Wait(begun, goes)).await.unwrap();
    begins.await.unwrap();
    go
}

/// A process that is busy and has as many messages as it may have, the words `a` and `b`.
pub async fn full(policy: Policy) -> (Process<Say>, oneshot::Sender<()>) {
    let process = with_mailbox(two(policy)).await;
    let go = busy(&process).await;
    for word in ["a", "b"] {
        process.cast(Say::Word(word)).await.unwrap();
    }
    (process, go)
}

pub fn boom() -> ExitReason {
    ExitReason::Crashed("boom".to_owned())
}

/// Ends a process by a panic.
pub async fn crash(process: &Process<Say>) {
    let _ = process.call(Say::Crash, SECOND).await;
    process.ended().await;
}
