//! Names that are unique in a cluster of three nodes, beside `global` of three nodes of Erlang.

use playhouse::process::{ClusterNames, Process};

use super::{OURS, Run};
use crate::{
    cluster::{self, Cluster, Plan},
    processes::{
        erlang::ErlangNode,
        ours::{self, Note},
        stage::rated,
    },
    rows::key,
};

const GLOBAL: &str = "Erlang global";
/// Callers, and how many names all of them register and unregister.
const PAIRS: [(usize, usize); 2] = [(1, 300), (64, 1_920)];
/// Callers, and how many names all of them look up.
const LOOKUPS: (usize, usize) = (64, 64_000);

pub(super) fn run(run: &mut Run<'_>) {
    let cluster = Cluster::with_own(Plan::replicated(3, cluster::shards(run.effort)));
    let _others = join(run);
    run.in_turns(|run| turn(run, &cluster));
    cluster.stop();
}

/// Two more nodes of Erlang.
fn join(run: &mut Run<'_>) -> Vec<ErlangNode> {
    run.begin_anew();
    let Some((erlang, own)) = &mut run.erlang else { return Vec::new() };
    let start = |_| {
        let node = erlang.node();
        own.obey(&format!("join {}", node.name()));
        node
    };
    (0..2).map(start).collect()
}

fn turn(run: &mut Run<'_>, cluster: &Cluster) {
    for (callers, pairs) in PAIRS {
        let work = format!("register + unregister of a cluster-unique name, 3 nodes, {callers} callers");
        let pairs = run.of(pairs, callers);
        let rate = register_unregister(cluster, callers, pairs);
        run.rate(&work, OURS, rate);
        run.erlang_rate(&work, GLOBAL, &format!("global {callers} {pairs}"));
    }
    let (callers, lookups) = LOOKUPS;
    let work = format!("look-up of a cluster-unique name, 3 nodes, {callers} callers");
    let lookups = run.of(lookups, callers);
    let rate = whereis(cluster, callers, lookups);
    run.rate(&work, OURS, rate);
    run.erlang_rate(&work, GLOBAL, &format!("global_whereis {callers} {lookups}"));
}

fn names(cluster: &Cluster) -> ClusterNames {
    cluster.own().cluster_names()
}

/// One process for each caller.
fn start(cluster: &Cluster, callers: usize) -> Vec<Process<Note>> {
    cluster.own().each([callers], ours::start).remove(0)
}

fn register_unregister(cluster: &Cluster, callers: usize, pairs: usize) -> f64 {
    let sinks = start(cluster, callers);
    let (rate, _) = rated(pairs, || {
        cluster.own().each(sinks.iter().cloned().enumerate(), |(caller, sink)| {
            let (names, key) = (names(cluster), key(caller));
            async move {
                for _ in 0..pairs / callers {
                    names.register(&key, &sink).await.expect("it is free");
                    assert_eq!(names.unregister(&key).await, Ok(true), "it was given");
                }
            }
        })
    });
    cluster.own().each([sinks], ours::stop);
    rate
}

fn whereis(cluster: &Cluster, callers: usize, lookups: usize) -> f64 {
    let sinks = start(cluster, callers);
    cluster.own().each(sinks.iter().cloned().enumerate(), |(caller, sink)| {
        let (names, key) = (names(cluster), key(caller));
        async move { names.register(&key, &sink).await.expect("it is free") }
    });
    let (rate, _) = rated(lookups, || {
        cluster.own().each(0..callers, |caller| {
            let (names, key) = (names(cluster), key(caller));
            async move {
                for _ in 0..lookups / callers {
                    let found: Option<Process<Note>> =
                        names.whereis(&key).await.expect("its shard has a leader");
                    assert!(found.is_some(), "it has this name");
                }
            }
        })
    });
    cluster.own().each(0..callers, |caller| {
        let (names, key) = (names(cluster), key(caller));
        async move { assert_eq!(names.unregister(&key).await, Ok(true), "it was given") }
    });
    cluster.own().each([sinks], ours::stop);
    rate
}
