//! `playhouse backup`, `playhouse backup verify` and `playhouse backup prune`

mod copy;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde_json::json;
use tokio::time::Instant;

use super::{Exit, Failure, Output, duration, operators::Operators, server::Server};
use crate::backup::{Backup, BackupError, BackupWriter, FORMAT, Manifest, Unfinished};

use self::copy::{Commands, OpenView, Source};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Arguments {
    /// Folder that the backup becomes; it must not exist yet, the folder above it must
    #[arg(long, value_name = "DIR", required = true)]
    to: Option<PathBuf>,

    #[command(flatten)]
    operators: Operators,

    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Debug, clap::Subcommand)]
enum Instead {
    /// Read a backup once and check every byte of it
    Verify {
        /// Folder of the backup
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Remove all but the newest backups of a folder; what is no backup stays
    Prune {
        /// Folder in which the backups are
        #[arg(value_name = "DIR")]
        folder: PathBuf,

        /// How many of each cluster stay
        #[arg(long, value_name = "N")]
        keep: NonZeroUsize,

        /// Also remove what interrupted backups left; only where none is being taken now
        #[arg(long)]
        unfinished: bool,
    },
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let Arguments { to, operators, instead } = arguments;
    match (instead, to) {
        (Some(Instead::Verify { folder }), _) => verify(&folder, output),
        (Some(Instead::Prune { folder, keep, unfinished }), _) => {
            let unfinished = if unfinished { Unfinished::Remove } else { Unfinished::Keep };
            prune(&folder, keep, unfinished, output)
        }
        (None, Some(to)) => {
            let source = Source::new(operators.desk(server)?.for_large_answers(), output);
            take(&source, &to, output).await
        }
        (None, None) => Err(Failure::usage("say with --to where the backup goes")),
    }
}

fn verify(folder: &Path, output: &Output) -> Result<Exit, Failure> {
    let backup = Backup::open(folder)?;
    backup.verify()?;
    report(backup.manifest(), output, |what| format!("{} is whole: {what}", folder.display()))?;
    Ok(Exit::Ok)
}

fn prune(
    folder: &Path,
    keep: NonZeroUsize,
    unfinished: Unfinished,
    output: &Output,
) -> Result<Exit, Failure> {
    let pruned = crate::backup::prune(folder, keep, unfinished)?;
    let summary = json!({ "kept": pruned.kept, "removed": pruned.removed, "unfinished": pruned.unfinished });
    output.print(&summary, |_| {
        let (kept, removed, unfinished) = (pruned.kept.len(), pruned.removed.len(), pruned.unfinished.len());
        format!("{}: {kept} kept, {removed} removed, {unfinished} unfinished", folder.display())
    })?;
    Ok(Exit::Ok)
}

async fn take(source: &Source<'_, impl Commands>, to: &Path, output: &Output) -> Result<Exit, Failure> {
    let start = Instant::now();
    let first = source.open(0).await?;
    let mut backup = BackupWriter::begin(to, manifest(&first))?;
    let unfinished =
        format!("{} holds what was copied; it is no backup, remove it", backup.unfinished().display());
    let kept = |failure: Failure| failure.state(unfinished.clone());
    copy(source, first, &mut backup).await.map_err(kept)?;
    let manifest = backup.finish().map_err(|error| match error {
        // It has its name already.
        BackupError::NotSynced { .. } => error.into(),
        error => kept(error.into()),
    })?;
    let took = duration::show(start.elapsed());
    report(&manifest, output, |what| format!("{}: {what}, in {took}", to.display()))?;
    Ok(Exit::Ok)
}

/// Opens all shards before it reads any: the less time there is between their moments, the less goes through between them.
/// Those that are open are kept while others are opened, which takes long when a shard has no leader, and while others are read.
async fn copy(
    source: &Source<'_, impl Commands>,
    first: OpenView,
    backup: &mut BackupWriter,
) -> Result<(), Failure> {
    let copied = async {
        let opened = source.open_others(&first).await?;
        for (shard, open) in (0..).zip(&opened) {
            source.copy(shard, open, &first, backup).await?;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        copied = copied => copied,
        never = source.keep() => match never {},
    }
}

/// What is known before anything is copied.
fn manifest(first: &OpenView) -> Manifest {
    Manifest {
        format: FORMAT,
        cluster_id: first.cluster_id.clone(),
        shards: first.shards,
        release: first.release.clone(),
        schemas: first.schemas.clone(),
        began_ms: first.taken_ms,
        ended_ms: first.taken_ms,
        files: Vec::new(),
        checksum: String::new(),
    }
}

fn report(manifest: &Manifest, output: &Output, text: impl FnOnce(&str) -> String) -> Result<(), Failure> {
    let (pairs, bytes) = (manifest.pairs(), manifest.bytes());
    let summary = json!({
        "cluster_id": manifest.cluster_id,
        "release": manifest.release,
        "shards": manifest.shards,
        "pairs": pairs,
        "bytes": bytes,
        "began_ms": manifest.began_ms,
        "ended_ms": manifest.ended_ms,
    });
    output.print(&summary, |_| {
        let Manifest { cluster_id, shards, .. } = manifest;
        text(&format!("cluster {cluster_id}, {shards} shards, {pairs} pairs, {bytes} bytes"))
    })
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let what = crate::causes::chain(&error);
        match error {
            BackupError::Exists(_) => Self::new(Exit::Refused, what),
            _ => Self::new(Exit::Failed, what),
        }
    }
}
