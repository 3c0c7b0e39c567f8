//! Programs that are measured beside Playhouse, and how they come to a machine.
//!
//! Comes in: nothing. Leaves: which are there, in which version; on Debian, as root, those that are missing are installed first.

mod install;

use std::{fs, path::Path, process::Command};

use crate::{Figures, machine::first_line, processes::erlang};

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

/// Erlang/OTP.
pub const ERLANG: Peer = Peer {
    name: "Erlang",
    package: "erlang-base",
    groups: &["processes", "scale-payload"],
    version: erlang::version,
};

/// etcd.
pub const ETCD: Peer = Peer {
    name: "etcd",
    package: "etcd-server",
    groups: &["replicated", "replicated-clients", "open-loop"],
    version: || first_line(Command::new("etcd").arg("--version")),
};

/// Redis.
pub const REDIS: Peer = Peer {
    name: "Redis",
    package: "redis-server",
    groups: &["durable", "remote-call"],
    version: || first_line(Command::new("redis-server").arg("--version")),
};

/// All of them.
pub const ALL: [Peer; 3] = [ERLANG, ETCD, REDIS];

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

    /// The same, for a group of rows: figures without it say so.
    pub fn is_installed_or_remark(&self, figures: &mut Figures) -> bool {
        let is_installed = self.is_installed();
        if !is_installed {
            figures.remark(self.absence());
        }
        is_installed
    }

    /// What a report says when it is not there.
    #[must_use]
    pub fn absence(&self) -> String {
        let (name, package) = (self.name, self.package);
        format!("{name} is not installed (`{package}`): there is nothing to compare with")
    }
}

/// Installs what is missing, as root on Debian, without starting any of it. Returns those that are missing then.
#[must_use]
#[allow(clippy::print_stderr)] // Progress: what is missing is a remark of each report.
pub fn install() -> Vec<Peer> {
    let missing = missing();
    if !is_root() || !is_debian() {
        return missing;
    }
    if let Err(error) = install::put_back_left_over(Path::new("/")) {
        eprintln!("packages still cannot start daemons, since an earlier run was killed: {error}");
    }
    if missing.is_empty() {
        return missing;
    }
    let packages: Vec<_> = missing.iter().map(|peer| peer.package).collect();
    if let Err(error) = install::install(&packages) {
        eprintln!("nothing was installed: daemons cannot be kept from being started: {error}");
    }
    self::missing()
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

    /// By what their sources ask for, so that no list is forgotten when a group gets a peer.
    #[test]
    fn peers_name_the_groups_that_ask_for_them() {
        for peer in ALL {
            let asks = format!("peers::{}.is_installed_or_remark(", peer.name.to_uppercase());
            for group in Group::ALL {
                assert_eq!(
                    source(group.name).contains(&asks),
                    peer.groups.contains(&group.name),
                    "{} and {}",
                    peer.name,
                    group.name
                );
            }
        }
    }

    fn source(group: &str) -> String {
        // Two groups share a file; those about scale share a room.
        let module = group.trim_end_matches("-clients").replace("scale-", "scale/").replace('-', "_");
        let path = format!("{}/src/rows/{module}.rs", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn what_is_not_there_is_a_remark() {
        let absent = Peer { version: || None, ..REDIS };
        let mut figures = Figures::default();
        assert!(!absent.is_installed_or_remark(&mut figures));
        let report = figures.into_report(crate::Report::new("durable", crate::fixture::machine())).unwrap();
        assert_eq!(report.remarks(), [absent.absence()]);
    }
}
