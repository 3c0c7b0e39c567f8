//! `playhouse recover-shard`: goes on with the replica of one volume after a majority was lost for good. No node runs on the
//! volume meanwhile.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::json;

use super::{Exit, Failure, Output, node::Sourced, output::Format, table::Table};
use crate::{
    config::{Profile, Resolved},
    node::{self, AuditEntry, LossReport, LossWanted, RecoverError, RecoveredGroup, Settings},
};

/// What consent to the loss of everything is called.
const ALL: &str = "all";

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["shard", "all"])))]
pub(super) struct Arguments {
    /// The shard that goes on with the replica on this volume, while the rest of the cluster lives
    #[arg(long, value_name = "NUMBER")]
    shard: Option<u32>,

    /// Every shard and the system group go on with this volume alone, under a new cluster id
    #[arg(long)]
    all: bool,

    /// A node whose volume never comes back; repeat it
    #[arg(long, value_name = "NODE", required = true)]
    lost: Vec<String>,

    /// Do it, and lose what only the lost nodes had: the number of the shard again, or "all"
    #[arg(long, value_name = "WHICH")]
    i_accept_data_loss: Option<String>,

    #[command(flatten)]
    sourced: Sourced,

    /// The volume (node.data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> Result<Exit, Failure> {
    let which = arguments.shard.map_or(ALL.to_owned(), |shard| shard.to_string());
    let has_consent = match &arguments.i_accept_data_loss {
        Some(given) if *given != which => {
            let what = format!("--i-accept-data-loss {given} does not name what is to be recovered: {which}");
            return Err(Failure::new(Exit::Usage, what).state("nothing was changed"));
        }
        given => given.is_some(),
    };
    let Resolved { config, .. } = arguments.sourced.resolve(Profile::Run, arguments.data_dir)?;
    let lost: BTreeSet<_> = arguments.lost.into_iter().collect();
    let wanted = LossWanted { shard: arguments.shard, lost, has_consent };
    let report = node::recover(&Settings::of(&config), &wanted)?;
    show(&report, output)?;
    if has_consent {
        return Ok(Exit::Ok);
    }
    Err(Failure::new(Exit::Refused, "what is above would be given up, and nobody has agreed to that")
        .state("nothing was changed")
        .next(format!("if those nodes are lost for ever, say --i-accept-data-loss {which}")))
}

fn show(report: &LossReport, output: &Output) -> Result<(), Failure> {
    let LossReport { entry, unconfirmed } = report;
    if output.format == Format::Json {
        return output.print(&json!({"recovery": entry, "unconfirmed": unconfirmed}), |_| String::new());
    }
    let mut table =
        Table::new(["GROUP", "KEPT UP TO", "COMMITTED", "TERM", "STATE AS OF", "VOTERS UNTIL NOW"]);
    for group in &entry.groups {
        let RecoveredGroup { shard, term, index, committed, clock_ms, voters } = group;
        table.push([
            shard.map_or("system".to_owned(), |shard| format!("shard {shard}")),
            index.to_string(),
            committed.to_string(),
            term.to_string(),
            clock_ms.map_or("never used".to_owned(), moment),
            voters.join(", "),
        ]);
    }
    output.table(&table)?;
    words(entry, *unconfirmed).iter().try_for_each(|line| output.line(line))
}

fn words(entry: &AuditEntry, unconfirmed: u64) -> Vec<String> {
    let lost = entry.lost.join(", ");
    let mut words = vec![
        format!("effects that were acknowledged behind those entries are lost: only {lost} had them"),
        format!("{unconfirmed} entries are kept although nobody knows whether they were acknowledged"),
        format!("{lost} must never start with their old volumes again"),
    ];
    if entry.is_done {
        words.push(format!(
            "done, and recorded on the volume; start {}, and wait until it serves",
            entry.node
        ));
    }
    if entry.is_done && entry.new_cluster_id.is_some() {
        words.push(format!("then start {lost} with empty volumes: they get their replicas from it"));
    }
    if let Some(id) = &entry.new_cluster_id
        && entry.is_done
    {
        words.push(format!(
            "the cluster {} goes on as {id}: change cluster.id where it is set",
            entry.cluster_id
        ));
    }
    words
}

/// A time in UTC, by the rules of the Gregorian calendar: its cycle is 400 years long, and counted from the first of March.
fn moment(at_ms: u64) -> String {
    let (days, seconds) = (at_ms / 86_400_000 + 719_468, at_ms / 1_000 % 86_400);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (cycle * 400 + year, month + 3) } else { (cycle * 400 + year + 1, month - 9) };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        let exit = match &error {
            RecoverError::Identity(_)
            | RecoverError::Store(_)
            | RecoverError::Group(_)
            | RecoverError::Format(_)
            | RecoverError::Audit(_)
            | RecoverError::Io(_) => Exit::Failed,
            _ => Exit::Refused,
        };
        Self::new(exit, super::failure::chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        let told = [0, 951_782_400_000, 1_709_251_199_999, 1_763_683_200_000, 4_107_542_400_000].map(moment);
        let days = ["1970-01-01T00:00:00Z", "2000-02-29T00:00:00Z", "2024-02-29T23:59:59Z"];
        assert_eq!(told[..3], days);
        assert_eq!(told[3..], ["2025-11-21T00:00:00Z", "2100-03-01T00:00:00Z"]);
    }
}
