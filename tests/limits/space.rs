//! A volume without space: not ready, nothing acknowledged, and well again by itself when space returns.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{
    call,
    process::{NodeProcess, playhouse},
    value,
};

/// A volume of its own, so that nobody else fills it or makes room.
struct Volume {
    mounted_at: tempfile::TempDir,
}

impl Volume {
    /// `None` where mounting is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let mounted_at = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(mounted_at.path());
        let output = mount.output().ok()?;
        output.status.success().then_some(Self { mounted_at })
    }

    fn path(&self) -> &Path {
        self.mounted_at.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: the node may still hold it when a test fails.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.unwrap().success() || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_full_volume_acknowledges_nothing_and_continues_when_space_returns() {
    let Some(volume) = Volume::mount("256m") else {
        eprintln!("skipped: mounting a tmpfs of 256 MiB is not allowed here; run it as root");
        return;
    };
    let mut node = NodeProcess::start(playhouse, volume.path(), &["store.reserve_bytes=64MiB"]).await;
    let add = |number: u64| json!({ "add": number });
    assert_eq!(call(&node, "counter/c", "", &add(1)).await.unwrap().0, 200);

    std::fs::write(volume.ballast(), vec![1; 192 << 20]).unwrap(); // Less than the reserve is left.
    let keyed = "idempotency-key: once\r\nrequest-timeout: 1s\r\n";
    let (status, problem) = call(&node, "counter/c", keyed, &add(10)).await.unwrap();
    let code = problem["code"].as_str().unwrap();
    assert!(
        ["deadline_exceeded", "outcome_unknown", "overloaded", "unavailable"].contains(&code),
        "{problem}"
    );
    let reason = node.readiness(503).await;
    assert!(reason.contains("the volume is full"), "{reason}");
    assert_eq!(node.ops("/livez").await.0, 200, "a restart would not make space");

    std::fs::remove_file(volume.ballast()).unwrap();
    node.readiness(200).await;
    assert!(node.is_running(), "without a restart");
    assert_eq!(call(&node, "counter/c", "idempotency-key: once\r\n", &add(10)).await.unwrap().0, 200);
    assert_eq!(value(&node, "c").await, 11, "the repeated call has one effect");
    node.kill().await;
    node.start_again().await;
    assert_eq!(value(&node, "c").await, 11);
    node.kill().await;
}
