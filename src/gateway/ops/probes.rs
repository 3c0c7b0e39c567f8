//! `/livez`, `/readyz`, `/startupz`, `/health` and `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    front::OpsHall,
    health::{Finding, run},
};

const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

#[derive(Serialize)]
struct HealthDocument<'a> {
    /// `up`, `starting`, `unready` or `stuck`.
    status: &'static str,
    version: &'a str,
    uptime_seconds: f64,
    node: &'a str,
    checks: Vec<Finding>,
}

pub(super) async fn livez(State(hall): State<Arc<OpsHall>>) -> Response {
    probe(&hall.pulses())
}

pub(super) async fn readyz(State(hall): State<Arc<OpsHall>>) -> Response {
    probe(&run(&hall.options.ready, hall.options.check_timeout, &hall.environment).await)
}

pub(super) async fn startupz(State(hall): State<Arc<OpsHall>>) -> Response {
    probe(&run(&hall.options.startup, hall.options.check_timeout, &hall.environment).await)
}

pub(super) async fn health(State(hall): State<Arc<OpsHall>>) -> Response {
    let (options, timeout) = (&hall.options, hall.options.check_timeout);
    let pulses = hall.pulses();
    let (startup, ready) = futures_util::join!(
        run(&options.startup, timeout, &hall.environment),
        run(&options.ready, timeout, &hall.environment)
    );
    let status = status([&pulses, &startup, &ready]);
    let document = HealthDocument {
        status,
        version: &options.release,
        uptime_seconds: (hall.environment.now() - hall.started).as_secs_f64(),
        node: &options.node,
        checks: [pulses, startup, ready].concat(),
    };
    (status_code(status == "up"), Json(document)).into_response()
}

pub(super) async fn metrics(State(hall): State<Arc<OpsHall>>) -> Response {
    (hall.options.before_scrape)().await;
    ([(header::CONTENT_TYPE, PROMETHEUS)], hall.options.metrics.render()).into_response()
}

impl OpsHall {
    fn pulses(&self) -> Vec<Finding> {
        let look = |pulse: &super::Pulse| Finding::new(pulse.name(), pulse.look(), Duration::ZERO);
        self.options.pulses.iter().map(look).collect()
    }
}

/// The worst that was found gives the status its name.
fn status([pulses, startup, ready]: [&Vec<Finding>; 3]) -> &'static str {
    let failed = |findings: &Vec<Finding>| findings.iter().any(Finding::failed);
    match (failed(pulses), failed(startup), failed(ready)) {
        (true, _, _) => "stuck",
        (_, true, _) => "starting",
        (_, _, true) => "unready",
        _ => "up",
    }
}

fn probe(findings: &[Finding]) -> Response {
    let passed = !findings.iter().any(Finding::failed);
    let lines: String = findings.iter().map(Finding::line).collect();
    let verdict = if passed { "passed" } else { "failed" };
    (status_code(passed), format!("{lines}{verdict}\n")).into_response()
}

fn status_code(passed: bool) -> StatusCode {
    if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
