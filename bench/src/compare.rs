//! What changed between two reports, and whether it can be told from noise.
//!
//! Comes in: two reports of one group. Leaves: for each row the ratio of the medians with an interval, and a verdict. Both are from ranks,
//! since five runs say little about how figures are spread: the rank-sum test of Mann and Whitney (1947), exact for few runs, and the
//! interval that belongs to it, from the ordered ratios of all pairs (Hodges and Lehmann 1963, for a shift of the logarithms). Five runs
//! beside five can tell a difference only when no run of one is among those of the other: p = 0.008.
//!
//! A row is called faster or slower when chance would do that in one of a hundred rows at most, **and** the medians differ by more than
//! [`CHANGE_MIN`], and shares by more than [`POINTS_MIN`]: two sessions on one machine differ by more than the runs of one session. Where all
//! runs are samples of one session, nothing is told. Each row is judged alone: among hundred rows of equal programs, one is called different
//! by chance.

mod rank;

use std::fmt::{self, Write as _};

use crate::{
    At, Report, Row, Unit,
    figures::show,
    rows::Group,
    table::{Figure, times},
};

/// How often chance may call a row different.
pub const CHANCE_MAX: f64 = 0.01;
/// By how much medians of two sessions differ without a reason, as a share.
pub const CHANGE_MIN: f64 = 0.05;
/// [Shares](Unit::Percent) differ by so many points, too: a ratio of two small shares, or of one below 0, says nothing.
pub const POINTS_MIN: f64 = 1.0;

/// Why two reports cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompareError {
    /// The row was redefined: give it another name.
    #[error("{name}: measured in {old:?} before and in {new:?} after")]
    Units {
        /// Which row.
        name: String,
        /// Its unit before.
        old: Unit,
        /// Its unit after.
        new: Unit,
    },
    /// Compare reports of the same rows.
    #[error("one report is of {old}, the other one of {new}")]
    Groups {
        /// The group before.
        old: String,
        /// The group after.
        new: String,
    },
}

/// What can be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better, beyond noise.
    Better,
    /// Worse, beyond noise.
    Worse,
    /// No difference that can be told from noise. It does not say that there is none.
    Untold,
}

/// How one row changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which row, and where on its curve.
    pub name: String,
    /// Whether it is a row of ours, and not of a peer.
    pub is_ours: bool,
    /// In what it is measured.
    pub unit: Unit,
    /// The median before.
    pub old: f64,
    /// The median after.
    pub new: f64,
    /// How often chance alone would order the runs so, or more so.
    pub chance: f64,
    /// Between what the ratio of after to before lies, but for [`CHANCE_MAX`]. `None` when a run measured 0, and for shares.
    pub interval: Option<(f64, f64)>,
    /// What can be said of it.
    pub verdict: Verdict,
}

/// A row that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Which row, and where on its curve.
    pub name: String,
    /// Whether it was a row of ours, and not of a peer.
    pub is_ours: bool,
}

/// How a report changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// What makes the reports hard to compare, such as another machine.
    pub warnings: Vec<String>,
    /// Rows of both, in the order of the newer one.
    pub changes: Vec<Change>,
    /// Rows that are no longer there.
    pub only_old: Vec<Gone>,
    /// Rows that were not there.
    pub only_new: Vec<String>,
}

/// Compares two reports of one group.
///
/// # Errors
///
/// When the reports are of different groups, or a row changed its unit.
pub fn compare(old: &Report, new: &Report) -> Result<Comparison, CompareError> {
    if old.name() != new.name() {
        return Err(CompareError::Groups { old: old.name().to_owned(), new: new.name().to_owned() });
    }
    let mut comparison = Comparison { warnings: warnings(old, new), ..Comparison::default() };
    let is_one_session = Group::find(new.name()).is_some_and(|group| group.is_one_session);
    for row in new.rows() {
        let Some(before) = counterpart(row, old) else {
            comparison.only_new.push(title(row));
            continue;
        };
        let change = Change::of(before, row)?;
        comparison.changes.push(if is_one_session { change.untold() } else { change });
    }
    comparison.warnings.extend(warning_of_peers(&comparison.changes));
    let gone = old.rows().iter().filter(|row| counterpart(row, new).is_none());
    comparison.only_old =
        gone.map(|row| Gone { name: title(row), is_ours: Figure::of(row).is_ours() }).collect();
    Ok(comparison)
}

impl Comparison {
    /// Whether a row of ours became worse, beyond noise, or is no longer measured.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let is_worse = |change: &Change| change.is_ours && change.verdict == Verdict::Worse;
        self.changes.iter().any(is_worse) || self.only_old.iter().any(|gone| gone.is_ours)
    }
}

impl Change {
    fn of(old: &Row, new: &Row) -> Result<Self, CompareError> {
        if old.unit != new.unit {
            return Err(CompareError::Units { name: title(new), old: old.unit, new: new.unit });
        }
        let (before, after) = (old.summary.median, new.summary.median);
        let chance = rank::chance(&old.runs, &new.runs);
        let share = CHANGE_MIN * before.abs();
        let noise = if new.unit == Unit::Percent { POINTS_MIN.max(share) } else { share };
        let is_change = (after - before).abs() > noise;
        let is_better = (after > before) == new.unit.is_better_when_more();
        let verdict = match (chance <= CHANCE_MAX && is_change, is_better) {
            (false, _) => Verdict::Untold,
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
        };
        let interval = rank::ratio_interval(&old.runs, &new.runs, CHANCE_MAX);
        let interval = interval.filter(|_| new.unit != Unit::Percent);
        let is_ours = Figure::of(new).is_ours();
        Ok(Self {
            name: title(new),
            is_ours,
            unit: new.unit,
            old: before,
            new: after,
            chance,
            interval,
            verdict,
        })
    }

    /// Samples of one session say nothing of another one.
    fn untold(self) -> Self {
        Self { verdict: Verdict::Untold, interval: None, ..self }
    }

    /// The verdict in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        let is_speed = matches!(self.unit, Unit::PerSecond | Unit::Nanoseconds);
        match (self.verdict, is_speed) {
            (Verdict::Better, true) => "faster",
            (Verdict::Worse, true) => "slower",
            (Verdict::Better, false) => "better",
            (Verdict::Worse, false) => "worse",
            (Verdict::Untold, _) => "no difference that can be told from noise",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.warnings.iter().try_for_each(|warning| writeln!(to, "Warning: {warning}."))?;
        writeln!(to, "\n| row | before | after | after ÷ before (99 %) | |\n|---|---|---|---|---|")?;
        for change in &self.changes {
            let [old, new] = [change.old, change.new].map(|value| show(change.unit, value));
            writeln!(to, "| {} | {old} | {new} | {} | {} |", change.name, ratio(change), change.words())?;
        }
        let gone: Vec<_> = self.only_old.iter().map(|gone| gone.name.as_str()).collect();
        let new: Vec<_> = self.only_new.iter().map(String::as_str).collect();
        for (rows, when) in [(gone, "before"), (new, "after")] {
            if !rows.is_empty() {
                writeln!(to, "\nOnly {when}: {}.", rows.join("; "))?;
            }
        }
        Ok(())
    }
}

fn ratio(change: &Change) -> String {
    if change.unit == Unit::Percent {
        return format!("{:+.1} points", change.new - change.old);
    }
    let mut text = times((change.old > 0.0 && change.new > 0.0).then(|| change.new / change.old));
    if let Some((from, to)) = change.interval {
        write!(text, " ({} to {})", times(Some(from)), times(Some(to))).expect("a string takes all");
    }
    text
}

fn warnings(old: &Report, new: &Report) -> Vec<String> {
    let differ = old.machine().differences(new.machine());
    let mut found: Vec<_> = differ.into_iter().map(|what| format!("not the same machine: {what}")).collect();
    for (report, when) in [(old, "before"), (new, "after")] {
        if report.circumstances().is_shared() {
            found.push(format!("others used the machine {when}"));
        }
        if report.machine().commit.ends_with("-dirty") {
            found.push(format!("the work tree differed from its commit {when}"));
        }
    }
    if Group::find(new.name()).is_some_and(|group| group.is_one_session) {
        found.push("the runs are samples of one session, so nothing is told from noise".to_owned());
    }
    found
}

/// Peers are the same programs: what changed them changed the machine.
fn warning_of_peers(changes: &[Change]) -> Option<String> {
    let is_changed = |change: &&Change| !change.is_ours && change.verdict != Verdict::Untold;
    let changed: Vec<_> = changes.iter().filter(is_changed).map(|change| change.name.as_str()).collect();
    let names = changed.join(" | ");
    (!changed.is_empty()).then(|| format!("peers changed, too, so look at the ratios to them: {names}"))
}

fn counterpart<'a>(row: &Row, of: &'a Report) -> Option<&'a Row> {
    of.rows().iter().find(|other| other.name == row.name && other.at == row.at)
}

fn title(row: &Row) -> String {
    match &row.at {
        Some(At { axis, value }) => format!("{}, {axis} {value}", row.name),
        None => row.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Circumstances, Machine,
        fixture::{self, machine, row},
    };

    const LOW: [f64; 5] = [10.0, 11.0, 12.0, 13.0, 14.0];
    const HIGH: [f64; 5] = [20.0, 21.0, 22.0, 23.0, 24.0];
    const BETWEEN: [f64; 5] = [9.0, 11.5, 12.5, 13.5, 21.0];

    fn verdict(unit: Unit, old: &[f64], new: &[f64]) -> Verdict {
        let [old, new] = [old, new].map(|runs| fixture::report("a", [row("cast", unit, runs)]));
        compare(&old, &new).unwrap().changes[0].verdict
    }

    #[test]
    fn what_is_better_depends_on_the_unit() {
        assert_eq!(verdict(Unit::PerSecond, &LOW, &HIGH), Verdict::Better);
        assert_eq!(verdict(Unit::PerSecond, &HIGH, &LOW), Verdict::Worse);
        for unit in [Unit::Nanoseconds, Unit::Bytes, Unit::Count, Unit::Percent] {
            assert_eq!(verdict(unit, &LOW, &HIGH), Verdict::Worse, "{unit:?}");
            assert_eq!(verdict(unit, &HIGH, &LOW), Verdict::Better, "{unit:?}");
        }
    }

    #[test]
    fn runs_that_mix_tell_nothing() {
        assert_eq!(verdict(Unit::PerSecond, &LOW, &BETWEEN), Verdict::Untold);
        assert_eq!(verdict(Unit::PerSecond, &LOW, &LOW), Verdict::Untold);
        // One run of ours among theirs is enough.
        assert_eq!(verdict(Unit::PerSecond, &LOW, &[13.5, 21.0, 22.0, 23.0, 24.0]), Verdict::Untold);
    }

    #[test]
    fn a_difference_that_two_sessions_have_anyway_is_not_told() {
        let slightly = LOW.map(|value| 1_000.0 + value);
        let more = HIGH.map(|value| 1_000.0 + value);
        assert_eq!(verdict(Unit::PerSecond, &slightly, &more), Verdict::Untold);
    }

    #[test]
    fn losses_where_there_were_none_are_worse() {
        assert_eq!(verdict(Unit::Count, &[0.0; 5], &[1.0; 5]), Verdict::Worse);
        assert_eq!(verdict(Unit::Count, &[0.0; 5], &[0.0; 5]), Verdict::Untold);
    }

    #[test]
    fn shares_differ_by_points() {
        let less = [0.2, 0.3, 0.4, 0.5, 0.6];
        assert_eq!(verdict(Unit::Percent, &less, &less.map(|value| value + 0.9)), Verdict::Untold);
        assert_eq!(verdict(Unit::Percent, &less, &less.map(|value| value + 1.1)), Verdict::Worse);
        let much = less.map(|value| value + 50.0);
        assert_eq!(verdict(Unit::Percent, &much, &much.map(|value| value + 2.0)), Verdict::Untold);
        let reports = [less, less.map(|value| value - 2.0)]
            .map(|runs| fixture::report("a", [row("cost", Unit::Percent, &runs)]));
        let text = compare(&reports[0], &reports[1]).unwrap().to_string();
        assert!(text.contains("| cost | 0.4 % | -1.6 % | -2.0 points | better |"), "{text}");
    }

    #[test]
    fn samples_of_one_session_tell_nothing() {
        let [old, new] = [LOW, HIGH].map(|runs| fixture::report("idle", [row("a", Unit::Bytes, &runs)]));
        let comparison = compare(&old, &new).unwrap();
        assert_eq!(comparison.changes[0].verdict, Verdict::Untold);
        let warning = "the runs are samples of one session, so nothing is told from noise";
        assert_eq!(comparison.warnings, [warning]);
    }

    #[test]
    fn a_row_of_ours_that_is_gone_is_worse() {
        let with =
            |name: &str| fixture::report("a", [row("b", Unit::Bytes, &LOW), row(name, Unit::Bytes, &LOW)]);
        let is_worse = |old: &str, new: &str| compare(&with(old), &with(new)).unwrap().is_worse();
        assert!(is_worse("cast; Playhouse", "cast; Erlang"));
        assert!(!is_worse("cast; Erlang", "cast; Playhouse"));
    }

    #[test]
    fn rows_of_one_report_only_are_named() {
        let at = |shards: f64| row("cast", Unit::PerSecond, &LOW).at("shards", shards);
        let old = fixture::report("a", [at(16.0), at(64.0), row("old", Unit::Bytes, &LOW)]);
        let new = fixture::report("a", [at(64.0), row("new", Unit::Bytes, &LOW)]);
        let comparison = compare(&old, &new).unwrap();
        assert_eq!(comparison.changes.len(), 1);
        let gone: Vec<_> = comparison.only_old.iter().map(|gone| gone.name.as_str()).collect();
        assert_eq!(gone, ["cast, shards 16", "old"]);
        assert_eq!(comparison.only_new, ["new"]);
        let text = comparison.to_string();
        assert!(text.contains("Only before: cast, shards 16; old.\n"), "{text}");
        assert!(text.contains("| cast, shards 64 | 12 /s | 12 /s | 1.00 ("), "{text}");
        assert!(text.contains("| no difference that can be told from noise |"), "{text}");
    }

    #[test]
    fn a_peer_that_changed_is_a_warning_and_no_failure() {
        let report = |ours, peer| {
            let rows =
                [row("cast; Playhouse", Unit::PerSecond, ours), row("cast; Erlang", Unit::PerSecond, peer)];
            fixture::report("a", rows)
        };
        let comparison = compare(&report(&LOW, &HIGH), &report(&LOW, &LOW)).unwrap();
        assert!(!comparison.is_worse());
        assert_eq!(comparison.warnings, ["peers changed, too, so look at the ratios to them: cast; Erlang"]);
        let comparison = compare(&report(&HIGH, &LOW), &report(&LOW, &LOW)).unwrap();
        assert!(comparison.is_worse() && comparison.warnings.is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let old = fixture::report("a", [row("cast", Unit::PerSecond, &LOW)]);
        let new = fixture::report("a", [row("cast", Unit::Nanoseconds, &LOW)]);
        let error = compare(&old, &new).unwrap_err();
        assert_eq!(error.to_string(), "cast: measured in PerSecond before and in Nanoseconds after");
        let error = compare(&old, &fixture::report("b", [])).unwrap_err();
        assert_eq!(error, CompareError::Groups { old: "a".to_owned(), new: "b".to_owned() });
    }

    #[test]
    fn another_machine_or_a_shared_one_is_warned_of() {
        let other = Machine { cores: 64, commit: "aaa-dirty".to_owned(), ..machine() };
        let busy = Circumstances { others_percent: Some(90.0), ..Circumstances::default() };
        let (old, new) = (fixture::report("a", []), Report::new("a", other).under(busy));
        assert_eq!(
            compare(&old, &new).unwrap().warnings,
            [
                "not the same machine: cores: 2 before, 64 after",
                "others used the machine after",
                "the work tree differed from its commit after"
            ]
        );
        assert!(compare(&old, &old).unwrap().warnings.is_empty());
    }
}
