//! The table at the head of the page: each target beside what was reached.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    figures::show,
    results::Found,
    rows::{Aim, Statistic, Target},
    table::{Figure, figures, list, times},
};

const HEAD: &str =
    "| row | target | ours | × better than each peer | reached | commit |\n|---|---|---|---|---|---|\n";

/// One line for each target, from the newest report of its group.
pub(crate) fn summary(targets: &[Target], newest: &BTreeMap<&str, &Found>) -> String {
    targets
        .iter()
        .fold(HEAD.to_owned(), |text, target| text + &line(target, newest.get(target.group).copied()))
}

fn line(target: &Target, found: Option<&Found>) -> String {
    let all = found.map(|found| figures(&found.report)).unwrap_or_default();
    let own = all.iter().find(|figure| figure.work == target.work && figure.who == target.who);
    let (title, aim) =
        (format!("{}{}", target.work, target.how()), target.of.prefix().to_owned() + &target.aim.text());
    let mut text = String::new();
    match (own, found) {
        (Some(own), Some(found)) => {
            let peers = own.peers(&all);
            let ratios = list(peers.iter().map(|peer| ratio(own, peer)));
            let value = of(target.of, own);
            let shown = show(own.row.unit, value);
            let (reached, commit) = (reached(target.aim, own, value, &peers), &found.report.machine().commit);
            writeln!(text, "| {title} | {aim} | {shown} | {ratios} | {reached} | `{commit}` |")
        }
        _ => writeln!(text, "| {title} | {aim} | – | – | not measured yet | – |"),
    }
    .expect("a string takes all");
    text
}

fn ratio(own: &Figure<'_>, peer: &Figure<'_>) -> String {
    format!("{} {}", peer.who, times(own.times_better(peer)))
}

fn of(statistic: Statistic, figure: &Figure<'_>) -> f64 {
    let summary = figure.row.summary;
    match statistic {
        Statistic::Median => summary.median,
        Statistic::P99 => summary.p99,
        Statistic::Max => summary.max,
    }
}

/// What is computed from the runs; a missed target says how much of it there is, or how much too much.
fn reached(aim: Aim, own: &Figure<'_>, value: f64, peers: &[Figure<'_>]) -> String {
    let is_more_better = own.row.unit.is_better_when_more();
    let (limit, at_least) = match aim {
        Aim::AtLeast(limit, _) => (limit, true),
        Aim::AtMost(limit, _) => (limit, false),
        Aim::Times(times, who) => {
            let Some(peer) = peers.iter().find(|peer| peer.who == who) else {
                return format!("unknown: no {who} in that run");
            };
            (times * peer.row.summary.median, is_more_better)
        }
    };
    let is_reached = if at_least { value >= limit } else { value <= limit };
    match (is_reached, limit > 0.0) {
        (true, _) => "**yes**".to_owned(),
        (false, true) => format!("no, {} × the target", times(Some(value / limit))),
        (false, false) => "no".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Row, Unit,
        fixture::{self, around, row},
    };

    fn shown(target: Target, rows: impl IntoIterator<Item = Row>) -> String {
        let found = Found { file: "a.json".to_owned(), report: fixture::report("a", rows) };
        let newest = BTreeMap::from([("a", &found)]);
        summary(&[target], &newest).lines().nth(2).unwrap().to_owned()
    }

    fn target(aim: Aim, of: Statistic) -> Target {
        Target { group: "a", work: "cast", who: "Playhouse, far", of, aim }
    }

    #[test]
    fn a_target_that_is_reached_says_yes_and_names_each_peer() {
        let rows = [
            around("cast; Playhouse, far", Unit::PerSecond, 40.0),
            around("cast; Playhouse", Unit::PerSecond, 1.0),
            around("cast; Erlang", Unit::PerSecond, 20.0),
            around("cast; raw", Unit::PerSecond, 80.0),
        ];
        assert_eq!(
            shown(target(Aim::AtLeast(40.0, Unit::PerSecond), Statistic::Median), rows.clone()),
            "| cast, far | ≥ 40 /s | 40 /s | Erlang 2.00; raw 0.50 | **yes** | `0123456789ab` |"
        );
        let missed = shown(target(Aim::Times(4.0, "Erlang"), Statistic::Median), rows.clone());
        assert!(missed.contains("| 4 × Erlang | 40 /s |"), "{missed}");
        assert!(missed.contains("| no, 0.50 × the target |"), "{missed}");
        let unknown = shown(target(Aim::Times(4.0, "etcd"), Statistic::Median), rows);
        assert!(unknown.contains("| unknown: no etcd in that run |"), "{unknown}");
    }

    #[test]
    fn a_latency_must_be_below_its_target() {
        let rows = [
            row("cast; Playhouse, far", Unit::Nanoseconds, &[1.0, 1.0, 1.0, 1.0, 9.0]),
            around("cast; raw", Unit::Nanoseconds, 2.0),
        ];
        let at_median = shown(target(Aim::AtMost(3.0, Unit::Nanoseconds), Statistic::Median), rows.clone());
        assert!(at_median.contains("| ≤ 3 ns | 1 ns | raw 2.00 | **yes** |"), "{at_median}");
        let at_worst = shown(target(Aim::AtMost(3.0, Unit::Nanoseconds), Statistic::Max), rows.clone());
        assert!(at_worst.contains("| max ≤ 3 ns | 9 ns | raw 2.00 | no, 3.00 × the target |"), "{at_worst}");
        let beside = shown(target(Aim::Times(1.3, "raw"), Statistic::P99), rows);
        assert!(beside.contains("| p99 1.3 × raw | 9 ns |"), "{beside}");
    }

    #[test]
    fn what_was_not_measured_is_not_guessed() {
        let other = shown(
            target(Aim::AtLeast(3.0, Unit::PerSecond), Statistic::Median),
            [around("call; Playhouse", Unit::Count, 1.0)],
        );
        assert_eq!(other, "| cast, far | ≥ 3 /s | – | – | not measured yet | – |");
    }
}
