//! Each engine behind the store: commits one after the other, and group commit.
//!
//! `cargo bench -p playhouse-bench --bench store`

#![allow(missing_docs)] // The macros of the crate write functions.

use std::num::NonZeroUsize;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use playhouse_bench::store::{Appender, start};
use playhouse_cluster::store::EngineKind;
use tokio::runtime::Runtime;

const WRITERS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

fn commits(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("the operating system gives threads");
    let mut group = criterion.benchmark_group("commit");
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = start(kind, folder.path(), runtime.handle());
        for events in [1, 16, 256] {
            group.throughput(Throughput::Elements(events));
            let mut appender = Appender::new(store.clone(), 0);
            group.bench_function(BenchmarkId::new(kind.name(), events), |bencher| {
                bencher.iter(|| runtime.block_on(appender.append(events)));
            });
        }
    }
}

fn group_commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("the operating system gives threads");
    let mut group = criterion.benchmark_group("group commit, 64 writers");
    group.throughput(Throughput::Elements(WRITERS.get() as u64));
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = start(kind, folder.path(), runtime.handle());
        let mut appenders: Vec<_> = (0..64).map(|writer| Appender::new(store.clone(), writer)).collect();
        group.bench_function(kind.name(), |bencher| {
            bencher.iter(|| {
                let appends = appenders.iter_mut().map(|appender| appender.append(1));
                runtime.block_on(futures_util::future::join_all(appends))
            });
        });
    }
}

criterion_group!(benches, commits, group_commit);
criterion_main!(benches);
