//! `playhouse restore`: fills the empty volume of the node that founds a cluster. No node runs on it meanwhile.

use std::path::PathBuf;

use serde_json::json;

use super::{Exit, Failure, Output, node::Sourced};
use crate::{
    backup::Backup,
    config::{Profile, Resolved},
    node::{self, Builder, RestoreError, Settings},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,

    #[command(flatten)]
    sourced: Sourced,

    /// The empty volume (node.data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, node: &Builder, output: &Output) -> Result<Exit, Failure> {
    let Arguments { from, sourced, data_dir } = arguments;
    let Resolved { config, .. } = sourced.resolve(Profile::Run, data_dir)?;
    let settings = Settings::of(&config);
    let backup = Backup::open(&from).map_err(|error| Failure::from(error).state(NOTHING_WRITTEN))?;
    let restored = node::restore(&settings, &backup, &node.clone().kinds())?;
    restored.notes.iter().for_each(|note| output.note(note));
    let volume = settings.data_dir.display().to_string();
    let report = json!({
        "volume": volume,
        "from_cluster": backup.manifest().cluster_id,
        "shards": restored.shards,
        "pairs": restored.pairs,
        "left_out": restored.left_out,
    });
    output.print(&report, |_| {
        format!(
            "{volume}: {} shards, {} pairs; {} that only gateways of the old cluster needed are left out\nstart {}, and all \
             other nodes with empty volumes",
            restored.shards, restored.pairs, restored.left_out, settings.name
        )
    })?;
    Ok(Exit::Ok)
}

const NOTHING_WRITTEN: &str = "nothing was written to the volume";

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let exit = match &error {
            RestoreError::OtherShards { .. }
            | RestoreError::NotInitiator { .. }
            | RestoreError::TooNew { .. }
            | RestoreError::ClusterIdSet
            | RestoreError::Identity(_) => Exit::Refused,
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, crate::causes::chain(&error));
        match error {
            RestoreError::Backup(_) => failure.state(NOTHING_WRITTEN),
            _ => failure,
        }
    }
}
