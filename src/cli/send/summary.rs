//! How it went.

use std::{path::PathBuf, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cli::{Exit, duration};

/// The longest latency that is told apart, in microseconds: a day.
const LATENCY_US_MAX: u64 = 24 * 3600 * 1_000_000;

/// Why it ended before the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Ctrl-C or SIGTERM: what was in flight was finished.
    Interrupted,
    /// A second Ctrl-C: what was in flight was not waited for.
    Aborted,
    /// As many lines failed as were allowed to.
    Failures,
    /// No server could be reached for as long as a line may be retried.
    Unavailable,
    /// The server does not know our token: no line would be accepted.
    Unauthorized,
}

/// Counts and latencies, while it runs and at the end.
#[derive(Debug)]
pub(super) struct Summary {
    /// Answered well.
    pub(super) ok: u64,
    /// Sent, and not answered well.
    pub(super) failed: u64,
    /// Not understood and not sent.
    pub(super) malformed: u64,
    pub(super) elapsed: Duration,
    pub(super) stop: Option<Stop>,
    /// Every line up to this one was answered or counted as failed.
    pub(super) complete_to_line: u64,
    /// How many lines were read.
    pub(super) lines_read: u64,
    pub(super) failed_file: Option<PathBuf>,
    /// From first try to answer, in microseconds.
    latency: Histogram<u64>,
}

impl Summary {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order");
        Self {
            ok: 0,
            failed: 0,
            malformed: 0,
            elapsed: Duration::ZERO,
            stop: None,
            complete_to_line: 0,
            lines_read: 0,
            failed_file: None,
            latency,
        }
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.clamp(1, LATENCY_US_MAX));
    }

    pub(super) fn failures(&self) -> u64 {
        self.failed + self.malformed
    }

    /// Answered lines per second.
    pub(super) fn rate(&self) -> f64 {
        self.ok as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(super) fn exit(&self) -> Exit {
        match self.stop {
            Some(Stop::Interrupted | Stop::Aborted) => Exit::Interrupted,
            Some(Stop::Unavailable) => Exit::Unavailable,
            Some(Stop::Unauthorized) => Exit::Unauthorized,
            _ if self.failures() > 0 => Exit::Failed,
            _ => Exit::Ok,
        }
    }

    fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(quantile))
    }

    pub(super) fn json(&self) -> Value {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let stopped = self.stop.map(|stop| match stop {
            Stop::Interrupted => "interrupted",
            Stop::Aborted => "aborted",
            Stop::Failures => "failures",
            Stop::Unavailable => "unavailable",
            Stop::Unauthorized => "unauthorized",
        });
        json!({
            "ok": self.ok,
            "failed": self.failed,
            "malformed": self.malformed,
            "seconds": self.elapsed.as_secs_f64(),
            "per_second": self.rate(),
            "latency_ms": {
                "p50": ms(self.quantile(0.5)),
                "p95": ms(self.quantile(0.95)),
                "p99": ms(self.quantile(0.99)),
                "max": ms(Duration::from_micros(self.latency.max())),
            },
            "failed_file": self.failed_file.as_ref().map(|path| path.display().to_string()),
            "stopped": stopped,
            "complete_to_line": self.complete_to_line,
        })
    }

    pub(super) fn text(&self) -> String {
        let elapsed = duration::show(self.elapsed);
        let mut lines =
            vec![format!("sent     {} lines in {elapsed} ({:.0} per second)", self.ok, self.rate())];
        if !self.latency.is_empty() {
            lines.push(format!(
                "latency  p50 {} · p95 {} · p99 {} · max {}",
                duration::show(self.quantile(0.5)),
                duration::show(self.quantile(0.95)),
                duration::show(self.quantile(0.99)),
                duration::show(Duration::from_micros(self.latency.max())),
            ));
        }
        lines.extend(self.failed_text());
        lines.extend(self.stop.map(|stop| self.stop_text(stop)));
        lines.join("\n")
    }

    fn failed_text(&self) -> Option<String> {
        let kept = self.failed_file.as_ref()?.display();
        let malformed = match self.malformed {
            0 => String::new(),
            malformed => format!(", {malformed} of them not understood"),
        };
        let failures = self.failures();
        Some(format!("failed   {failures} lines{malformed}; they are kept with their reasons in {kept}"))
    }

    fn stop_text(&self, stop: Stop) -> String {
        let why = match stop {
            Stop::Interrupted => "interrupted; what was in flight is finished",
            Stop::Aborted => "aborted; what was in flight may have taken effect",
            Stop::Failures => "too many lines failed",
            Stop::Unavailable => "no server could be reached",
            Stop::Unauthorized => "the server does not know the token; give another with --token-file",
        };
        let complete = self.complete_to_line;
        format!(
            "stopped  {why}; lines 1 to {complete} are done: send the file again, nothing is applied twice"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_failed_lines_from_an_absent_server() {
        let exit = |failed, stop| Summary { failed, stop, ..Summary::new() }.exit();
        assert_eq!(exit(0, None), Exit::Ok);
        assert_eq!(exit(1, None), Exit::Failed);
        assert_eq!(exit(1, Some(Stop::Failures)), Exit::Failed);
        assert_eq!(exit(1, Some(Stop::Unavailable)), Exit::Unavailable);
        assert_eq!(exit(0, Some(Stop::Interrupted)), Exit::Interrupted);
    }

    #[test]
    fn latencies_are_summed_up() {
        let mut summary = Summary { ok: 100, elapsed: Duration::from_secs(2), ..Summary::new() };
        (1..=100).for_each(|ms| summary.record(Duration::from_millis(ms)));
        let json = summary.json();
        assert_eq!(json["per_second"], 50.0);
        let p50 = json["latency_ms"]["p50"].as_f64().unwrap();
        assert!((49.9..50.2).contains(&p50), "{p50}");
        assert!(summary.text().contains("p50 50.0 ms"), "{}", summary.text());
        summary.record(Duration::from_secs(u64::MAX / 2));
        assert_eq!(summary.json()["stopped"], Value::Null);
    }
}
