//! A store that is damaged, or not ours, is refused by name, and nothing is deleted.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // The whole file is a test.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use playhouse_cluster::{
    environment::Environment,
    store::{self, Batch, Config, EngineKind, Health, Store, StoreError},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const ALL: std::ops::Range<&[u8]> = b""..&[0xff; 7];

fn config() -> Config {
    Config { write_buffer_bytes: 1 << 20, ..Config::default() }
}

fn open(kind: EngineKind, folder: &Path) -> Result<Store, StoreError> {
    store::open(kind, folder, &config(), &Environment::simulated(1))
}

/// A store with content in tables and in the journal, closed properly.
async fn filled(kind: EngineKind) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(kind, folder.path()).unwrap();
    for round in 0..100 {
        let mut batch = Batch::new();
        (0..20).for_each(|n| batch.put(format!("{round:04}/{n:04}"), format!("{round} {n} ").repeat(200)));
        store.commit(batch).await.unwrap();
    }
    store.release().await;
    folder
}

/// What is in the store of `folder`, which is closed again.
async fn content_of(kind: EngineKind, folder: &Path) -> Vec<(Bytes, Bytes)> {
    let store = open(kind, folder).unwrap();
    let content = content(&store);
    store.release().await;
    content
}

fn content(store: &Store) -> Vec<(Bytes, Bytes)> {
    store.scan(ALL, usize::MAX).unwrap()
}

/// Every file with its length.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::metadata(&path).unwrap().len())),
        }
    }
    found
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    files(folder).into_keys().filter(|path| path.extension().is_some_and(|end| end == extension)).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

/// Opening fails, names `path`, and leaves every file.
fn is_refused(kind: EngineKind, folder: &Path, path: &Path) -> StoreError {
    let before = files(folder);
    let error = open(kind, folder).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error} does not name {}", path.display());
    assert_eq!(files(folder), before);
    error
}

#[tokio::test]
async fn a_damaged_journal_is_refused_by_name() {
    let folder = filled(EngineKind::Fjall).await;
    let journals = with_extension(folder.path(), "jnl");
    let journal = journals.last().unwrap();
    flip(journal, 1_000);
    let error = is_refused(EngineKind::Fjall, folder.path(), journal);
    assert!(matches!(error, StoreError::Corrupt { .. }));
    assert!(error.to_string().contains("nothing was deleted"));

    flip(journal, 1_000); // Repaired: nothing was lost by the refusal.
    assert_eq!(content_of(EngineKind::Fjall, folder.path()).await.len(), 2_000);
}

#[tokio::test]
async fn a_lost_tail_of_acknowledged_batches_is_refused() {
    let folder = filled(EngineKind::Fjall).await;
    let journals = with_extension(folder.path(), "jnl");
    let journal = journals.last().unwrap();
    let bytes = fs::read(journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut shorter = bytes.clone();
    shorter[end - 5_000..].fill(0); // As if pages never reached the disk although it said so.
    fs::write(journal, shorter).unwrap();
    assert!(matches!(open(EngineKind::Fjall, folder.path()), Err(StoreError::Corrupt { .. })));
}

/// A write that was torn by a crash, and that nobody was told of, is cut; the rest is there.
#[tokio::test]
async fn a_torn_tail_is_cut() {
    let folder = filled(EngineKind::Fjall).await;
    let before = content_of(EngineKind::Fjall, folder.path()).await;
    let journals = with_extension(folder.path(), "jnl");
    let mut bytes = fs::read(journals.last().unwrap()).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes.extend_from_slice(&bytes.clone()[..50]); // The start of a batch.
    fs::write(journals.last().unwrap(), bytes).unwrap();
    let after = open(EngineKind::Fjall, folder.path()).unwrap();
    assert_eq!(content(&after), before);
}

/// sled starts from a snapshot of where its pages are, made from its log. It writes a new one, then removes the old one,
/// before it has looked at everything.
fn is_renewed(path: &Path, after: &BTreeMap<PathBuf, u64>) -> bool {
    let is_snapshot =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"snap."));
    is_snapshot(path) && after.keys().any(|path| is_snapshot(path))
}

/// Whatever byte of whatever file changes: the store is refused, or nothing is missing.
async fn damage_never_goes_unnoticed(kind: EngineKind) {
    let folder = filled(kind).await;
    let complete = content_of(kind, folder.path()).await;
    let mut random = SmallRng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..60 {
        let copy = copied(folder.path());
        let paths: Vec<_> = files(copy.path()).into_iter().filter(|(_, length)| *length > 0).collect();
        let (path, _) = &paths[random.random_range(0..paths.len())];
        let used = fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let at = random.random_range(0..used);
        flip(path, at);
        let before = files(copy.path());
        match open(kind, copy.path()) {
            Ok(store) => assert_eq!(content(&store), complete, "byte {at} of {}", path.display()),
            Err(error) => {
                let after = files(copy.path());
                let lost: Vec<_> = before
                    .keys()
                    .filter(|path| !after.contains_key(*path) && !is_renewed(path, &after))
                    .collect();
                assert!(lost.is_empty(), "{lost:?} deleted after byte {at} of {}: {error}", path.display());
                refused += 1;
            }
        }
    }
    println!("{}: {refused} of 60 damages refused, the others were harmless", kind.name());
}

fn copied(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for path in files(folder).into_keys() {
        let target = copy.path().join(path.strip_prefix(folder).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
    copy
}

#[tokio::test]
async fn damage_of_fjall_never_goes_unnoticed() {
    damage_never_goes_unnoticed(EngineKind::Fjall).await;
}

#[tokio::test]
async fn damage_of_sled_never_goes_unnoticed() {
    damage_never_goes_unnoticed(EngineKind::Sled).await;
}

#[tokio::test]
async fn a_damaged_format_file_is_refused() {
    let folder = filled(EngineKind::Fjall).await;
    let path = folder.path().join("FORMAT");
    flip(&path, 30);
    assert!(matches!(is_refused(EngineKind::Fjall, folder.path(), &path), StoreError::Corrupt { .. }));
    fs::remove_file(&path).unwrap();
    let error = is_refused(EngineKind::Fjall, folder.path(), &path);
    assert!(error.to_string().contains("missing"));
}

#[tokio::test]
async fn a_foreign_format_is_refused() {
    let folder = filled(EngineKind::Fjall).await;
    let path = folder.path().join("FORMAT");
    let text = fs::read_to_string(&path).unwrap();
    let own = format_in(&text);
    let text = text.replace(&format!("format = {own}"), &format!("format = {}", own + 1));
    let body = &text[..text.find("checksum").unwrap()];
    let checksum = xxhash_rust::xxh3::xxh3_64(body.as_bytes());
    fs::write(&path, format!("{body}checksum = {checksum:016x}\n")).unwrap();
    let error = is_refused(EngineKind::Fjall, folder.path(), &path);
    assert!(matches!(error, StoreError::ForeignFormat { .. }));
    let told = format!("has format {}, this release reads {own}", own + 1);
    assert!(error.to_string().contains(&told), "{error}");
}

fn format_in(text: &str) -> u32 {
    text.lines().find_map(|line| line.strip_prefix("format = ")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_data_of_another_engine_is_refused() {
    let folder = filled(EngineKind::Fjall).await;
    let error = is_refused(EngineKind::Sled, folder.path(), folder.path());
    assert!(matches!(error, StoreError::OtherEngine { found: "fjall", wanted: "sled", .. }));
}

#[tokio::test]
async fn a_folder_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("something"), "else").unwrap();
    is_refused(EngineKind::Fjall, folder.path(), &folder.path().join("FORMAT"));
}

#[tokio::test]
async fn a_missing_data_folder_is_refused() {
    let folder = filled(EngineKind::Fjall).await;
    let mut entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let data = entries.find(|path| path.is_dir()).unwrap();
    fs::rename(&data, folder.path().join("elsewhere")).unwrap();
    assert!(matches!(is_refused(EngineKind::Fjall, folder.path(), &data), StoreError::Corrupt { .. }));
}

/// An interrupted creation holds nothing that was acknowledged: the next start begins again.
#[tokio::test]
async fn an_interrupted_creation_is_begun_again() {
    let folder = filled(EngineKind::Fjall).await;
    let path = folder.path().join("FORMAT");
    let own = format_in(&fs::read_to_string(&path).unwrap());
    let text = format!("playhouse store\nformat = {own}\nengine = fjall\ndata = -\n");
    let checksum = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    fs::write(&path, format!("{text}checksum = {checksum:016x}\n")).unwrap();
    let store = open(EngineKind::Fjall, folder.path()).unwrap();
    assert!(content(&store).is_empty());
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    for kind in [EngineKind::Fjall, EngineKind::Sled] {
        let folder = filled(kind).await;
        let first = open(kind, folder.path()).unwrap();
        assert!(matches!(open(kind, folder.path()), Err(StoreError::InUse { .. })));
        first.release().await;
        open(kind, folder.path()).unwrap();
    }
}

/// Below the reserve nothing is acknowledged, the store says so, and nothing of the batch exists.
#[tokio::test]
async fn a_full_volume_acknowledges_nothing() {
    for kind in [EngineKind::Fjall, EngineKind::Sled] {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { reserve_bytes: u64::MAX, ..config() };
        let store = store::open(kind, folder.path(), &config, &Environment::simulated(1)).unwrap();
        let mut batch = Batch::new();
        batch.put("key", "value");

        let (writer, mut health) = (store.clone(), store.health());
        let commit = writer.commit(batch);
        let (outcome, ()) = tokio::join!(commit, async {
            health.wait_for(|health| matches!(health, Health::Full { .. })).await.unwrap();
            store.shutdown().await;
        });
        assert!(matches!(outcome, Err(StoreError::Closed { .. })));
        writer.release().await;
        assert!(content_of(kind, folder.path()).await.is_empty());
    }
}
