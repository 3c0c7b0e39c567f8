//! On what the measurements were made.

use std::{collections::BTreeMap, fs, process::Command};

use serde::{Deserialize, Serialize};

/// What cannot be found out.
pub(crate) const UNKNOWN: &str = "unknown";

/// As `Cargo.lock` has it; a test compares.
const RACTOR: &str = "0.16.5";

/// What a reader must know to compare two reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The commit that was measured; `-dirty` follows when the work tree differed from it.
    pub commit: String,
    /// As `/proc/cpuinfo` calls it.
    pub cpu_model: String,
    /// Release of the kernel.
    pub kernel: String,
    /// How many hardware threads this process may use.
    pub cores: usize,
    /// What else was in play, such as the compiler or a program that was compared with.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This machine and this work tree. What cannot be found out is `unknown`, never guessed.
    #[must_use]
    pub fn here() -> Self {
        let unknown = || UNKNOWN.to_owned();
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
        let commit = first_line(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]));
        let rustc = first_line(Command::new("rustc").arg("--version"));
        let etcd = first_line(Command::new("etcd").arg("--version"));
        let erlang = crate::processes::erlang::version();
        Self {
            commit: commit.unwrap_or_else(unknown),
            cpu_model: cpu_model(&cpu).unwrap_or_else(unknown),
            kernel: kernel.map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            versions: BTreeMap::from([
                ("rustc".to_owned(), rustc.unwrap_or_else(unknown)),
                ("etcd".to_owned(), etcd.unwrap_or_else(unknown)),
                ("Erlang".to_owned(), erlang.unwrap_or_else(unknown)),
                ("ractor and ractor_cluster".to_owned(), RACTOR.to_owned()),
            ]),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_from_the_first_processor() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(cpu_model(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_guessed() {
        assert_eq!(first_line(&mut Command::new("/nonexistent/program")), None);
        assert_eq!(first_line(&mut Command::new("false")), None);
    }

    #[test]
    fn the_version_of_ractor_is_the_one_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        for name in ["ractor", "ractor_cluster"] {
            let package = format!("name = \"{name}\"\nversion = \"{RACTOR}\"\n");
            assert!(lock.contains(&package), "{name}");
        }
    }

    #[test]
    fn this_machine_has_cores() {
        assert!(Machine::here().cores > 0);
    }
}
