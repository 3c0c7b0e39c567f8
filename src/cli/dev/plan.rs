//! The settings of each node, written to a file of its own.

use std::path::PathBuf;

use super::{Failure, folder::Folder, ports::Ports};
use crate::config::{LogFormat, Origin, Resolved};

/// One node to be started.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) data_dir: PathBuf,
    /// Its settings.
    pub(super) config: PathBuf,
    /// Where it says where it listens.
    pub(super) address_file: PathBuf,
}

/// Writes the settings of all nodes. What was set for `dev` is set for each, but for what tells nodes apart.
pub(super) fn plans(
    resolved: &Resolved,
    folder: &Folder,
    names: Vec<String>,
    ports: &[Ports],
) -> Result<Vec<Plan>, Failure> {
    let all_peers: Vec<_> = ports.iter().map(|ports| ports.peer.to_string()).collect();
    let shared = shared(resolved, folder);
    let plan = |(name, ports): (String, &Ports)| {
        let own = own(&name, ports, &all_peers, folder);
        let plan = Plan {
            data_dir: folder.file(&name),
            config: folder.file(&format!("{name}.toml")),
            address_file: folder.file(&format!("{name}.address.json")),
            name,
        };
        let lines = shared.iter().chain(&own).map(|(key, value)| format!("{key} = {}\n", quoted(value)));
        folder.write(
            &plan.config,
            &format!("# Made by `playhouse dev` at each start.\n{}", lines.collect::<String>()),
        )?;
        folder.remove(&plan.address_file)?;
        Ok(plan)
    };
    names.into_iter().zip(ports).map(plan).collect()
}

type Lines = Vec<(String, String)>;

fn shared(resolved: &Resolved, folder: &Folder) -> Lines {
    const PER_NODE: [&str; 10] = [
        "node.name",
        "node.data_dir",
        "gateway.listen",
        "ops.listen",
        "peer.listen",
        "peer.seeds",
        "peer.cookie_file",
        "bootstrap.members",
        "bootstrap.initiator",
        "log.format",
    ];
    let is_set = |origin: &Origin| !matches!(origin, Origin::Default | Origin::Profile);
    let is_shared = |key: &str| !PER_NODE.contains(&key);
    let settings = resolved.settings.iter();
    let settings = settings.filter(|setting| is_set(&setting.origin) && is_shared(setting.key));
    let mut lines: Lines = settings.map(|setting| (setting.key.to_owned(), setting.value.clone())).collect();
    let members = folder.members();
    let format = match resolved.config.log.format {
        LogFormat::Json => "json",
        LogFormat::Human => "human",
        // The nodes write to a pipe; who reads it decides.
        LogFormat::Auto if std::io::IsTerminal::is_terminal(&std::io::stderr()) => "human",
        LogFormat::Auto => "json",
    };
    lines.extend([
        ("peer.cookie_file".to_owned(), folder.cookie().display().to_string()),
        ("bootstrap.members".to_owned(), members.join(",")),
        ("bootstrap.initiator".to_owned(), members.first().cloned().unwrap_or_default()),
        ("log.format".to_owned(), format.to_owned()),
    ]);
    lines
}

fn own(name: &str, ports: &Ports, all_peers: &[String], folder: &Folder) -> Lines {
    let peer = ports.peer.to_string();
    let others: Vec<_> = all_peers.iter().filter(|other| **other != peer).cloned().collect();
    [
        ("node.name", name.to_owned()),
        ("node.data_dir", folder.file(name).display().to_string()),
        ("gateway.listen", ports.gateway.to_string()),
        ("ops.listen", ports.ops.to_string()),
        ("peer.listen", peer),
        ("peer.seeds", others.join(",")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A text of TOML: those of JSON are.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}
