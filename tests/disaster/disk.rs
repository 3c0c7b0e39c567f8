//! A disk that hangs: the node gives its leaderships away and ends, although the call into the disk never returns.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{add, cluster::Cluster};

/// Syncs wait for ever while the file `HANG` exists.
const HANGING: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void hang(void) { const char *file = getenv("HANG"); while (file && access(file, F_OK) == 0) pause(); }
int fdatasync(int fd) { hang(); return syscall(SYS_fdatasync, fd); }
int fsync(int fd) { hang(); return syscall(SYS_fsync, fd); }
"#;

/// Makes the library. `None`: there is no C compiler.
fn compile(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("hang.c"), folder.join("hang.so"));
    std::fs::write(&source, HANGING).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    let compiled = compiled.ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(library)
}

#[tokio::test]
async fn a_node_whose_disk_hangs_ends_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = compile(folder.path()) else {
        eprintln!("skipped: there is no C compiler (cc) to make a library that lets syncs hang");
        return;
    };
    let hang = folder.path().join("hang");
    let mut cluster = Cluster::new(folder.path(), 3, 6);
    for at in 0..3 {
        cluster
            .start_with(at, &[("LD_PRELOAD", &library), ("HANG", &folder.path().join(format!("hang-{at}")))]);
    }
    for at in 0..3 {
        cluster.ready(at).await;
    }
    let client = cluster.client(&[0, 2]);
    let mut values = [0; 12];
    for (key, value) in values.iter_mut().enumerate() {
        *value = add(&client, &format!("k{key}"), 1).await;
    }

    let victim = 1;
    std::fs::write(hang.with_file_name(format!("hang-{victim}")), "").unwrap();
    let start = Instant::now();
    for (key, value) in values.iter_mut().enumerate() {
        let now = add(&client, &format!("k{key}"), 1).await;
        assert_eq!(now, *value + 1, "k{key}");
        *value = now;
    }
    let status = cluster.ended(victim).await;
    let took = start.elapsed();
    assert!(!status.success(), "{status}");
    assert!(status.code().is_some(), "it ended by itself: {status}");
    assert!(took < Duration::from_secs(30), "it ended after {took:?}");
    assert!(cluster.log(victim).contains("the disk hangs"), "{}", cluster.log(victim));
    assert!(add(&client, "k0", 1).await == values[0] + 1);

    // The disk is well again: so is the node.
    std::fs::remove_file(hang.with_file_name(format!("hang-{victim}"))).unwrap();
    cluster.start_with(victim, &[]);
    cluster.ready(victim).await;
    assert_eq!(add(&cluster.client(&[victim]), "k0", 1).await, values[0] + 2);
}
