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

    /// A node whose volume never comes back, whatever volume has its name now; repeat it
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
            clock_ms.map_or("never used".to_owned(), |at_ms| format!("{at_ms} ms")),
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
        words.extend(entry.new_cluster_id.iter().flat_map(|id| under_a_new_id(entry, &lost, id)));
    }
    words
}

fn under_a_new_id(entry: &AuditEntry, lost: &str, id: &str) -> [String; 2] {
    [
        format!("then start {lost} with empty volumes: they get their replicas from it"),
        format!("the cluster {} goes on as {id}: change cluster.id where it is set", entry.cluster_id),
    ]
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        let exit = match &error {
            RecoverError::Begun { .. }
            | RecoverError::Identity(_)
            | RecoverError::Store(_)
            | RecoverError::Group(_)
            | RecoverError::Format(_)
            | RecoverError::Audit(_)
            | RecoverError::Io(_) => Exit::Failed,
            _ => Exit::Refused,
        };
        Self::new(exit, crate::causes::chain(&error))
    }
}
