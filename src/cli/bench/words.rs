//! A run in words.

use std::{path::Path, time::Duration};

use crate::{
    cli::duration,
    load::{Arrivals, LatencyReport, Operation, Pace, Plan, Report, Transport},
};

/// How many kinds of errors the summary names.
const ERRORS_SHOWN_MAX: usize = 8;

/// What is going to be written.
pub(super) fn announcement(plan: &Plan) -> String {
    let Plan { kind, keys, .. } = plan;
    let (first, last) = (plan.key(0), plan.key(keys - 1));
    let entities = if *keys == 1 { "entity" } else { "entities" };
    format!("writes {keys} {entities} of kind {kind}, {first} to {last}; they stay")
}

/// What came of it.
pub(super) fn summary(report: &Report, file: Option<&Path>) -> String {
    let mut lines = vec![plan(report), requests(report)];
    lines.extend(report.latency_ms.as_ref().map(latency));
    lines.extend(errors(report));
    let failed = report.gateways.iter().filter(|gateway| gateway.failures > 0);
    lines.extend(
        failed.map(|gateway| format!("gateway   {} failed {} times", gateway.address, gateway.failures)),
    );
    for verdict in &report.requirements {
        let met = if verdict.met { "met" } else { "NOT met" };
        lines.push(format!("required  {}: {met}, {}", verdict.requirement, verdict.observed));
    }
    lines.extend(entities(report));
    lines.extend(
        report
            .cut_short
            .then(|| "stopped   before its time; the figures are of the time until then".to_owned()),
    );
    lines.extend(file.map(|path| format!("report    {}", path.display())));
    lines.join("\n")
}

fn plan(report: &Report) -> String {
    let plan = &report.plan;
    let pace = match plan.pace {
        Pace::Open { rate, arrivals: Arrivals::Constant } => format!("{rate} per second at equal gaps"),
        Pace::Open { rate, arrivals: Arrivals::Poisson } => format!("{rate} per second at random gaps"),
        Pace::Closed { callers: 1 } => "1 caller".to_owned(),
        Pace::Closed { callers } => format!("{callers} callers"),
    };
    let operation = match plan.operation {
        Operation::Call => "calls to",
        Operation::Cast => "casts to",
        Operation::Get => "reads of",
    };
    let transport = match plan.transport {
        Transport::Http => "HTTP",
        Transport::Websocket => "WebSocket",
    };
    let (kind, keys, connections) = (&plan.kind, plan.keys, plan.connections);
    format!(
        "load      {pace}: {operation} kind {kind}, {keys} keys, over {transport}, {connections} connections"
    )
}

fn requests(report: &Report) -> String {
    let counts = report.counts;
    let seconds = duration::show(Duration::from_secs_f64(report.measured_seconds));
    let failed =
        if counts.failed == 0 { "none failed".to_owned() } else { format!("{} FAILED", counts.failed) };
    format!(
        "answered  {:.0} per second in {seconds}: {} of {} intended, {failed}",
        report.answered_per_second, counts.answered, counts.intended
    )
}

fn latency(latency: &LatencyReport) -> String {
    let show = |ms: f64| duration::show(Duration::from_secs_f64(ms / 1e3));
    format!(
        "latency   min {} · mean {} · p50 {} · p90 {} · p95 {} · p99 {} · p99.9 {} · max {}",
        show(latency.min),
        show(latency.mean),
        show(latency.p50),
        show(latency.p90),
        show(latency.p95),
        show(latency.p99),
        show(latency.p99_9),
        show(latency.max),
    )
}

/// The most frequent first.
fn errors(report: &Report) -> Option<String> {
    let mut errors: Vec<_> = report.errors.iter().collect();
    errors.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), *code));
    let shown: Vec<_> =
        errors.iter().take(ERRORS_SHOWN_MAX).map(|(code, count)| format!("{code} {count}")).collect();
    let more = errors.len().saturating_sub(ERRORS_SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!(" · {more} more codes") };
    (!shown.is_empty()).then(|| format!("errors    {}{more}", shown.join(" · ")))
}

fn entities(report: &Report) -> Option<String> {
    let plan = &report.plan;
    (plan.operation != Operation::Get).then(|| {
        format!(
            "entities  `playhouse list {} --prefix {}` shows what was written",
            plan.kind, plan.key_prefix
        )
    })
}
