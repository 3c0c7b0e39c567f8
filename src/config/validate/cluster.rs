//! Rules about the cluster and the way to its nodes.

use super::super::{Config, error::ConfigError};

/// More shards a configuration of a cluster cannot hold.
pub const SHARDS_MAX: u16 = 4_096;

pub(super) fn faults(config: &Config) -> Vec<ConfigError> {
    [shards(config), founders(config), initiator(config), cookie(config), next_cookie(config)]
        .into_iter()
        .flatten()
        .collect()
}

fn shards(config: &Config) -> Option<ConfigError> {
    let shards = config.node.shards.get();
    (shards > SHARDS_MAX).then_some(()).and_then(|()| {
        conflict("node.shards", format!("{shards} is above {SHARDS_MAX}; it cannot be changed later"))
    })
}

/// A node that knows of others and not who forms the cluster would form one of its own.
fn founders(config: &Config) -> Option<ConfigError> {
    let is_missing = config.bootstrap.members.as_slice().is_empty() && !config.is_alone();
    is_missing.then_some(()).and_then(|()| {
        conflict(
            "bootstrap.members",
            "is unset, but peer.seeds or peer.discovery_name tell of other nodes; name those that form the cluster, the \
             same on every node"
                .to_owned(),
        )
    })
}

/// Exactly one node forms the cluster, and all agree which.
fn initiator(config: &Config) -> Option<ConfigError> {
    let members = config.members();
    let names = members.join(",");
    match &config.bootstrap.initiator {
        None if members.len() > 1 => conflict(
            "bootstrap.initiator",
            format!(
                "is unset, but bootstrap.members has several names; set it to one of {names}, on every node"
            ),
        ),
        Some(name) if !members.contains(name) => conflict(
            "bootstrap.initiator, bootstrap.members",
            format!("{name:?} is not among {names}; name one of them, on every node"),
        ),
        _ => None,
    }
}

fn cookie(config: &Config) -> Option<ConfigError> {
    let is_missing = config.peer.cookie_file.is_none() && !config.is_alone();
    is_missing.then_some(()).and_then(|()| {
        conflict(
            "peer.cookie_file",
            "is unset, but bootstrap.members, peer.seeds or peer.discovery_name tell of other nodes; write 32 random \
             bytes to a file, give it to every node, and set its path"
                .to_owned(),
        )
    })
}

fn next_cookie(config: &Config) -> Option<ConfigError> {
    let next = config.peer.cookie_file_next.as_ref()?;
    match &config.peer.cookie_file {
        None => conflict(
            "peer.cookie_file_next",
            "is set without peer.cookie_file; set that one first, it is the one that is used".to_owned(),
        ),
        Some(first) if first == next => conflict(
            "peer.cookie_file, peer.cookie_file_next",
            format!("both are {}; unset the second, or give it a file of its own", next.display()),
        ),
        Some(_) => None,
    }
}

fn conflict(keys: &'static str, message: String) -> Option<ConfigError> {
    Some(ConfigError::Conflict { keys, message })
}
