//! Alerts, dashboards and runbooks: every name that they use is one that a node emits, and every rule fires when it must.
//!
//! Needs `promtool` and `prometheus` (Debian: package `prometheus`). Without them those tests say so and pass, except where
//! `PLAYHOUSE_CI=1` is set.

#![allow(clippy::unwrap_used)] // All of this is a test.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "observability/emitted.rs"]
mod emitted;
#[path = "observability/expression.rs"]
mod expression;
#[path = "observability/panel.rs"]
mod panel;
#[path = "support/process.rs"]
mod process;
#[path = "observability/prometheus.rs"]
mod prometheus;
#[path = "observability/rule.rs"]
mod rule;
#[path = "observability/runbook.rs"]
mod runbook;
#[path = "observability/traffic.rs"]
mod traffic;

use std::{collections::BTreeSet, time::Duration};

use cluster::{DevCluster, signal, until};
use emitted::Emitted;
use panel::Dashboard;
use prometheus::Prometheus;
use rule::Alert;
use tokio::time::{Instant, interval};

/// A dashboard that shows nothing on a cluster that works is looked at for so long.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn prometheus_takes_the_rules_without_a_complaint() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yaml"), rule::groups()).unwrap();
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"];
    let Some(said) = prometheus::promtool(directory.path(), &arguments) else { return };
    // Otherwise this test does not read what Prometheus reads.
    assert!(said.contains(&format!("SUCCESS: {} rules found", rule::alerts().len())), "{said}");
}

#[test]
fn each_rule_fires_when_it_must_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yaml"), rule::groups()).unwrap();
    std::fs::write(directory.path().join("rules-test.yaml"), rule::stories()).unwrap();
    let Some(said) = prometheus::promtool(directory.path(), &["test", "rules", "rules-test.yaml"]) else {
        return;
    };
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn each_alert_has_a_story_in_which_it_fires_and_one_in_which_it_must_not() {
    let outcomes = rule::outcomes();
    for Alert { name, .. } in rule::alerts() {
        for fires in [true, false] {
            assert!(outcomes.contains(&(name.clone(), fires)), "{name} has no story with fires = {fires}");
        }
    }
}

#[test]
fn each_alert_says_what_is_wrong_and_how_bad_it_is() {
    let alerts = rule::alerts();
    assert!(alerts.len() >= 10);
    let names: BTreeSet<_> = alerts.iter().map(|alert| &alert.name).collect();
    assert_eq!(names.len(), alerts.len(), "a name stands for one alert");
    for Alert { name, expr, holds_for, severity, summary, description, .. } in &alerts {
        assert!(name.starts_with("Playhouse"), "{name}");
        assert!(["warning", "critical"].contains(&&**severity), "{name}: {severity}");
        assert!(holds_for.ends_with('m'), "{name}: for {holds_for}");
        assert!(summary.ends_with('.') && summary.len() < 80, "{name}: {summary}");
        assert!(description.contains("{{ $labels.namespace }}"), "{name}: which cluster is it?");
        let grouped = expression::parse(expr).grouped;
        for label in rule::labels_shown(&format!("{summary} {description}")) {
            assert!(
                grouped.contains(&label),
                "{name} shows the label {label}, which its result does not have"
            );
        }
    }
}

#[test]
fn each_alert_has_its_runbook_and_each_runbook_its_alert() {
    let alerts: BTreeSet<_> = rule::alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(runbook::pages(), alerts);
    let bases: BTreeSet<_> = rule::alerts().iter().map(runbook::base_of).collect();
    assert_eq!(bases.len(), 1, "runbooks are in one place: {bases:?}");
    for alert in rule::alerts() {
        runbook::check(&alert);
    }
    runbook::check_links();
}

#[tokio::test]
async fn commands_of_the_runbooks_exist() {
    let commands = runbook::commands();
    assert!(commands.len() > 5, "{commands:?}");
    let nowhere = tempfile::tempdir().unwrap();
    for command in commands {
        let arguments = [command.clone().into(), "--help".into()];
        let shown = process::playhouse(&arguments).current_dir(nowhere.path()).output().await.unwrap();
        assert!(shown.status.success(), "playhouse {command}: {}", String::from_utf8_lossy(&shown.stderr));
    }
}

#[test]
fn dashboards_can_be_read_by_who_did_not_write_them() {
    let dashboards = Dashboard::all();
    let uids: BTreeSet<_> = dashboards.iter().map(Dashboard::uid).collect();
    assert_eq!(uids.len(), 2);
    for dashboard in &dashboards {
        dashboard.check();
    }
    panel::check_exemptions(&dashboards);
}

#[test]
fn each_expression_of_a_panel_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let all = Dashboard::all();
    std::fs::write(directory.path().join("panels.yaml"), panel::as_recording_rules(&all)).unwrap();
    let Some(said) = prometheus::promtool(directory.path(), &["check", "rules", "panels.yaml"]) else {
        return;
    };
    let expected: usize = all.iter().map(|dashboard| dashboard.queries().len()).sum();
    assert!(said.contains(&format!("SUCCESS: {expected} rules found")), "{said}");
}

/// Names that nothing emits make an alert that never fires, and a panel that is empty on the day it is needed.
#[tokio::test]
async fn each_name_that_is_used_is_emitted() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = DevCluster::start(directory.path(), 3).await;
    traffic::all_sorts(&cluster).await;
    let emitted = Emitted::read(&cluster).await;
    emitted.check_own_labels();
    for alert in rule::alerts() {
        emitted.check_expression(&alert.name, &alert.expr);
    }
    for dashboard in Dashboard::all() {
        for query in dashboard.queries() {
            emitted.check_expression(&query.panel, &query.expr);
        }
        for selector in dashboard.variables() {
            emitted.check_expression("a variable", &selector);
        }
    }
    emitted.check_files();
}

/// What the rules and panels say of a cluster that works, of one with a member down, without a majority, and of none.
#[tokio::test]
async fn a_cluster_is_watched_while_it_dies() {
    let Some(program) = prometheus::program("prometheus") else { return };
    let directory = tempfile::tempdir().unwrap();
    let cluster = DevCluster::start(directory.path(), 3).await;
    cluster.until_well().await;
    let prometheus = Prometheus::start(&program, directory.path(), &cluster).await;

    show_all_panels(&cluster, &prometheus).await;
    let firing = prometheus.firing().await;
    let wrong = [
        "Absent",
        "NotScraped",
        "MemberDown",
        "QuorumLost",
        "AuthenticationFailures",
        "DeadLetters",
        "CrashLoop",
    ];
    for name in wrong.map(|name| format!("Playhouse{name}")) {
        assert!(!firing.contains(&name), "{name} fires on a cluster that works");
    }

    let falls = [(2, "PlayhouseMemberDown"), (1, "PlayhouseQuorumLost"), (0, "PlayhouseAbsent")];
    for (number, alert) in falls {
        signal("-KILL", cluster.nodes[number].pid).await;
        until(async || prometheus.firing().await.contains(alert).then_some(())).await;
    }
}

/// Returns when each panel showed something.
async fn show_all_panels(cluster: &DevCluster, prometheus: &Prometheus) {
    let dashboards = Dashboard::all();
    let mut empty: Vec<_> = dashboards.iter().flat_map(Dashboard::queries).collect();
    empty.retain(|query| panel::shows_something_always(&query.panel));
    let (began, mut ticks) = (Instant::now(), interval(Duration::from_millis(500)));
    while !empty.is_empty() {
        ticks.tick().await;
        traffic::all_sorts(cluster).await;
        let mut still = Vec::new();
        for query in empty {
            if !prometheus.has_numbers(&query.expr).await {
                still.push(query);
            }
        }
        empty = still;
        assert!(began.elapsed() < SHOWN_WITHIN, "nothing is shown by {empty:#?}");
    }
}
