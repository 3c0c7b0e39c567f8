//! What is in a backup: a text for people and programs, with a checksum over itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::folder::file_name;

/// The format that this release writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of all files.
    pub format: u32,
    /// The cluster that it was taken from, in hexadecimal.
    pub cluster_id: String,
    /// How many shards the cluster has.
    pub shards: u32,
    /// The release of the node that gathered it.
    pub release: String,
    /// The schema version of each durable kind that this node writes.
    pub schemas: BTreeMap<String, u32>,
    /// When it was begun, in milliseconds since the Unix epoch, by the clock of that node.
    pub began_ms: u64,
    /// When its last shard was taken.
    pub ended_ms: u64,
    /// Each shard, by number.
    pub files: Vec<ShardEntry>,
    /// xxh3 of this text with an empty checksum, in hexadecimal.
    pub checksum: String,
}

/// One shard of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Which shard.
    pub shard: u32,
    /// Its file, in the folder of the manifest.
    pub file: String,
    /// The last log entry that is part of it: its term.
    pub term: u64,
    /// The last log entry that is part of it: its index.
    pub index: u64,
    /// When it was taken, in milliseconds since the Unix epoch, by the clock of its leader.
    pub taken_ms: u64,
    /// How many pairs it has.
    pub pairs: u64,
    /// How long the file is.
    pub bytes: u64,
    /// xxh3 of the whole file, in hexadecimal.
    pub checksum: String,
}

impl Manifest {
    /// How many pairs it has in all.
    #[must_use]
    pub fn pairs(&self) -> u64 {
        self.files.iter().map(|file| file.pairs).sum()
    }

    /// How long its files are together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// With its checksum.
    pub(super) fn to_text(&self) -> String {
        let sealed = Self { checksum: self.sum(), ..self.clone() };
        sealed.text()
    }

    /// In which format a text is, whatever else that format says. Fails with what is wrong.
    pub(super) fn format_of(text: &str) -> Result<u32, String> {
        #[derive(Deserialize)]
        struct Beginning {
            format: u32,
        }
        let beginning: Beginning = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(beginning.format)
    }

    /// Checks a text of this [`FORMAT`] and reads it. Fails with what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if text != manifest.to_text() {
            return Err("its checksum is wrong".to_owned());
        }
        let listed = manifest.files.iter().map(|file| (file.shard, file.file.clone()));
        let is_whole = (0..manifest.shards).map(|shard| (shard, file_name(shard))).eq(listed);
        is_whole.then_some(manifest).ok_or_else(|| "it does not list each shard once, in order".to_owned())
    }

    fn sum(&self) -> String {
        let bare = Self { checksum: String::new(), ..self.clone() };
        format!("{:016x}", xxh3_64(bare.text().as_bytes()))
    }

    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has known fields");
        text.push('\n');
        text
    }
}
