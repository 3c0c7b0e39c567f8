//! Tells people and programs where the nodes listen.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    super::table::Table,
    Failure, Output,
    child::{Addresses, Child},
    folder::Folder,
    nodes::Nodes,
};

/// Prints where the nodes are, and writes it to `file`.
pub(super) fn announce(
    nodes: &Nodes,
    folder: &Folder,
    file: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let ready: Vec<_> =
        nodes.children.iter().filter_map(|child| Some((child, child.addresses.as_ref()?))).collect();
    if let Some(file) = file {
        write(&ready, folder, file)?;
    }
    // Standard output may be closed; the nodes run all the same.
    let _ = print(&ready, output);
    Ok(())
}

fn print(ready: &[(&Child, &Addresses)], output: &Output) -> Result<(), Failure> {
    let mut table = Table::new(["NODE", "PID", "CLIENTS", "OPS", "DATA"]);
    for (child, addresses) in ready {
        let data = shown(&child.plan.data_dir);
        table.push([
            child.plan.name.clone(),
            child.pid.to_string(),
            addresses.gateway.clone(),
            addresses.ops.clone(),
            data,
        ]);
    }
    output.line(&format!("\n  Playhouse {} is ready: {} nodes.\n", crate::node::RELEASE, ready.len()))?;
    output.table(&table)?;
    let Some((_, first)) = ready.first() else { return Ok(()) };
    output.line(&welcome(first))
}

/// What can be tried.
fn welcome(first: &Addresses) -> String {
    let Addresses { gateway, ops } = first;
    let server = if gateway.ends_with(":8080") { String::new() } else { format!(" --server {gateway}") };
    let place = if ops.ends_with(":9090") { String::new() } else { format!(" --ops {ops}") };
    format!(
        "\n  Try:\n    \
         curl -X POST {gateway}/v1/entities/counter/visits/call -d '{{\"add\": 1}}'\n    \
         playhouse{server} get counter visits\n    \
         playhouse{server} status{place}\n    \
         kill -9 a node, and ask again through another one\n\n  \
         Ctrl-C stops all; what was acknowledged stays.\n"
    )
}

/// Relative to where we are, when it is below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.unwrap_or_else(|| path.to_owned()).display().to_string()
}

/// Writes the file so that nobody reads half of it. The first node stands for the cluster.
fn write(ready: &[(&Child, &Addresses)], folder: &Folder, file: &Path) -> Result<(), Failure> {
    let node = |(child, addresses): &(&Child, &Addresses)| {
        json!({
            "name": child.plan.name,
            "gateway": addresses.gateway,
            "ops": addresses.ops,
            "pid": child.pid,
            "data_dir": child.plan.data_dir,
            "config": child.plan.config,
        })
    };
    let first = ready.first().map(|(_, addresses)| *addresses);
    let text = json!({
        "gateway": first.map(|first| &first.gateway),
        "ops": first.map(|first| &first.ops),
        "pid": std::process::id(),
        "folder": folder.path(),
        "nodes": ready.iter().map(node).collect::<Vec<Value>>(),
    });
    let part = file.with_extension("part");
    let written = std::fs::write(&part, text.to_string()).and_then(|()| std::fs::rename(&part, file));
    written.map_err(|error| Failure::of_file("write", file, &error))
}
