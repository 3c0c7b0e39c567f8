//! Tables of a page, made from a report.
//!
//! Comes in: a report whose figures are called after a work and who did it. Leaves: one line for each work that we did, with what
//! others reached beside it; nobody types figures.

mod figure;

use std::fmt::Write as _;

pub(crate) use figure::Figure;

use crate::{Report, Summary, figures::show};

/// Who we are in the name of a figure; what follows a comma says how.
pub const OURS: &str = "Playhouse";
const BETWEEN: &str = "; ";
const HEAD: &str =
    "| work | min, median, max | beside it, same run (median) | × better |\n|---|---|---|---|\n";

/// What a figure is called.
#[must_use]
pub fn name(work: &str, who: &str) -> String {
    format!("{work}{BETWEEN}{who}")
}

/// The table of a report.
#[must_use]
pub fn table(report: &Report) -> String {
    let figures = figures(report);
    let mut text = HEAD.to_owned();
    for own in figures.iter().filter(|figure| figure.is_ours()) {
        let peers = own.peers(&figures);
        let beside = peers.iter().map(|peer| format!("{} {}", peer.who, peer.median()));
        let ratios = peers.iter().map(|peer| times(own.times_better(peer)));
        let Summary { min, median, max, .. } = own.row.summary;
        let [min, median, max] = [min, median, max].map(|value| show(own.row.unit, value));
        let (title, beside, ratios) = (own.title(), list(beside), list(ratios));
        writeln!(text, "| {title} | {min}, {median}, {max} | {beside} | {ratios} |")
            .expect("a string takes all");
    }
    text
}

/// The rows, with who did which work.
pub(crate) fn figures(report: &Report) -> Vec<Figure<'_>> {
    report.rows().iter().map(Figure::of).collect()
}

/// A ratio for people.
pub(crate) fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(ratio) if ratio >= 100.0 => format!("{ratio:.0}"),
        Some(ratio) if ratio >= 0.095 => format!("{ratio:.2}"),
        Some(ratio) => format!("{ratio:.3}"),
    }
}

pub(crate) fn list(parts: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = parts.collect();
    if all.is_empty() { "–".to_owned() } else { all.join(BETWEEN) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Unit,
        fixture::{self, around},
    };

    #[test]
    fn each_of_our_figures_is_a_line_beside_those_of_others() {
        let rows = [
            around("cast; Playhouse", Unit::PerSecond, 30_000.0),
            around("cast; Playhouse, plain link", Unit::PerSecond, 60_000.0),
            around("cast; Erlang", Unit::PerSecond, 20_000.0),
            around("idle; Playhouse", Unit::Bytes, 100.0),
            around("idle; Erlang", Unit::Bytes, 200.0),
            around("alone", Unit::Bytes, 100.0),
            around("lost; Playhouse", Unit::Count, 0.0),
            around("lost; Erlang", Unit::Count, 0.0),
        ];
        let table = table(&fixture::report("processes", rows));
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| cast | 15.0 k/s, 30.0 k/s, 60.0 k/s | Erlang 20.0 k/s | 1.50 |",
                "| cast, plain link | 30.0 k/s, 60.0 k/s, 120.0 k/s | Erlang 20.0 k/s | 3.00 |",
                "| idle | 50 B, 100 B, 200 B | Erlang 200 B | 2.00 |",
                "| alone | 50 B, 100 B, 200 B | – | – |",
                "| lost | 0, 0, 0 | Erlang 0 | – |",
            ]
        );
    }

    #[test]
    fn points_of_a_curve_have_their_own_peers() {
        let at = |name: &str, median, shards| around(name, Unit::PerSecond, median).at("shards", shards);
        let rows = [
            at("cast; Playhouse", 10.0, 16.0),
            at("cast; Erlang", 10.0, 16.0),
            at("cast; Playhouse", 10.0, 64.0),
            at("cast; Erlang", 40.0, 64.0),
        ];
        let table = table(&fixture::report("scale", rows));
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| cast, shards 16 | 5 /s, 10 /s, 20 /s | Erlang 10 /s | 1.00 |",
                "| cast, shards 64 | 5 /s, 10 /s, 20 /s | Erlang 40 /s | 0.25 |",
            ]
        );
    }
}
