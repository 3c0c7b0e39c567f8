//! Running checks and telling what they found.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use playhouse_cluster::environment::Environment;
use serde::Serialize;

use super::check::Check;

/// What one check found, as `/health` shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) status: Status,
    /// What is wrong; absent when nothing is.
    pub(super) detail: Option<String>,
    pub(super) duration_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Passed,
    Failed,
}

impl Finding {
    pub(super) fn new(name: &str, outcome: Result<(), String>, duration: Duration) -> Self {
        let status = if outcome.is_ok() { Status::Passed } else { Status::Failed };
        Self {
            name: name.to_owned(),
            status,
            detail: outcome.err(),
            duration_ms: duration.as_secs_f64() * 1e3,
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// A line of a probe's answer.
    pub(super) fn line(&self) -> String {
        match &self.detail {
            None => format!("ok      {}\n", self.name),
            Some(detail) => format!("failed  {}: {detail}\n", self.name),
        }
    }
}

/// Runs all checks at once, each for at most `timeout`.
pub(super) async fn run(
    checks: &[Arc<dyn Check>],
    timeout: Duration,
    environment: &Environment,
) -> Vec<Finding> {
    join_all(checks.iter().map(|check| run_one(check.as_ref(), timeout, environment))).await
}

async fn run_one(check: &dyn Check, timeout: Duration, environment: &Environment) -> Finding {
    let started = environment.now();
    let outcome = tokio::time::timeout(timeout, check.run()).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs_f64())));
    Finding::new(check.name(), outcome, environment.now() - started)
}
