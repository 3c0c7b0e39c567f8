//! The image as a container: nobody's user, a root that cannot be written, no rights, one volume.
//!
//! Needs root and `runc`. Where they are not, the test says that it did not run, or fails, as `support/privileges.rs` has it.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command as Blocking, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::{
    archive::{Archive, succeeds},
    privileges::{not_installed, not_tested},
};

const PATIENCE: Duration = Duration::from_secs(120);
const USER: u32 = 65532;

/// The binary under test as an image, unpacked.
struct Unpacked {
    folder: PathBuf,
    config: Value,
}

impl Unpacked {
    /// `None`, and the reason printed, where containers cannot be started. Made once: a debug build is large.
    fn of_the_binary_under_test() -> Option<&'static Self> {
        static UNPACKED: OnceLock<Option<Unpacked>> = OnceLock::new();
        UNPACKED.get_or_init(|| can_run().map(|()| Self::make()).inspect_err(skipped).ok()).as_ref()
    }

    fn make() -> Self {
        // Where Cargo keeps files of tests: nobody drops what is static.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
        let root = folder.join("root");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&root).unwrap();
        let binary = folder.join("playhouse");
        // Most of it is for debuggers.
        let mut strip = Blocking::new("strip");
        succeeds(strip.arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_playhouse")));
        let image = Archive::of(&binary, &[]);
        image.unpack(&root);
        Self { config: image.config()["config"].clone(), folder }
    }

    /// Starts it as the image says: with these arguments instead of the usual ones, and `volume` as its only writable place.
    fn start(&self, arguments: Option<&[&str]>, volume: Option<&Path>) -> Container {
        let bundle = TempDir::new().unwrap();
        let specification = self.specification(arguments, volume);
        fs::write(bundle.path().join("config.json"), specification.to_string()).unwrap();
        let name = bundle.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let log = bundle.path().join("log");
        let process = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(bundle.path())
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::create(bundle.path().join("errors")).unwrap())
            .spawn()
            .unwrap();
        Container { bundle, name, process }
    }

    /// What the runtime is told, with the least that lets a program run.
    fn specification(&self, arguments: Option<&[&str]>, volume: Option<&Path>) -> Value {
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
        ];
        if let Some(volume) = volume {
            let options = ["rbind", "rw"];
            mounts.push(json!({ "destination": "/var/lib/playhouse", "source": volume, "options": options }));
        }
        let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": self.user(),
                "args": self.command(arguments),
                "env": self.config["Env"],
                "cwd": self.config["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": true,
            },
            "root": { "path": self.folder.join("root"), "readonly": true },
            "mounts": mounts,
            "linux": { "namespaces": namespaces },
        })
    }

    fn user(&self) -> Value {
        let (user, group) = self.config["User"].as_str().unwrap().split_once(':').unwrap();
        json!({ "uid": user.parse::<u32>().unwrap(), "gid": group.parse::<u32>().unwrap() })
    }

    fn command(&self, arguments: Option<&[&str]>) -> Value {
        let mut command = self.config["Entrypoint"].as_array().unwrap().clone();
        match arguments {
            Some(arguments) => command.extend(arguments.iter().map(|argument| json!(argument))),
            None => command.extend(self.config["Cmd"].as_array().unwrap().clone()),
        }
        json!(command)
    }

    /// The health check of the image, without its first word.
    fn health_check(&self) -> Vec<String> {
        let test: Vec<String> = serde_json::from_value(self.config["Healthcheck"]["Test"].clone()).unwrap();
        test[1..].to_vec()
    }
}

/// A container that runs, or that ended. Killed when dropped.
struct Container {
    bundle: TempDir,
    name: String,
    process: Child,
}

impl Container {
    /// Runs a command in it, as the engine runs a health check.
    async fn execute<T: AsRef<str>>(&self, command: &[T]) -> Output {
        let words = command.iter().map(AsRef::as_ref);
        let output = Command::new("runc").args(["exec", &self.name]).args(words).output();
        timeout(PATIENCE, output).await.expect("it ends in time").unwrap()
    }

    /// Returns when the health check says so.
    async fn until_healthy(&mut self, check: &[String]) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the container ended with {status}: {}{}", self.log(), self.errors());
            }
            let output = self.execute(check).await;
            if output.status.success() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "unhealthy: {output:?}; {}", self.log());
        }
    }

    /// Its first process, as the machine sees it.
    fn init(&self) -> String {
        let state = succeeds(Blocking::new("runc").args(["state", &self.name]));
        let state: Value = serde_json::from_slice(&state.stdout).unwrap();
        state["pid"].to_string()
    }

    async fn stop(&mut self) -> Option<i32> {
        succeeds(Blocking::new("runc").args(["kill", &self.name, "TERM"]));
        self.ended().await
    }

    /// Its exit code.
    async fn ended(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.process.wait()).await.expect("it ends in time").unwrap().code()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bundle.path().join("log")).unwrap()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.bundle.path().join("errors")).unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            drop(Blocking::new("runc").args(["delete", "--force", &self.name]).output());
        }
    }
}

/// Why there is no container here.
enum Hindrance {
    NoRuntime(String),
    Forbidden(String),
}

/// # Panics
///
/// Where containers must be started.
fn skipped(hindrance: &Hindrance) {
    match hindrance {
        Hindrance::NoRuntime(reason) => not_installed("a container", reason),
        Hindrance::Forbidden(reason) => not_tested("a container", reason),
    }
}

/// A folder that the node may write to.
fn volume() -> TempDir {
    let volume = TempDir::new().unwrap();
    chown(volume.path(), Some(USER), Some(USER)).unwrap();
    volume
}

/// Whether this machine starts containers at all, seen by one that runs nothing of ours.
fn can_run() -> Result<(), Hindrance> {
    let version = Blocking::new("runc").arg("--version").output();
    version.map_err(|error| Hindrance::NoRuntime(format!("runc: {error}")))?;
    let bundle = TempDir::new().unwrap();
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    // A program of the machine, with its libraries.
    let folders = ["/usr", "/lib", "/lib64"].into_iter().filter(|folder| Path::new(folder).is_dir());
    let bound = |folder| json!({ "destination": folder, "source": folder, "options": ["rbind", "ro"] });
    let mut mounts: Vec<_> = folders.map(bound).collect();
    mounts.insert(0, json!({ "destination": "/proc", "type": "proc", "source": "proc" }));
    let nothing = json!({
        "ociVersion": "1.0.2",
        "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/usr/bin/true"], "cwd": "/" },
        "root": { "path": bundle.path().join("root") },
        "mounts": mounts,
        "linux": { "namespaces": namespaces },
    });
    fs::create_dir(bundle.path().join("root")).unwrap();
    fs::write(bundle.path().join("config.json"), nothing.to_string()).unwrap();
    let name = format!("playhouse-nothing-{}", std::process::id());
    let tried = Blocking::new("runc").args(["run", "--bundle"]).arg(bundle.path()).arg(name).output();
    let tried = tried.map_err(|error| Hindrance::NoRuntime(format!("runc: {error}")))?;
    if tried.status.success() {
        return Ok(());
    }
    Err(Hindrance::Forbidden(String::from_utf8_lossy(&tried.stderr).trim().to_owned()))
}

fn status_of(pid: &str, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn value(reply: &Output) -> Value {
    assert!(reply.status.success(), "{reply:?}");
    let reply: Value = serde_json::from_slice(&reply.stdout).unwrap();
    reply["reply"]["value"].clone()
}

#[tokio::test]
async fn a_node_runs_without_rights_on_a_root_that_cannot_be_written() {
    let Some(image) = Unpacked::of_the_binary_under_test() else { return };
    let volume = volume();
    let mut container = image.start(None, Some(volume.path()));
    container.until_healthy(&image.health_check()).await;

    let pid = container.init();
    for field in ["Uid", "Gid"] {
        assert_eq!(status_of(&pid, field), vec![USER.to_string(); 4].join(" "));
    }
    for field in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        assert_eq!(status_of(&pid, field), "0000000000000000", "{field}");
    }
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let options = |at: &str| {
        let line =
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|words| words[4] == at);
        line.unwrap_or_else(|| panic!("nothing is mounted at {at}: {mounts}"))[5].to_owned()
    };
    assert!(options("/").starts_with("ro"), "{mounts}");
    assert!(options("/var/lib/playhouse").starts_with("rw"), "{mounts}");

    let add = ["/usr/local/bin/playhouse", "call", "counter", "visits", "{\"add\": 1}", "--output", "json"];
    let reply = container.execute(&add).await;
    assert_eq!(value(&reply), 1);
    assert_eq!(container.stop().await, Some(0), "{}", container.log());

    // The next container has nothing of this one but the volume.
    let mut next = image.start(None, Some(volume.path()));
    next.until_healthy(&image.health_check()).await;
    let reply = next.execute(&add).await;
    assert_eq!(value(&reply), 2);
    assert_eq!(next.stop().await, Some(0), "{}", next.log());
}

/// Else what clients were told is kept would go with the container.
#[tokio::test]
async fn without_a_volume_it_does_not_start() {
    let Some(image) = Unpacked::of_the_binary_under_test() else { return };
    let mut container = image.start(None, None);
    assert_eq!(container.ended().await, Some(1), "{}", container.errors());
    let said = container.errors();
    assert!(said.contains("/var/lib/playhouse") && said.contains("Read-only file system"), "{said}");
}

/// A check that cannot fail tells nothing: here is nobody who could answer.
#[tokio::test]
async fn the_health_check_fails_where_no_node_runs() {
    let Some(image) = Unpacked::of_the_binary_under_test() else { return };
    let check = image.health_check();
    let arguments: Vec<_> = check[1..].iter().map(String::as_str).collect();
    let mut container = image.start(Some(&arguments), None);
    assert_eq!(container.ended().await, Some(4), "{}", container.errors());
}
