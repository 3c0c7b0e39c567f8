//! What was forced upon a volume: one line of JSON per step in the file `recoveries`, never removed.
//!
//! The first line of a recovery is on disk before anything else is changed, the second when all is.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use playhouse_cluster::membership::Which;
use serde::{Deserialize, Serialize};

const FILE: &str = "recoveries";

/// A recovery, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether it was done, or only begun.
    pub is_done: bool,
    /// The release that did it.
    pub release: String,
    /// The node whose volume it is.
    pub node: String,
    /// Who was given up.
    pub lost: Vec<String>,
    /// The cluster as it was, in hexadecimal.
    pub cluster_id: String,
    /// The cluster that goes on, if under another id.
    pub new_cluster_id: Option<String>,
    /// What goes on with the replica of this volume alone.
    pub groups: Vec<RecoveredGroup>,
}

/// A group that goes on with one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredGroup {
    /// Which: the number of a shard; nothing: the system group.
    pub shard: Option<u32>,
    /// The term of the last entry that is kept.
    pub term: u64,
    /// The index of the last entry that is kept. What was acknowledged behind it is lost.
    pub index: u64,
    /// The index of the last entry that is known to have been committed. Those between were acknowledged, or not.
    pub committed: u64,
    /// How old what is kept is: its clock at that entry, in milliseconds since the Unix epoch. Nothing: nothing ever happened,
    /// or an earlier release recorded it.
    #[serde(default)]
    pub clock_ms: Option<u64>,
    /// Its voters until then, by name.
    pub voters: Vec<String>,
}

/// The record of recoveries cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The operating system refused.
    #[error("could not access {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not what was written.
    #[error("line {line} of {} is damaged: {reason}; nothing was changed. Repair it by hand", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for AuditEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.groups.as_slice() {
            [group] => format!("{} behind entry {}", group.which(), group.index),
            groups => format!("all {} groups", groups.len()),
        };
        let step = if self.is_done { "went" } else { "was to go" };
        let (lost, at_ms) = (self.lost.join(", "), self.at_ms);
        write!(formatter, "{what} {step} on with this volume alone at {at_ms} ms, without {lost}")?;
        match &self.new_cluster_id {
            Some(id) if self.is_done => write!(formatter, "; cluster {} became {id}", self.cluster_id),
            Some(id) => write!(formatter, "; cluster {} was to become {id}", self.cluster_id),
            None => Ok(()),
        }
    }
}

impl AuditEntry {
    fn is_ended_by(&self, step: &Self) -> bool {
        !self.is_done && Self { is_done: true, ..self.clone() } == *step
    }
}

impl RecoveredGroup {
    fn which(&self) -> Which {
        self.shard.map_or(Which::System, Which::Shard)
    }
}

/// The record of recoveries on a volume.
#[derive(Clone, Debug)]
pub(in crate::node) struct Audit {
    path: PathBuf,
}

impl Audit {
    pub(in crate::node) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// All of it, the oldest first. A last line without an end was being written when the machine stopped.
    pub(in crate::node) fn read(&self) -> Result<Vec<AuditEntry>, AuditError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let entries = whole.lines().zip(1..).map(|(line, number)| {
            let damaged = |error: serde_json::Error| AuditError::Damaged {
                path: self.path.clone(),
                line: number,
                reason: error.to_string(),
            };
            serde_json::from_str(line).map_err(damaged)
        });
        entries.collect()
    }

    /// Each recovery once, by its last step, the oldest first.
    pub(in crate::node) fn read_outcomes(&self) -> Result<Vec<AuditEntry>, AuditError> {
        let mut outcomes: Vec<AuditEntry> = Vec::new();
        for step in self.read()? {
            if outcomes.last().is_some_and(|last| last.is_ended_by(&step)) {
                outcomes.pop();
            }
            outcomes.push(step);
        }
        Ok(outcomes)
    }

    /// Adds a step; it is on disk when this returns.
    pub(super) fn add(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        let write = || {
            let mut line = serde_json::to_string(entry)?;
            line.push('\n');
            let mut file =
                File::options().create(true).truncate(false).read(true).write(true).open(&self.path)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            // What was being written when the machine stopped is replaced: nothing else had been changed then.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            file.seek(SeekFrom::Start(whole as u64))?;
            file.set_len(whole as u64)?;
            file.write_all(line.as_bytes())?;
            file.sync_all()?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_ms: u64, is_done: bool) -> AuditEntry {
        AuditEntry {
            at_ms,
            is_done,
            release: "1".to_owned(),
            node: "a".to_owned(),
            lost: vec!["b".to_owned()],
            cluster_id: "77".to_owned(),
            new_cluster_id: None,
            groups: vec![RecoveredGroup {
                shard: Some(3),
                term: 1,
                index: 9,
                committed: 8,
                clock_ms: Some(1_000),
                voters: vec!["a".to_owned(), "b".to_owned()],
            }],
        }
    }

    #[test]
    fn what_was_added_is_read_again_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::of(folder.path());
        assert_eq!(audit.read().unwrap(), []);
        audit.add(&entry(1, false)).unwrap();
        audit.add(&entry(2, true)).unwrap();
        assert_eq!(audit.read().unwrap(), [entry(1, false), entry(2, true)]);
    }

    #[test]
    fn a_recovery_that_was_done_is_told_once_and_one_that_was_not_is_told_as_begun() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::of(folder.path());
        let steps = [entry(1, false), entry(2, false), entry(2, true), entry(3, false), entry(3, true)];
        steps.iter().for_each(|step| audit.add(step).unwrap());
        assert_eq!(audit.read_outcomes().unwrap(), [entry(1, false), entry(2, true), entry(3, true)]);
    }

    #[test]
    fn what_was_not_done_is_not_told_as_done() {
        let told =
            |is_done| AuditEntry { new_cluster_id: Some("78".to_owned()), ..entry(1, is_done) }.to_string();
        assert!(told(true).contains(" went on ") && told(true).ends_with("cluster 77 became 78"));
        assert!(
            told(false).contains(" was to go on ") && told(false).ends_with("cluster 77 was to become 78")
        );
    }

    #[test]
    fn damage_is_found_and_an_unfinished_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::of(folder.path());
        audit.add(&entry(1, false)).unwrap();
        let whole = fs::read(&audit.path).unwrap();
        fs::write(&audit.path, [&whole[..], &whole[..20]].concat()).unwrap();
        assert_eq!(audit.read().unwrap(), [entry(1, false)]);
        audit.add(&entry(2, true)).unwrap();
        assert_eq!(audit.read().unwrap(), [entry(1, false), entry(2, true)]);
        fs::write(&audit.path, &whole[3..]).unwrap();
        assert!(matches!(audit.read(), Err(AuditError::Damaged { line: 1, .. })));
    }
}
