//! Many authenticated WebSocket connections to one node in a process of its own, held with a call over each now and then.
//!
//! The kind keeps nothing on disk and calls leave nothing behind, so that what grows in the node is what connections take.

use std::{net::IpAddr, num::NonZeroU16, path::Path, sync::Arc, time::Duration};

use playhouse::load::{
    self, Access, Arrivals, Machine, Messages, OpenFilesError, Operation, Pace, Plan as Load, Report, Run,
    Transport, raise_open_files,
};
use playhouse_client::{Config, Token};
use playhouse_cluster::environment::Environment;
use tokio::{runtime::Handle, time::Instant};

use crate::{
    Effort, Figures, RUNS_MIN, Unit,
    cluster::{Cluster, PATIENCE, Plan},
    node::{environment, runtime},
    ops::Ops,
    table,
};

const CONNECTIONS: usize = 50_000;
/// Each connection has a call so often.
const CALL_EVERY: Duration = Duration::from_secs(10);
/// All samples are of one run, which holds the same connections: each covers a fifth of it.
const SAMPLE: Duration = Duration::from_secs(120);
/// What is warm before the first connection is counted: the node, its kind, and the keys.
const WARM: Duration = Duration::from_secs(10);
const WARM_CONNECTIONS: usize = 16;
const KEYS: u64 = 1_000;
/// Both ends have other files open, too.
const FILES_BESIDE: usize = 1_000;
/// One address has about 28,000 ports.
const FROM: [[u8; 4]; 4] = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4], [127, 0, 0, 5]];
/// What the node itself says of how many it holds.
const GAUGE: &str = "playhouse_websockets";
const LOOK_EVERY: Duration = Duration::from_millis(20);
const TOKEN: &str = "a-token-of-the-bench";

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let connections = connections(effort, figures);
    let folder = super::volume(folder);
    let token = folder.path().join("tokens");
    std::fs::write(&token, TOKEN).expect("the disk works");
    let shards = NonZeroU16::new(16).expect("it is not zero");
    let cluster = Cluster::apart_with(
        Plan::alone(shards),
        &[
            format!("gateway.connections_max={}", connections + FILES_BESIDE),
            format!("gateway.token_file={}", token.display()),
        ],
    );
    runtime().block_on(hold(connections, &token, &cluster, effort, figures));
    cluster.stop();
}

/// As many as wanted, or as this machine lets a process have.
fn connections(effort: Effort, figures: &mut Figures) -> usize {
    let wanted = effort.of(CONNECTIONS);
    let Err(error) = raise_open_files((wanted + FILES_BESIDE) as u64) else { return wanted };
    let OpenFilesError::TooFew { limit, .. } = error else { panic!("{error}") };
    raise_open_files(limit).expect("a limit can be raised to the hard limit");
    let possible = usize::try_from(limit).expect("it is small").saturating_sub(FILES_BESIDE);
    figures.remark(format!(
        "{wanted} WebSocket connections are not possible here, {possible} were held: {error}"
    ));
    possible
}

async fn hold(connections: usize, token: &Path, cluster: &Cluster, effort: Effort, figures: &mut Figures) {
    let environment = environment(&Handle::current());
    let mut config = Config::new(cluster.gateways()).expect("a gateway has an address");
    config.token = Some(Token::from_file(token).expect("the bench wrote it"));
    let access = Access { config, from: FROM.map(IpAddr::from).to_vec(), reuse: true };
    let ops = cluster.children[0].ops();
    let sample = if effort.is_quick { Duration::from_secs(1) } else { SAMPLE };

    let warm = load(WARM_CONNECTIONS, connections, effort.lasting(WARM));
    drop(measure(&warm, &Arc::new(open(&warm, &access).await), &environment).await);
    wait_until_closed(ops).await;
    let resident = || cluster.children[0].child().resident_bytes();
    let before = resident();

    let load = load(connections, connections, sample);
    let held = Arc::new(open(&load, &access).await);
    for _ in 0..RUNS_MIN {
        let report = measure(&load, &held, &environment).await;
        let per_connection = (resident() - before) / connections as f64;
        let counted = ops.metric(GAUGE).await;
        assert_eq!(counted, connections as f64, "the node holds all connections, and no other");
        note(&report, counted, per_connection.max(0.0), figures);
    }
    figures.remark(format!(
        "{connections} WebSocket connections were held for {} s by one run, each with a call every {} s; its samples are of {} s each",
        (RUNS_MIN as u32 * sample).as_secs(),
        CALL_EVERY.as_secs(),
        sample.as_secs()
    ));
}

/// The node sees the end of a connection a little later than its client.
async fn wait_until_closed(ops: Ops) {
    let deadline = Instant::now() + PATIENCE;
    while ops.metric(GAUGE).await > 0.0 {
        assert!(Instant::now() < deadline, "connections that clients closed end in time");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn note(report: &Report, connections: f64, bytes_per_connection: f64, figures: &mut Figures) {
    assert!(report.errors.is_empty(), "no call over a held connection fails: {:?}", report.errors);
    assert!(
        report.gateways.iter().all(|gateway| gateway.failures == 0),
        "no connection is lost: {:?}",
        report.gateways
    );
    let mut note = |what: &str, unit, value| {
        figures.note(table::name(&format!("WebSocket connections held, {what}"), table::OURS), unit, value);
    };
    let quantile = |share| {
        let latency = report.latencies().quantile(share).expect("calls are answered");
        latency.as_nanos() as f64
    };
    note("resident in the node for each", Unit::Bytes, bytes_per_connection);
    note("connections", Unit::Count, connections);
    note("calls", Unit::PerSecond, report.answered_per_second);
    note("calls, p50", Unit::Nanoseconds, quantile(0.5));
    note("calls, p99", Unit::Nanoseconds, quantile(0.99));
    note("calls, max", Unit::Nanoseconds, quantile(1.0));
}

async fn open(load: &Arc<Load>, access: &Access) -> load::Cluster {
    load::open(load, access).await.expect("the node takes all connections").0
}

async fn measure(load: &Arc<Load>, cluster: &Arc<load::Cluster>, environment: &Environment) -> Report {
    let run = Run::new(Arc::clone(load), Arc::clone(cluster), environment.clone());
    let outcome = run.drive(std::future::pending).await;
    let failures = cluster.gateway_failures().into_iter();
    let gateway = |(address, failures): (playhouse_client::Address, u64)| load::GatewayReport {
        address: address.to_string(),
        failures,
    };
    Report::new(load, &outcome, failures.map(gateway).collect(), Machine::here())
}

/// The rate is that of all connections, however many of them there are yet.
fn load(connections: usize, all: usize, duration: Duration) -> Arc<Load> {
    Arc::new(Load {
        kind: "limiter".to_owned(),
        key_prefix: "websockets-".to_owned(),
        keys: KEYS,
        operation: Operation::Call,
        messages: Messages::default_of("limiter").expect("it ships"),
        idempotency: false,
        pace: Pace::Open { rate: all as f64 / CALL_EVERY.as_secs_f64(), arrivals: Arrivals::Constant },
        transport: Transport::Websocket,
        connections,
        warm_up: Duration::ZERO,
        duration,
        timeout: Duration::from_secs(10),
        in_flight_max: all,
    })
}
