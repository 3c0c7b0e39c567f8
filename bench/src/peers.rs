//! Programs that are measured beside Playhouse, and how they come to a machine.
//!
//! Comes in: nothing. Leaves: which are there, in which version; on Debian, as root, those that are missing are installed first.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{machine::first_line, processes::erlang};

/// A program of another project.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// As reports call it.
    pub name: &'static str,
    /// Debian's package of it.
    pub package: &'static str,
    /// Rows that have no peer without it.
    pub groups: &'static [&'static str],
    version: fn() -> Option<String>,
}

/// All of them.
pub const ALL: [Peer; 3] = [
    Peer { name: "Erlang", package: "erlang-base", groups: &["processes"], version: erlang::version },
    Peer {
        name: "etcd",
        package: "etcd-server",
        groups: &["replicated", "replicated-clients"],
        version: || first_line(Command::new("etcd").arg("--version")),
    },
    Peer {
        name: "Redis",
        package: "redis-server",
        groups: &["durable", "remote-call"],
        version: || first_line(Command::new("redis-server").arg("--version")),
    },
];

impl Peer {
    /// What it says of itself, if it is installed.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        (self.version)()
    }

    /// Whether it can be compared with.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.version().is_some()
    }

    /// What a report says when it is not there.
    #[must_use]
    pub fn absence(&self) -> String {
        let (name, package) = (self.name, self.package);
        format!("{name} is not installed (`{package}`): there is nothing to compare with")
    }
}

/// Installs what is missing, as root on Debian. Returns those that are missing then.
#[must_use]
pub fn install() -> Vec<Peer> {
    let missing = missing();
    if missing.is_empty() || !is_root() || !is_debian() {
        return missing;
    }
    let packages: Vec<_> = missing.iter().map(|peer| peer.package).collect();
    apt_get(&["update"]);
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &packages[..]].concat());
    self::missing()
}

/// A failure shows in what is missing afterwards.
fn apt_get(arguments: &[&str]) {
    let mut command = Command::new("apt-get");
    // Standard output is for figures.
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    drop(command.status());
}

/// Those that are not installed.
#[must_use]
pub fn missing() -> Vec<Peer> {
    ALL.into_iter().filter(|peer| !peer.is_installed()).collect()
}

fn is_root() -> bool {
    first_line(Command::new("id").arg("-u")).is_some_and(|id| id == "0")
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| ["ID=debian", "ID_LIKE=debian"].contains(&line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Group;

    #[test]
    fn peers_name_groups_that_exist() {
        for peer in ALL {
            for group in peer.groups {
                assert!(Group::ALL.iter().any(|known| known.name == *group), "{}: {group}", peer.name);
            }
        }
    }
}
