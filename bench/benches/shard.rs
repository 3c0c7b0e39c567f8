//! The executor of a shard, without the task around it: its mailbox, and batches of commands through its core.
//!
//! `cargo bench -p playhouse-bench --bench shard`

#![allow(missing_docs)] // The macros of the crate write functions.

use std::{collections::VecDeque, hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use playhouse::{
    entity::{Entity, KindIndex, KindRegistry},
    kinds::{Counter, counter},
    protocol::{Key, Payload, ShardId},
    shard::{Config, Core, Envelope, Mailbox, MailboxConfig, Message, ReplyTo},
};
use playhouse_bench::{
    sink::{self, Sink},
    solo::{Solo, TERM},
};
use playhouse_cluster::collections::Hasher;
use tokio::time::Instant;

/// Commands per batch.
const BATCH: usize = 1_024;

fn messages<C: serde::Serialize>(command: impl Fn(u64) -> C) -> Vec<Message> {
    let message = |number: usize| {
        let key = Key::new(format!("entity-{number:09}")).expect("it is allowed");
        let body = Payload::encode(&command(number as u64)).expect("commands are encodable");
        let (kind, reply) = (KindIndex(0), ReplyTo::Nobody);
        let envelope = Envelope { kind, key, body, reply, position: None, deadline: None, more: None };
        Message::Command(envelope)
    };
    (0..BATCH).map(message).collect()
}

fn mailbox(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mailbox = Mailbox::new(MailboxConfig::default());
    let mut taken = VecDeque::new();
    group.bench_function("push and take", |bencher| {
        let push = |messages: Vec<Message>| {
            for message in messages {
                assert!(mailbox.push(message).is_ok(), "it is large enough");
            }
            taken.clear();
            mailbox.take(&mut taken);
            black_box(&taken);
        };
        bencher.iter_batched(|| messages(sink::Command::Note), push, BatchSize::SmallInput);
    });
}

struct Shard {
    core: Core,
    group: Arc<Solo>,
}

impl Shard {
    fn of<E: Entity>() -> Self {
        let mut kinds = KindRegistry::default();
        kinds.register::<E>().expect("its name is allowed");
        let group = Arc::new(Solo::default());
        let (hasher, config) = (Hasher::with_seed(1), Config::default());
        let loaded = Core::load(ShardId(0), TERM, group.clone(), Arc::new(kinds), &hasher, config);
        Self { core: loaded.expect("the memory store has no faults").0, group }
    }

    /// Executes a batch, commits it, and takes what may leave.
    fn run(&mut self, messages: Vec<Message>, now: Instant) {
        for message in messages {
            self.core.deliver(message, now).expect("the memory store has no faults");
        }
        if let Some(proposal) = self.core.seal(false) {
            self.group.commit(&proposal.changes);
            black_box(self.core.committed(proposal.number));
            self.core.applied(proposal.number);
        }
        black_box(self.core.take_free());
    }
}

fn core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core, one batch of commands");
    group.throughput(Throughput::Elements(BATCH as u64));
    let now = Instant::now();
    let mut volatile = Shard::of::<Sink>();
    group.bench_function("volatile", |bencher| {
        let run = |messages| volatile.run(messages, now);
        bencher.iter_batched(|| messages(sink::Command::Note), run, BatchSize::SmallInput);
    });
    let mut replicated = Shard::of::<Counter>();
    group.bench_function("replicated, memory engine", |bencher| {
        let run = |messages| replicated.run(messages, now);
        bencher.iter_batched(|| messages(|_| counter::Command::Add(1)), run, BatchSize::SmallInput);
    });
}

criterion_group!(benches, mailbox, core);
criterion_main!(benches);
