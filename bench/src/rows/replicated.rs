//! Durable call with three replicas on three processes, beside etcd on three processes.
//!
//! All write values of the same length under the same number of keys. Each cluster is started for its run and stopped
//! after it, so that none runs beside another.

use std::{path::Path, sync::Arc, time::Duration};

use playhouse::{
    kinds::{Document, document},
    protocol::Json,
};
use playhouse_client::{Client, Config};
use serde_json::json;
use tokio::time::Instant;

use super::key;
use crate::{
    Effort, Figures, Unit,
    cluster::{self, Cluster, Plan},
    etcd::{Etcd, EtcdClient},
    node::runtime,
    peers, table,
};

const CALLERS: [usize; 2] = [64, 512];
/// Of ours, the more shards have work, the less each of their batches holds: few keys are measured, too.
const KEYS: [usize; 2] = [1_000, 16];
const VALUE_BYTES: usize = 128;
const RUN: Duration = Duration::from_secs(3);
/// Before anything is measured.
const WARM: Duration = Duration::from_secs(1);
/// Callers per connection, where many share one.
const SHARE: usize = 16;

/// With callers on the threads of a node.
pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    runs(effort, native, figures);
}

/// With clients of gateways.
pub(super) fn run_clients(_: &Path, effort: Effort, figures: &mut Figures) {
    runs(effort, clients, figures);
}

fn runs(effort: Effort, ours: fn(Plan, (Duration, Duration), &mut Figures), figures: &mut Figures) {
    let plan = Plan::replicated(3, cluster::shards(effort));
    let times = (effort.lasting(WARM), effort.lasting(RUN));
    for _ in 0..effort.runs {
        ours(plan, times, figures);
        beside_etcd(times, figures);
    }
}

/// Callers, and keys.
fn loads() -> impl Iterator<Item = (usize, usize)> {
    KEYS.into_iter().flat_map(|keys| CALLERS.map(|callers| (callers, keys)))
}

fn name(who: &str, callers: usize, keys: usize) -> String {
    table::name(&format!("replicated call, {callers} callers, {keys} keys"), who)
}

fn clients(plan: Plan, times: (Duration, Duration), figures: &mut Figures) {
    let (cluster, runtime) = (Cluster::apart(plan), runtime());
    for (callers, keys) in loads() {
        let client = client(&cluster, callers);
        let put = Arc::new(json!({"put": {"value": "v".repeat(VALUE_BYTES)}}));
        let rate = runtime.block_on(rate(callers, times, |number| {
            let (entity, put) = (client.entity("document", key(number % keys)), Arc::clone(&put));
            async move {
                let entity = entity.expect("the bench chooses allowed names");
                entity.call::<_, serde_json::Value>(&*put).await.expect("the cluster is healthy");
            }
        }));
        figures.note(name("Playhouse, client over HTTP", callers, keys), Unit::PerSecond, rate);
        let connections = runtime.block_on(async {
            let opened = (0..callers.div_ceil(SHARE).max(3)).map(|_| client.connect());
            futures_util::future::try_join_all(opened).await.expect("the gateways listen")
        });
        let rate = runtime.block_on(self::rate(callers, times, |number| {
            let connection = &connections[number % connections.len()];
            let (entity, put) = (connection.entity("document", key(number % keys)), Arc::clone(&put));
            async move {
                let entity = entity.expect("the bench chooses allowed names");
                entity.call::<_, serde_json::Value>(&*put).await.expect("the cluster is healthy");
            }
        }));
        figures.note(name("Playhouse, client over WebSocket", callers, keys), Unit::PerSecond, rate);
    }
    cluster.stop();
}

fn client(cluster: &Cluster, callers: usize) -> Client {
    let mut config = Config::new(cluster.gateways()).expect("gateways have addresses");
    config.idle_connections_max = callers;
    Client::new(config).expect("it has gateways")
}

fn native(plan: Plan, times: (Duration, Duration), figures: &mut Figures) {
    let cluster = Cluster::with_own(plan);
    let value: Json = json!("v".repeat(VALUE_BYTES)).to_string().parse().expect("it is JSON");
    let put = document::Command::Put { value, if_revision: None, ttl_ms: None };
    for (callers, keys) in loads() {
        let rate = cluster.own().wait(rate(callers, times, |number| {
            let (entity, put) = (cluster.own().entity::<Document>(&key(number % keys)), put.clone());
            async move {
                entity.call(&put).await.expect("the cluster is healthy");
            }
        }));
        figures.note(name(table::OURS, callers, keys), Unit::PerSecond, rate);
    }
    cluster.stop();
}

fn beside_etcd(times: (Duration, Duration), figures: &mut Figures) {
    if !peers::ETCD.is_installed_or_remark(figures) {
        return;
    }
    let runtime = runtime();
    runtime.block_on(async {
        let etcd = Etcd::start().await;
        for (callers, keys) in loads() {
            let connections = etcd.connect(callers.div_ceil(SHARE).max(3)).await;
            let value = [b'v'; VALUE_BYTES];
            let rate = rate(callers, times, |number| {
                let (client, key): (EtcdClient, _) =
                    (connections[number % connections.len()].clone(), key(number % keys));
                async move { client.put(key.as_bytes(), &value).await.expect("the cluster is healthy") }
            });
            figures.note(name("etcd", callers, keys), Unit::PerSecond, rate.await);
        }
    });
}

/// So many callers call one after the other; counts what was acknowledged after the warm time.
pub(super) async fn rate<F>(
    callers: usize,
    (warm, run): (Duration, Duration),
    call: impl Fn(usize) -> F,
) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let started = Instant::now();
    let from = started + warm;
    let to = from + run;
    let call = &call;
    let callers = (0..callers).map(|caller| async move {
        let (mut number, mut acknowledged) = (caller, 0u64);
        loop {
            // On the threads of the runtime: callers share the work as tasks do.
            #[allow(clippy::disallowed_methods)]
            tokio::spawn(call(number)).await.expect("no call panics");
            // Keys of a caller differ, and callers meet on keys.
            number += callers + 1;
            let now = Instant::now();
            if now >= to {
                return acknowledged;
            }
            acknowledged += u64::from(now >= from);
        }
    });
    let acknowledged: u64 = futures_util::future::join_all(callers).await.into_iter().sum();
    acknowledged as f64 / run.as_secs_f64()
}
