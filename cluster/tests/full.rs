//! A volume that fills up and gets space again, with the engines that write to disk.

#![allow(clippy::unwrap_used)] // The whole file is a test.

use std::{fs, path::Path, time::Duration};

use playhouse_cluster::{
    environment::Environment,
    store::{self, Batch, Config, EngineKind, Health},
};
use tokio::runtime::Handle;

/// How much may be written before the reserve is reached, in bytes.
const ALLOWED: u64 = 24 << 20;

/// In memory if there is such a place, because nobody else fills it meanwhile.
fn volume() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn free_bytes(path: &Path) -> u64 {
    let volume = rustix::fs::statvfs(path).unwrap();
    volume.f_bavail * volume.f_frsize
}

fn put(key: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, "value");
    batch
}

async fn continues_when_space_returns(kind: EngineKind) {
    let volume = volume();
    let config = Config { reserve_bytes: free_bytes(volume.path()) - ALLOWED, ..Config::default() };
    let environment = Environment::real(Handle::current(), Handle::current());
    let store = store::open(kind, &volume.path().join("store"), &config, &environment).unwrap();
    let mut health = store.health();
    store.commit(put("before")).await.unwrap();

    let ballast = volume.path().join("ballast");
    fs::write(&ballast, vec![1; 2 * ALLOWED as usize]).unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await; // The store may trust its last look for 100 ms.
    let mut waiting = environment.spawn({
        let store = store.clone();
        async move { store.commit(put("waiting")).await }
    });
    health.wait_for(|health| matches!(health, Health::Full { .. })).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "acknowledged without space");
    assert!(store.get(b"before").unwrap().is_some()); // Reads go on.
    assert!(store.get(b"waiting").unwrap().is_none());

    fs::remove_file(ballast).unwrap();
    waiting.await.unwrap().unwrap();
    health.wait_for(Health::is_healthy).await.unwrap();
    assert!(store.get(b"waiting").unwrap().is_some());
    store.shutdown().await;
}

#[tokio::test]
async fn fjall_continues_when_space_returns() {
    continues_when_space_returns(EngineKind::Fjall).await;
}

#[tokio::test]
async fn sled_continues_when_space_returns() {
    continues_when_space_returns(EngineKind::Sled).await;
}
