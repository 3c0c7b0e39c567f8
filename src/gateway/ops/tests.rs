//! Each probe can fail; commands need a token.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use playhouse_cluster::environment::Environment;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    super::{
        DrainSwitch, Tokens, drain,
        testing::{Answer, Client},
    },
    AdminAction, AdminError, Check, OpsOptions, Pulse, Runtime, check, serve,
};
use crate::telemetry::Metrics;

struct Ops {
    address: std::net::SocketAddr,
    _drain: DrainSwitch,
}

impl Ops {
    async fn open(environment: Environment, adjust: impl FnOnce(&mut OpsOptions)) -> Self {
        let (switch, signal) = drain();
        let mut options = OpsOptions::new("playhouse-0", "1.2.3", signal, Metrics::new("1.2.3"));
        adjust(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        environment.spawn(serve(listener, options, environment.clone()));
        Self { address, _drain: switch }
    }

    async fn ask(&self, head: &str, body: &str) -> Answer {
        Client::connect(self.address).await.ask(head, body).await
    }
}

/// A check and the switch that makes it fail.
fn switchable(name: &str) -> (Arc<dyn Check>, Arc<AtomicBool>) {
    let holds = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&holds);
    let run = move || {
        let holds = seen.load(Ordering::SeqCst);
        async move { if holds { Ok(()) } else { Err("the disk is full".to_owned()) } }
    };
    (check(name, run), holds)
}

#[tokio::test]
async fn readyz_fails_with_its_check_and_recovers_with_it() {
    let (store, holds) = switchable("store");
    let ops = Ops::open(Environment::simulated(1), |options| options.ready = vec![store]).await;
    let answer = ops.ask("GET /readyz", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok      store\npassed\n"));
    holds.store(false, Ordering::SeqCst);
    let answer = ops.ask("GET /readyz", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "failed  store: the disk is full\nfailed\n"));
    assert_eq!(ops.ask("GET /livez", "").await.status, 200);
    assert_eq!(ops.ask("GET /startupz", "").await.status, 200);
    holds.store(true, Ordering::SeqCst);
    assert_eq!(ops.ask("GET /readyz", "").await.status, 200);
}

#[tokio::test]
async fn startupz_fails_with_its_check() {
    let (opened, holds) = switchable("store opened");
    let ops = Ops::open(Environment::simulated(1), |options| options.startup = vec![opened]).await;
    assert_eq!(ops.ask("GET /startupz", "").await.status, 200);
    holds.store(false, Ordering::SeqCst);
    assert_eq!(ops.ask("GET /startupz", "").await.status, 503);
    assert_eq!(ops.ask("GET /readyz", "").await.status, 200);
}

#[tokio::test]
async fn readyz_fails_when_a_check_hangs() {
    let hanging = check("quorum", std::future::pending);
    let ops = Ops::open(Environment::simulated(1), |options| {
        options.ready = vec![hanging];
        options.check_timeout = Duration::from_millis(20);
    })
    .await;
    let answer = ops.ask("GET /readyz", "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "failed  quorum: no answer within 0.02 s\nfailed\n")
    );
}

/// The second runtime exists, but nobody turns it, as if every worker were inside a handler that never returns.
#[tokio::test]
async fn livez_fails_when_a_runtime_does_not_turn() {
    let stuck = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let environment = Environment::real(tokio::runtime::Handle::current(), stuck.handle().clone());
    let silence = Duration::from_millis(50);
    let core = Pulse::start(Runtime::Core, Duration::from_secs(60), &environment);
    let executors = Pulse::start(Runtime::Executors, silence, &environment);
    let ops = Ops::open(environment, |options| options.pulses = vec![core, executors]).await;
    let failed = async {
        loop {
            let answer = ops.ask("GET /livez", "").await;
            if answer.status == 503 {
                return answer.body;
            }
        }
    };
    let body = tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap();
    assert!(body.contains("ok      core\n"), "{body}");
    assert!(body.contains("failed  executors: runtime executors has made no progress"), "{body}");
    let health = ops.ask("GET /health", "").await;
    assert_eq!((health.status, &health.json()["status"]), (503, &"stuck".into()));
    stuck.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn a_pulse_that_turns_is_never_silent() {
    let environment = Environment::simulated(1);
    let pulse = Pulse::start(Runtime::Core, Duration::from_secs(10), &environment);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(pulse.look(), Ok(()));
}

#[tokio::test]
async fn health_names_the_node_and_measures_its_checks() {
    let (store, holds) = switchable("store");
    let slow = check("quorum", || async {
        tokio::time::sleep(Duration::from_millis(30)).await; // The claim is about time that passes.
        Ok(())
    });
    let ops = Ops::open(Environment::simulated(1), |options| options.ready = vec![store, slow]).await;
    let answer = ops.ask("GET /health", "").await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (200, &"up".into()));
    assert_eq!((&health["node"], &health["version"]), (&"playhouse-0".into(), &"1.2.3".into()));
    assert!(health["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert!(health["checks"][1]["duration_ms"].as_f64().unwrap() >= 30.0);
    assert_eq!(
        health["checks"][0],
        json!({
            "name": "store", "status": "passed", "detail": null, "duration_ms": health["checks"][0]["duration_ms"],
        })
    );
    holds.store(false, Ordering::SeqCst);
    let answer = ops.ask("GET /health", "").await;
    assert_eq!((answer.status, &answer.json()["status"]), (503, &"unready".into()));
    assert_eq!(answer.json()["checks"][0]["detail"], "the disk is full");
}

#[tokio::test]
async fn metrics_are_what_the_node_counted_until_the_scrape() {
    let ops = Ops::open(Environment::simulated(1), |options| {
        let wakes = options.metrics.wakes.with_label_values(&["counter"]);
        options.before_scrape = Arc::new(move || {
            let wakes = wakes.clone();
            Box::pin(async move { wakes.inc() })
        });
    })
    .await;
    let answer = ops.ask("GET /metrics", "").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(answer.body.contains("playhouse_wakes_total{kind=\"counter\"} 1\n"));
    assert!(answer.body.contains("# HELP playhouse_wakes_total Entities woken from the store.\n"));
}

struct Echo;

impl AdminAction for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }
    fn summary(&self) -> &'static str {
        "Says it again."
    }
    fn run(&self, arguments: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        let outcome = match arguments {
            Value::Null => Err(AdminError::Arguments { path: ".".into(), message: "say something".into() }),
            Value::Bool(_) => Err(AdminError::Refused { code: "busy", message: "not now".into() }),
            other => Ok(other),
        };
        std::future::ready(outcome).boxed()
    }
}

#[tokio::test]
async fn a_command_needs_the_admin_token() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    std::fs::write(&path, "admin-token-0123456789").unwrap();
    let tokens = Tokens::load(path).unwrap();
    let ops = Ops::open(Environment::simulated(1), |options| {
        options.actions = vec![Arc::new(Echo)];
        options.access.tokens = Some(tokens);
    })
    .await;
    let bearer = "\nauthorization: Bearer admin-token-0123456789";
    ops.ask("POST /admin/v1/echo", "1").await.is_problem(401, "unauthorized");
    ops.ask("GET /admin/v1\nauthorization: Bearer wrong", "").await.is_problem(401, "unauthorized");
    assert_eq!(ops.ask(&format!("POST /admin/v1/echo{bearer}"), "[1]").await.body, "[1]");
    ops.ask(&format!("POST /admin/v1/echo{bearer}"), "").await.is_problem(400, "invalid_body");
    ops.ask(&format!("POST /admin/v1/echo{bearer}"), "{").await.is_problem(400, "invalid_body");
    let refused = ops.ask(&format!("POST /admin/v1/echo{bearer}"), "true").await.is_problem(409, "refused");
    assert_eq!(refused["refusal"], "busy");
    ops.ask(&format!("POST /admin/v1/ehco{bearer}"), "1").await.is_problem(404, "not_found");
    let list = ops.ask(&format!("GET /admin/v1{bearer}"), "").await.json();
    assert_eq!(list, json!({"actions": [{"name": "echo", "summary": "Says it again."}]}));
}

#[tokio::test]
async fn in_dev_this_machine_is_admin_but_no_page_in_its_browser() {
    let ops = Ops::open(Environment::simulated(1), |options| {
        options.actions = vec![Arc::new(Echo)];
        options.access.loopback = true;
    })
    .await;
    assert_eq!(ops.ask("POST /admin/v1/echo", "1").await.status, 200);
    let page = "POST /admin/v1/echo\norigin: http://localhost:9090\ncontent-type: application/json";
    ops.ask(page, "1").await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn without_tokens_nobody_is_admin() {
    let ops = Ops::open(Environment::simulated(1), |options| options.actions = vec![Arc::new(Echo)]).await;
    ops.ask("POST /admin/v1/echo\nauthorization: Bearer ", "1").await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let ops = Ops::open(Environment::simulated(1), |_| {}).await;
    ops.ask("GET /healthz", "").await.is_problem(404, "not_found");
    let answer = ops.ask("POST /livez", "").await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}
