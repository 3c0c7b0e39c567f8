//! `playhouse restore`: fills the empty volume of the node that founds a cluster. No node runs on it meanwhile.

use std::path::PathBuf;

use serde_json::json;

use super::{Exit, Failure, Output, node::Sourced};
use crate::{
    backup::{Backup, Manifest},
    config::{Profile, Resolved},
    entity::KindRegistry,
    node::{self, Builder, RestoreError, Settings},
    protocol::KindName,
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
    let notes = check_kinds(backup.manifest(), &node.clone().kinds())?;
    notes.iter().for_each(|note| output.note(note));
    let restored = node::restore(&settings, &backup)?;
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

/// What people should know of the kinds in a backup: entities of a kind that this program does not have stay where they are, and
/// nobody can ask them. Fails when this program is older than what it would have to read.
fn check_kinds(manifest: &Manifest, kinds: &KindRegistry) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for (name, schema) in &manifest.schemas {
        let known = KindName::new(name.clone()).ok().and_then(|name| kinds.find(&name));
        let Some(kind) = known else {
            notes.push(format!("this program has no kind {name}; entities of it are restored unread"));
            continue;
        };
        let (from, to) = kinds.reads(kind).into_inner();
        if u32::from(to) < *schema {
            return Err(too_new(manifest, name, *schema, u32::from(to)));
        }
        if u32::from(from) > *schema {
            notes.push(format!(
                "the backup has {name} in schema {schema}, and this program reads it from {from} on"
            ));
        }
    }
    Ok(notes)
}

/// A node that started with it could read none of these entities.
fn too_new(manifest: &Manifest, name: &str, schema: u32, to: u32) -> Failure {
    let what =
        format!("the backup has {name} in schema {schema}, and this program reads it only up to schema {to}");
    let release = &manifest.release;
    Failure::new(Exit::Refused, what)
        .state(NOTHING_WRITTEN)
        .next(format!("restore with a program as new as the one that took the backup, release {release}"))
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let exit = match &error {
            RestoreError::OtherShards { .. }
            | RestoreError::NotInitiator { .. }
            | RestoreError::Identity(_) => Exit::Refused,
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, super::failure::chain(&error));
        match error {
            RestoreError::Backup(_) => failure.state(NOTHING_WRITTEN),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backup::FORMAT, entity::Entity, kinds::Counter};

    fn notes(kind: &str, schema: u32) -> Result<Vec<String>, String> {
        let mut kinds = KindRegistry::default();
        kinds.register::<Counter>().unwrap();
        let manifest = Manifest {
            format: FORMAT,
            cluster_id: String::new(),
            shards: 1,
            release: "7.0.0".to_owned(),
            schemas: [(kind.to_owned(), schema)].into(),
            began_ms: 0,
            ended_ms: 0,
            files: Vec::new(),
            checksum: String::new(),
        };
        check_kinds(&manifest, &kinds).map_err(|failure| failure.what().to_owned())
    }

    /// It was restored without a word, and then every call failed.
    #[test]
    fn a_backup_of_a_newer_program_is_refused() {
        let (from, to) = Counter::READS.into_inner();
        let newer = u32::from(to) + 1;
        let refused = notes(Counter::KIND, newer).unwrap_err();
        assert!(refused.contains(&format!("in schema {newer}")), "{refused}");
        for schema in [from, to] {
            assert_eq!(notes(Counter::KIND, schema.into()), Ok(Vec::new()));
        }
    }

    #[test]
    fn kinds_that_cannot_be_read_are_told() {
        assert!(notes("gone", 1).unwrap()[0].contains("no kind gone"));
        let older = u32::from(*Counter::READS.start()) - 1;
        assert!(notes(Counter::KIND, older).unwrap()[0].contains("on"));
    }
}
