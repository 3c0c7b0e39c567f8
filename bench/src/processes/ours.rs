//! Our processes that are measured: one counts what arrives, one holds a queue.

use std::collections::VecDeque;

use bytes::Bytes;
use playhouse::process::{self, Mailbox, Policy, Portable, Process, Reply};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};

/// What a process takes that counts what arrives.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// Count this; the number says nothing.
    Count(u64),
    /// Count this; the bytes say nothing.
    Load(Bytes),
    /// Count this, and say how much was counted.
    Ask(Bytes, Reply<u64>),
    /// How much was counted.
    Received(Reply<u64>),
}

impl Message for Note {}

impl Portable for Note {
    const NAME: &'static str = "bench-note.1";
}

/// Counts what arrives.
#[derive(Debug)]
pub struct Sink;

impl Actor for Sink {
    type Msg = Note;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Note>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Note>,
        note: Note,
        received: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match note {
            Note::Count(_) | Note::Load(_) => *received += 1,
            Note::Ask(_, reply) => {
                *received += 1;
                reply.send(*received);
            }
            Note::Received(reply) => {
                reply.send(*received);
            }
        }
        Ok(())
    }
}

/// What a process takes that holds a queue.
#[derive(Debug)]
pub enum Use {
    /// Put it in.
    In(u64, Option<Reply<()>>),
    /// Take the oldest out.
    Out(Option<Reply<Option<u64>>>),
    /// How many of both there were.
    Handled(Reply<u64>),
}

impl Message for Use {}

/// Holds a queue.
#[derive(Debug)]
pub struct Queue;

impl Actor for Queue {
    type Msg = Use;
    type State = (u64, VecDeque<u64>);
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Use>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        Ok((0, VecDeque::new()))
    }

    async fn handle(
        &self,
        _: ActorRef<Use>,
        used: Use,
        (handled, queue): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match used {
            Use::In(item, reply) => {
                *handled += 1;
                queue.push_back(item);
                reply.map(|reply| reply.send(()));
            }
            Use::Out(reply) => {
                *handled += 1;
                let item = queue.pop_front();
                reply.map(|reply| reply.send(item));
            }
            Use::Handled(reply) => drop(reply.send(*handled)),
        }
        Ok(())
    }
}

/// Starts so many that count, with the mailboxes that one gets without saying more.
///
/// # Panics
///
/// When one does not start.
pub async fn start(count: usize) -> Vec<Process<Note>> {
    let mut started = Vec::with_capacity(count);
    for _ in 0..count {
        started.push(process::spawn(Sink, (), Mailbox::default()).await.expect("it starts"));
    }
    started
}

/// A mailbox for senders that wait, and for those on other nodes, who cannot: all that a run sends has room.
#[must_use]
pub fn roomy<M>() -> Mailbox<M> {
    Mailbox::new(Policy::Wait).messages_max(10_000_000).bytes_max(1 << 30)
}

/// Ends them.
pub async fn stop<M: Send + 'static>(processes: Vec<Process<M>>) {
    processes.iter().for_each(Process::kill);
    for process in processes {
        process.ended().await;
    }
}

/// What all of them counted.
///
/// # Panics
///
/// When one does not answer.
pub async fn received(processes: &[Process<Note>]) -> u64 {
    let asked = processes.iter().map(|process| process.call(Note::Received, super::PATIENCE));
    let counts = futures_util::future::try_join_all(asked).await;
    counts.expect("a sink answers").into_iter().sum()
}
