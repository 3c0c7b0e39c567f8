//! On what the measurements were made.

use std::{collections::BTreeMap, fs, process::Command};

use serde::{Deserialize, Serialize};

use crate::peers;

/// What cannot be found out.
pub(crate) const UNKNOWN: &str = "unknown";

/// What is compared with and built in.
const CRATES: [&str; 6] = ["ractor", "ractor_cluster", "kameo", "tokio", "fjall", "sled"];
const LOCK: &str = include_str!("../../Cargo.lock");

/// What a reader must know to compare two reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The commit that was measured; `-dirty` follows when the work tree differed from it. Results and the page about them are not looked at.
    pub commit: String,
    /// As `/proc/cpuinfo` calls it.
    pub cpu_model: String,
    /// Release of the kernel.
    pub kernel: String,
    /// How many hardware threads this process may use.
    pub cores: usize,
    /// Memory of the machine; `None` when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What else was in play, such as the compiler or a program that was compared with.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This machine and this work tree. What cannot be found out is `unknown`, never guessed.
    #[must_use]
    pub fn here() -> Self {
        let unknown = || UNKNOWN.to_owned();
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
        Self {
            commit: commit().unwrap_or_else(unknown),
            cpu_model: cpu_model(&cpu).unwrap_or_else(unknown),
            kernel: kernel.map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes(&memory),
            versions: versions(),
        }
    }

    /// In what it differs from another one, as sentences; the commit is not looked at.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, old: String, new: String| {
            if old != new {
                found.push(format!("{what}: {old} before, {new} after"));
            }
        };
        compare("CPU", self.cpu_model.clone(), other.cpu_model.clone());
        compare("kernel", self.kernel.clone(), other.kernel.clone());
        compare("cores", self.cores.to_string(), other.cores.to_string());
        if let (Some(old), Some(new)) = (self.memory_bytes, other.memory_bytes) {
            compare("memory", format!("{old} B"), format!("{new} B"));
        }
        for (what, old) in &self.versions {
            if let Some(new) = other.versions.get(what) {
                compare(what, old.clone(), new.clone());
            }
        }
        found
    }
}

fn versions() -> BTreeMap<String, String> {
    let rustc = first_line(Command::new("rustc").arg("--version"));
    let programs = peers::ALL.into_iter().map(|peer| (peer.name, peer.version()));
    let crates = CRATES.into_iter().map(|name| (name, locked(name)));
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let all = programs.chain(crates).chain([("rustc", rustc), ("build profile", Some(build.to_owned()))]);
    all.map(|(what, version)| (what.to_owned(), version.unwrap_or_else(|| UNKNOWN.to_owned()))).collect()
}

fn commit() -> Option<String> {
    const IGNORED: [&str; 4] = [".", ":!bench/results", ":!docs/benchmarks", ":!docs/benchmarks.md"];
    let commit = first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))?;
    let root = first_line(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
    let mut changes = Command::new("git");
    changes.args(["-C", &root, "status", "--porcelain", "--"]).args(IGNORED);
    let is_dirty = first_line(&mut changes).is_some();
    Some(commit + if is_dirty { "-dirty" } else { "" })
}

/// The version of a crate that is built in.
fn locked(name: &str) -> Option<String> {
    let (_, behind) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(behind.split_once('"')?.0.to_owned())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// What a program says first, if it is there and succeeds.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::machine;

    #[test]
    fn the_model_is_read_from_the_first_processor() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(cpu_model(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn memory_is_counted_in_bytes() {
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24 * 1024));
        assert_eq!(memory_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_guessed() {
        assert_eq!(first_line(&mut Command::new("/nonexistent/program")), None);
        assert_eq!(first_line(&mut Command::new("false")), None);
    }

    #[test]
    fn the_versions_of_peers_that_are_built_in_are_known() {
        for name in CRATES {
            let version = locked(name).unwrap_or_default();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}: {version}");
        }
        assert_eq!(locked("a crate that nobody wrote"), None);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let here = Machine::here();
        assert!(here.cores > 0 && here.memory_bytes.is_some(), "{here:?}");
    }

    #[test]
    fn machines_differ_in_what_is_known_of_both() {
        let mut other = Machine { commit: "other".to_owned(), memory_bytes: Some(1), ..machine() };
        assert!(machine().differences(&other).is_empty());
        other.cores = 4;
        assert_eq!(machine().differences(&other), ["cores: 2 before, 4 after"]);
    }
}
