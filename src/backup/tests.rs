//! What was written is read again; whatever is damaged is found, with the name of its file.

use std::path::Path;

use bytes::Bytes;

use super::*;

fn manifest(shards: u32) -> Manifest {
    Manifest {
        format: FORMAT,
        cluster_id: "00ff".to_owned(),
        shards,
        release: "0.1.0".to_owned(),
        schemas: [("counter".to_owned(), 1)].into(),
        began_ms: 1,
        ended_ms: 0,
        files: Vec::new(),
        checksum: String::new(),
    }
}

fn header(shard: u32, shards: u32) -> Header {
    Header { format: FORMAT, cluster_id: "00ff".to_owned(), shard, shards, term: 3, index: 40, taken_ms: 7 }
}

fn pairs(numbers: std::ops::Range<u32>) -> Vec<(Bytes, Bytes)> {
    let pair = |number: u32| (format!("{number:04}").into(), format!("value {number}").into());
    numbers.map(pair).collect()
}

/// Two shards; the second is empty.
fn write(folder: &Path) -> Result<Manifest, BackupError> {
    let mut backup = BackupWriter::begin(folder, manifest(2))?;
    let mut first = backup.shard(&header(0, 2))?;
    for range in [0..100, 100..150] {
        let pairs = pairs(range);
        first.add(&Part::pack(&pairs), &pairs).unwrap();
    }
    assert_eq!(backup.end_shard(&header(0, 2), first)?.pairs, 150);
    let second = backup.shard(&header(1, 2))?;
    backup.end_shard(&header(1, 2), second)?;
    backup.finish()
}

#[test]
fn what_was_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let manifest = write(&path).unwrap();
    assert_eq!(manifest.ended_ms, 7);
    let backup = Backup::open(&path).unwrap();
    backup.verify().unwrap();
    let (mut found, mut parts) = (Vec::new(), backup.parts(&backup.manifest().files[0]).unwrap());
    while let Some(some) = parts.next().unwrap() {
        found.extend(some);
    }
    assert_eq!(found, pairs(0..150));
}

#[test]
fn nothing_that_exists_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    write(&path).unwrap();
    assert!(matches!(write(&path), Err(BackupError::Exists(found)) if found == path));
    let other = folder.path().join("other");
    drop(BackupWriter::begin(&other, manifest(1)).unwrap());
    assert!(matches!(write(&other), Err(BackupError::Exists(found)) if found.ends_with("other.unfinished")));
    assert!(!other.exists());
}

/// Every local user could read the state of every entity.
#[cfg(unix)]
#[test]
fn a_backup_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    write(&path).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| mode(&file.unwrap().path())).collect();
    assert!(files.len() >= 2 && files.iter().all(|mode| *mode == 0o600), "{files:?}");
}

#[test]
fn a_backup_without_all_its_shards_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let mut backup = BackupWriter::begin(&path, manifest(2)).unwrap();
    let only = backup.shard(&header(0, 2)).unwrap();
    backup.end_shard(&header(0, 2), only).unwrap();
    assert!(matches!(backup.finish(), Err(BackupError::Damaged { .. })));
    assert!(!path.exists());
}

/// It was called damaged, because another format has other fields: then nobody looks for the release that wrote it.
#[test]
fn a_manifest_of_another_format_is_foreign_and_not_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    write(&path).unwrap();
    let file = path.join("manifest.json");
    std::fs::write(&file, format!(r#"{{"format": {}, "segments": []}}"#, FORMAT + 1)).unwrap();
    let error = Backup::open(&path).unwrap_err();
    let BackupError::Foreign { path: named, found } = &error else { panic!("{error}") };
    assert_eq!((named, *found), (&file, FORMAT + 1));
    for damaged in ["", "{", r#"{"cluster_id": "00ff"}"#, r#"{"format": 1}"#] {
        std::fs::write(&file, damaged).unwrap();
        let error = Backup::open(&path).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{damaged}: {error}");
    }
}

/// Every byte of every file counts, and its end, too.
#[test]
fn every_damage_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    write(&path).unwrap();
    for name in ["manifest.json", "shard-00000.playhouse", "shard-00001.playhouse"] {
        let file = path.join(name);
        let whole = std::fs::read(&file).unwrap();
        let refused = |bytes: &[u8], what: &str| {
            std::fs::write(&file, bytes).unwrap();
            let checked = Backup::open(&path).and_then(|backup| backup.verify());
            let error = checked.expect_err(what);
            assert!(error.to_string().contains(name), "{what}: {error}");
        };
        for at in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("{name} changed at {at}"));
            refused(&whole[..at], &format!("{name} cut at {at}"));
        }
        refused(&[&whole[..], b"x"].concat(), &format!("{name} grew"));
        std::fs::write(&file, whole).unwrap();
    }
    Backup::open(&path).unwrap().verify().unwrap();
}

#[test]
fn the_file_of_another_shard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    write(&path).unwrap();
    std::fs::copy(path.join("shard-00000.playhouse"), path.join("shard-00001.playhouse")).unwrap();
    let error = Backup::open(&path).unwrap().verify().unwrap_err();
    assert!(error.to_string().contains("shard-00001.playhouse"), "{error}");
}
