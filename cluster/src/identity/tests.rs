//! Every way in which a volume can be the wrong one.

use std::{collections::BTreeMap, fs};

use tempfile::TempDir;

use super::*;

/// A fresh volume and the world around it.
struct Story {
    volume: TempDir,
    environment: Environment,
    wanted: Wanted,
}

impl Story {
    fn new() -> Self {
        let wanted = Wanted { name: "playhouse-0".to_owned(), shards: shards(128), cluster_id: None };
        Self { volume: tempfile::tempdir().unwrap(), environment: Environment::simulated(1), wanted }
    }

    /// A volume that has been used once, in a cluster.
    fn used() -> Self {
        let story = Self::new();
        story.open().unwrap().adopt_cluster_id(ClusterId(7)).unwrap();
        story
    }

    fn open(&self) -> Result<Identity, IdentityError> {
        Identity::open_or_create(self.volume.path(), &self.wanted, &self.environment)
    }

    /// What lies on the volume.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.volume.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    fn edit(&self, change: impl Fn(&str) -> String) {
        let path = self.volume.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(&text)).unwrap();
    }

    /// Opening fails, with a message that tells what happened and what to do, and changes nothing.
    fn is_refused(&self, parts_of_message: &[&str]) -> IdentityError {
        let before = self.content();
        let error = self.open().unwrap_err();
        let message = error.to_string();
        for part in parts_of_message.iter().chain(&["nothing was changed"]) {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert_eq!(self.content(), before);
        error
    }
}

fn shards(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

/// The text with another field, and the right checksum.
fn resealed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from));
    let body = text.replace(from, to);
    let body = &body[..body.find("checksum").unwrap()];
    format!("{body}checksum = {:016x}\n", xxhash_rust::xxh3::xxh3_64(body.as_bytes()))
}

#[tokio::test]
async fn a_volume_keeps_who_the_node_is() {
    let story = Story::new();
    let mut first = story.open().unwrap();
    assert!(first.is_new());
    assert_ne!(first.raft_id(), RaftId(0));
    assert_eq!(first.cluster_id(), None);
    first.adopt_cluster_id(ClusterId(7)).unwrap();
    first.adopt_cluster_id(ClusterId(7)).unwrap();
    let (raft_id, incarnation) = (first.raft_id(), first.incarnation());
    drop(first);

    let second = story.open().unwrap();
    assert!(!second.is_new());
    assert_eq!(second.raft_id(), raft_id);
    assert_eq!(second.cluster_id(), Some(ClusterId(7)));
    assert_eq!((second.name(), second.shards()), ("playhouse-0", shards(128)));
    assert!(second.incarnation() > incarnation);
}

/// The clock may stand still or run back; an incarnation never does.
#[test]
fn incarnations_rise_even_if_the_clock_does_not() {
    assert_eq!(next_incarnation(Incarnation(5), 9), Incarnation(9));
    assert_eq!(next_incarnation(Incarnation(9), 9), Incarnation(10));
    assert_eq!(next_incarnation(Incarnation(9), 3), Incarnation(10));
}

#[tokio::test]
async fn a_lost_volume_means_a_new_raft_id() {
    let (story, mut other) = (Story::new(), Story::new());
    other.environment = story.environment.clone();
    assert_ne!(story.open().unwrap().raft_id(), other.open().unwrap().raft_id());
}

#[tokio::test]
async fn an_interrupted_first_start_does_not_count() {
    let story = Story::new();
    fs::write(story.volume.path().join("identity.new"), "playhouse ide").unwrap();
    fs::create_dir(story.volume.path().join("lost+found")).unwrap();
    assert!(story.open().unwrap().is_new());
}

#[tokio::test]
async fn the_volume_of_another_node_is_refused() {
    let mut story = Story::used();
    story.wanted.name = "playhouse-1".to_owned();
    let error = story.is_refused(&["belongs to the node playhouse-0", "this node is playhouse-1"]);
    assert!(matches!(error, IdentityError::OtherName { .. }));
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let mut story = Story::used();
    story.wanted.shards = shards(64);
    let error = story.is_refused(&["128 shards", "64 are configured", "configure 128"]);
    assert!(matches!(error, IdentityError::OtherShards { .. }));
}

#[tokio::test]
async fn the_volume_of_another_cluster_is_refused() {
    let mut story = Story::used();
    story.wanted.cluster_id = Some(ClusterId(8));
    let error = story.is_refused(&["0000000000000007", "0000000000000008"]);
    assert!(matches!(error, IdentityError::OtherCluster { .. }));

    story.wanted.cluster_id = Some(ClusterId(7));
    let mut identity = story.open().unwrap();
    let before = story.content();
    assert!(matches!(identity.adopt_cluster_id(ClusterId(8)), Err(IdentityError::OtherCluster { .. })));
    assert_eq!(story.content(), before);
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let story = Story::used();
    story.edit(|text| text.replace("shards = 128", "shards = 129"));
    assert!(matches!(story.is_refused(&["identity is damaged"]), IdentityError::Damaged { .. }));
    story.edit(|text| text[..40].to_owned());
    assert!(matches!(story.is_refused(&["identity is damaged"]), IdentityError::Damaged { .. }));
    story.edit(|_| String::new());
    assert!(matches!(story.is_refused(&["identity is damaged"]), IdentityError::Damaged { .. }));
}

/// The checksum is right, so it was not the disk.
#[tokio::test]
async fn a_field_without_sense_is_refused() {
    let story = Story::used();
    story.edit(|text| resealed(text, "shards = 128", "shards = 0"));
    assert!(matches!(story.is_refused(&["shards is missing or wrong"]), IdentityError::Damaged { .. }));
}

#[tokio::test]
async fn a_foreign_format_is_refused() {
    let story = Story::used();
    story.edit(|text| resealed(text, "format = 1", "format = 2"));
    let error = story.is_refused(&["has format 2", "reads 1", "Start the release that wrote it"]);
    assert!(matches!(error, IdentityError::ForeignFormat { .. }));
}

#[tokio::test]
async fn data_without_an_identity_is_refused() {
    let story = Story::new();
    fs::write(story.volume.path().join("data"), "of somebody").unwrap();
    assert!(matches!(story.is_refused(&["identity is missing"]), IdentityError::Missing { .. }));
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let story = Story::new();
    let first = story.open().unwrap();
    let error = story.is_refused(&["in use by another process", "Stop that process first"]);
    assert!(matches!(error, IdentityError::InUse { .. }));
    drop(first);
    story.open().unwrap();
}

#[tokio::test]
async fn a_name_that_cannot_be_kept_is_refused() {
    let mut story = Story::new();
    for name in ["", "two\nlines"] {
        story.wanted.name = name.to_owned();
        assert!(matches!(story.is_refused(&["is no name"]), IdentityError::BadName { .. }));
    }
}

#[tokio::test]
async fn a_volume_of_no_cluster_joins_only_the_cluster_that_it_was_told_about() {
    let mut story = Story::new();
    story.wanted.cluster_id = Some(ClusterId(7));
    let mut identity = story.open().unwrap();
    assert_eq!(identity.cluster_id(), None, "being told is not being a member");
    let refused = identity.adopt_cluster_id(ClusterId(8));
    assert!(matches!(refused, Err(IdentityError::OtherCluster { .. })), "{refused:?}");
    assert_eq!(identity.cluster_id(), None);
    identity.adopt_cluster_id(ClusterId(7)).unwrap();
    drop(identity);
    assert_eq!(story.open().unwrap().cluster_id(), Some(ClusterId(7)));
}
