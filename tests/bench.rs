//! `playhouse bench`, as a shell sees it: the real binary against real nodes, and against a server that stalls.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/process.rs"]
mod process;
#[allow(dead_code)] // Not every test needs all of it.
#[path = "../client/tests/support/scripted.rs"]
mod scripted;

use std::{
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cluster::{DevCluster, Printed, signal, until};
use playhouse::load::Report;
use playhouse_client::{Client, ListQuery};
use process::{NodeProcess, PATIENCE, forget_environment, playhouse};
use scripted::{Answer, Scripted};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

fn bench(servers: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    forget_environment(&mut command);
    command.args(["--server", servers, "bench"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ended(child: Child) -> Printed {
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Printed {
        code: output.status.code().expect("by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

async fn run(servers: &str, arguments: &[&str]) -> Printed {
    ended(bench(servers, arguments).spawn().unwrap()).await
}

fn report(path: &Path) -> Report {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn servers(cluster: &DevCluster) -> String {
    let gateways: Vec<_> = cluster.nodes.iter().map(|node| node.gateway.clone()).collect();
    gateways.join(",")
}

async fn value(client: &Client, key: &str) -> i64 {
    let entity = client.entity("counter", key).unwrap();
    let reply: Value = entity.call(&json!({"get": {}})).await.unwrap();
    reply["value"].as_i64().unwrap()
}

/// Both loops, both transports, all operations; counted by the entities themselves.
#[tokio::test(flavor = "multi_thread")]
async fn load_arrives_and_is_reported() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    let (servers, file) = (node.url(), place.path().join("out.json"));
    let report_of = |arguments: &'static str| {
        let mut arguments: Vec<_> = arguments.split_whitespace().collect();
        arguments.extend(["--duration", "1s", "--report", file.to_str().unwrap()]);
        let child = bench(&servers, &arguments).spawn().unwrap();
        let file = file.clone();
        async move {
            let printed = ended(child).await;
            assert_eq!(printed.code, 0, "{printed:?}");
            (report(&file), printed)
        }
    };

    let (open, printed) =
        report_of("--kind counter --rate 100 --transport websocket --warm-up 0 --keys 3 --require errors=0")
            .await;
    assert_eq!((open.counts.intended, open.counts.sent, open.counts.answered), (100, 100, 100));
    assert_eq!(open.histogram.buckets.iter().map(|(_, count)| count).sum::<u64>(), 100);
    assert_eq!(open.series.iter().map(|second| second.counts.answered).sum::<u64>(), 100);
    assert!(
        printed.err.contains("writes 3 entities of kind counter, playhouse-bench-0 to playhouse-bench-2"),
        "{printed:?}"
    );
    assert!(printed.out.contains("required  errors=0: met"), "{printed:?}");
    let mut sum = 0;
    for key in 0..3 {
        sum += value(&node.client(), &format!("playhouse-bench-{key}")).await;
    }
    assert_eq!(sum, 101, "each counts once, and the one that was sent alone before the load");

    let closed = "--kind document --callers 3 --warm-up 200ms --key-prefix doc- --arrivals constant";
    let (closed, _) = report_of(closed.trim_end_matches(" --arrivals constant")).await;
    assert!(closed.counts.answered > 0 && closed.counts.failed == 0, "{:?}", closed.counts);
    assert!(closed.warm_up.answered > 0);
    assert_eq!(closed.counts.intended, closed.counts.answered);

    let (poisson, _) =
        report_of("--kind queue --rate 50 --arrivals poisson --operation cast --warm-up 0").await;
    assert_eq!(poisson.counts.failed, 0, "{:?}", poisson.errors);
    assert!((10..150).contains(&poisson.counts.answered), "{:?}", poisson.counts);

    let (read, printed) = report_of("--kind counter --rate 50 --operation get --warm-up 0 --keys 2").await;
    assert_eq!((read.counts.answered, read.plan.messages.len()), (50, 0));
    assert!(!printed.err.contains("writes"), "{printed:?}");
    assert_eq!(value(&node.client(), "playhouse-bench-0").await, 35, "reading changes nothing");
}

/// Everything that can be known before is told before.
#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_before_any_load() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    let servers = node.url();
    node.client().entity("counter", "orders-7").unwrap().call::<_, Value>(&json!({"add": 1})).await.unwrap();

    for (arguments, code, words) in [
        (
            "--kind invoice --rate 10 --message 1",
            2,
            "no node knows the kind invoice; known are counter, document",
        ),
        ("--kind invoice --rate 10", 2, "there is no message for the kind invoice"),
        ("--kind counter --rate 0", 2, "a rate of 0 per second"),
        ("--kind counter --rate 10 --keys 0", 2, "--keys"),
        ("--kind counter", 2, "--rate"),
        ("--kind counter --rate 10 --callers 2", 2, "cannot be used with"),
        ("--kind counter --callers 2 --connections 3", 2, "some would never be used"),
        ("--kind counter --rate 10 --message {add:1}", 2, "is not JSON"),
        ("--kind counter --rate 10 --message {\"sub\":1}", 2, "the first request failed"),
        ("--kind counter --rate 10 --require p95<fast", 2, "p95<10ms"),
        ("--kind counter --rate 10 --transport websocket --operation get", 2, "--transport http"),
        ("--kind counter --rate 10 --key-prefix orders-", 2, "such as \"orders-7\""),
        ("--kind counter --rate 10 --report /nonexistent/out.json", 1, "/nonexistent/out.json"),
        ("--kind counter --rate 10 --transport websocket --connections 200000", 1, "files have to be open"),
    ] {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let printed = run(&servers, &arguments).await;
        assert_eq!(printed.code, code, "{arguments:?}: {printed:?}");
        assert!(printed.err.contains(words), "{arguments:?}: {printed:?}");
        assert_eq!(printed.out, "", "{arguments:?}");
    }
    assert_eq!(value(&node.client(), "orders-7").await, 1, "nobody's entity was touched");
    let own = ListQuery::of("counter").unwrap().prefix("playhouse-bench-");
    let written = node.client().list(&own).await.unwrap().entities;
    assert!(written.is_empty(), "a report that cannot be written is told before anything is: {written:?}");

    let nobody = run("http://127.0.0.1:9", &["--kind", "counter", "--rate", "10"]).await;
    assert_eq!(nobody.code, 4, "{nobody:?}");
}

/// One of three gateways is killed under load: others take over, and the report says what that cost.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_is_in_the_report() {
    let place = TempDir::new().unwrap();
    let cluster = DevCluster::start(place.path(), 3).await;
    cluster.until_well().await;
    let file = place.path().join("out.json");
    let arguments =
        ["--kind", "counter", "--rate", "100", "--duration", "20s", "--warm-up", "0", "--keys", "8"];
    let mut command = bench(&servers(&cluster), &arguments);
    let child = command.args(["--report", file.to_str().unwrap()]).spawn().unwrap();
    until(async || (value(&cluster.client(0), "playhouse-bench-0").await > 20).then_some(())).await;

    signal("-KILL", cluster.nodes[2].pid).await;

    let printed = ended(child).await;
    let report = report(&file);
    let counts = report.counts;
    assert_eq!(counts.intended, 2000, "an open loop does not wait: {printed:?}");
    assert_eq!(counts.answered + counts.failed, 2000);
    assert_eq!(counts.failed, report.errors.values().sum::<u64>());
    assert!(counts.answered > 1500, "two of three nodes go on: {:?}", report.errors);
    let killed = report.gateways.iter().find(|gateway| gateway.address == cluster.nodes[2].gateway);
    assert!(killed.unwrap().failures > 0, "{:?}", report.gateways);
    assert!(printed.out.contains(&format!("gateway   {} failed", cluster.nodes[2].gateway)), "{printed:?}");
    // What was told to be answered was done, and only what is not known may have been done beside it.
    let mut sum = 0;
    for key in 0..8 {
        sum += value(&cluster.client(0), &format!("playhouse-bench-{key}")).await;
    }
    let sum = u64::try_from(sum).unwrap() - 1;
    assert!((counts.answered..=counts.answered + counts.failed).contains(&sum), "{sum}: {counts:?}");
}

/// A server that is silent for a second, once. All who were to start in that second waited, and the report says so; a
/// generator that waits for answers would tell of one slow request for each connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_is_not_flattered() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("out.json");
    let stalled: Arc<AtomicBool> = Arc::default();
    let (mut seen, stalls) = (0, Arc::clone(&stalled));
    let server = Scripted::start(move |request| {
        if request.path.starts_with("/v1/kinds") {
            return Answer::ok(r#"{"kinds":[{"kind":"counter","durable":true,"schema":1,"reads_from":1}]}"#);
        }
        if request.path.starts_with("/v1/entities/counter?") {
            return Answer::ok(r#"{"entities":[]}"#);
        }
        seen += 1;
        if seen == 100 {
            stalls.store(true, Ordering::SeqCst);
            // With the whole server: nobody else is answered.
            std::thread::sleep(Duration::from_secs(1));
        }
        Answer::ok(r#"{"value":1}"#)
    })
    .await;
    let arguments = ["--kind", "counter", "--rate", "200", "--duration", "3s", "--warm-up", "0"];
    let mut command = bench(&server.url(), &arguments);
    command.args(["--connections", "4", "--require", "p50>0ms", "--require", "max<500ms"]);
    let printed = ended(command.args(["--report", file.to_str().unwrap()]).spawn().unwrap()).await;

    assert!(stalled.load(Ordering::SeqCst));
    let report = report(&file);
    assert_eq!((report.counts.answered, report.counts.failed), (600, 0), "{printed:?}");
    let slower = |us: u64| {
        report
            .histogram
            .buckets
            .iter()
            .filter(|(latency, _)| *latency >= us)
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    assert!(slower(500_000) >= 90, "half a second of requests waited half a second: {}", slower(500_000));
    assert!(slower(900_000) >= 15, "those at the begin waited nearly all of it: {}", slower(900_000));
    assert_eq!(printed.code, 1, "max<500ms was required: {printed:?}");
    assert!(printed.out.contains("required  max<500ms: NOT met"), "{printed:?}");
}

/// What is written is said before the first write, also to those whose programs read the output.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_said_before_it_is() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    for format in ["text", "json"] {
        let arguments = ["--output", format, "--kind", "counter", "--rate", "10", "--message", "{\"sub\":1}"];
        let printed = run(&node.url(), &arguments).await;
        assert_eq!(printed.code, 2, "{printed:?}");
        let announced = printed.err.find("writes 1000 entities of kind counter");
        let failed = printed.err.find("the first request failed");
        assert!(announced.is_some() && announced < failed, "{printed:?}");
    }
}

/// The disk may be full after an hour of load: the summary is not lost with the report.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_not_written_leaves_the_summary() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    let load = "--kind counter --rate 20 --duration 1s --warm-up 0 --report /dev/full";
    let printed = run(&node.url(), &load.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.out.contains("20 of 20 intended"), "{printed:?}");
    assert!(!printed.out.contains("report    "), "{printed:?}");
    assert!(printed.err.contains("could not write /dev/full"), "{printed:?}");
}

/// Nobody has to wait for answers that do not come, however long a request may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_twice_does_not_wait_for_answers() {
    let is_loaded: Arc<AtomicBool> = Arc::default();
    let (mut seen, loaded) = (0, Arc::clone(&is_loaded));
    let server = Scripted::start(move |request| {
        if request.path.starts_with("/v1/kinds") {
            return Answer::ok(r#"{"kinds":[{"kind":"counter","durable":true,"schema":1,"reads_from":1}]}"#);
        }
        seen += 1;
        // The first one is sent alone, then each caller sends one.
        loaded.fetch_or(seen == 3, Ordering::SeqCst);
        if seen == 1 { Answer::ok(r#"{"value":1}"#) } else { Answer::Hang }
    })
    .await;
    let load = "--timeout 1h --kind counter --callers 2 --duration 1h --warm-up 0";
    let mut child = bench(&server.url(), &load.split_whitespace().collect::<Vec<_>>()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    until(async || is_loaded.load(Ordering::SeqCst).then_some(())).await;

    signal("-INT", child.id().unwrap()).await;
    let waits = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("interrupt again to leave them") {
                return;
            }
        }
        panic!("it says what it waits for");
    };
    timeout(PATIENCE, waits).await.unwrap();
    signal("-INT", child.id().unwrap()).await;

    let printed = ended(child).await;
    assert_eq!(printed.code, 130, "{printed:?}");
    assert!(printed.out.contains("errors    no_answer 2"), "{printed:?}");
    assert!(printed.out.contains("stopped   before its time"), "{printed:?}");
}

/// Ctrl-C ends the load early, and what was measured until then is reported.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_still_reports() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    let file = place.path().join("out.json");
    let arguments = ["--kind", "counter", "--callers", "2", "--duration", "1h", "--warm-up", "0"];
    let mut command = bench(&node.url(), &arguments);
    let mut child = command.args(["--report", file.to_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // A line of the progress: load has run for a while.
    let progress = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("answered") {
                return line;
            }
        }
        panic!("it says how it goes");
    };
    let line = timeout(PATIENCE, progress).await.unwrap();
    assert!(line.contains("p99"), "{line}");

    signal("-INT", child.id().unwrap()).await;

    let printed = ended(child).await;
    assert_eq!(printed.code, 130, "{printed:?}");
    let report = report(&file);
    assert!(report.cut_short);
    assert!(report.measured_seconds > 4.0 && report.measured_seconds < 3600.0);
    assert!(report.counts.answered > 0);
    assert!(printed.out.contains("stopped   before its time"), "{printed:?}");
}

/// More connections than one address has ports need more addresses.
#[tokio::test(flavor = "multi_thread")]
async fn connections_come_from_the_addresses_that_are_given() {
    let place = TempDir::new().unwrap();
    let node = NodeProcess::start(playhouse, place.path(), &[]).await;
    let servers = node.url();
    let load =
        ["--kind", "counter", "--rate", "40", "--duration", "30s", "--warm-up", "0", "--connections", "4"];
    let from = ["--transport", "websocket", "--from", "127.0.0.2", "--from", "127.0.0.3"];
    let mut child = bench(&servers, &[&load[..], &from[..]].concat()).spawn().unwrap();
    let port = servers.rsplit_once(':').unwrap().1.parse().unwrap();

    let sources = until(async || {
        let sources = sources_of(port);
        (sources.len() == 4).then_some(sources)
    });

    assert_eq!(sources.await, ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]);
    child.kill().await.unwrap();

    let foreign = run(&servers, &[&load[..], &["--from", "192.0.2.1"]].concat()).await;
    assert_eq!(foreign.code, 4, "an address that is not ours: {foreign:?}");
    assert!(foreign.err.contains("Cannot assign requested address"), "{foreign:?}");
}

/// Remote addresses of connections to this port of this machine, as the kernel tells; those of a load only, not of tests.
fn sources_of(port: u16) -> Vec<String> {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let source = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let local_port = u16::from_str_radix(local.split_once(':')?.1, 16).ok()?;
        let address = u32::from_str_radix(remote.split_once(':')?.0, 16).ok()?;
        let address = std::net::Ipv4Addr::from(address.swap_bytes()).to_string();
        (local_port == port && state == ESTABLISHED && address != "127.0.0.1").then_some(address)
    };
    let mut sources: Vec<_> = table.lines().filter_map(source).collect();
    sources.sort();
    sources
}
