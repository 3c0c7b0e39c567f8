//! Real nodes are copied under load, lost for good, and begin again: from the files of a backup, or from one volume.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.
#![allow(clippy::print_stdout)] // A test that fails tells what the nodes said.

#[path = "support/load.rs"]
mod load;
#[path = "backup/loss.rs"]
mod loss;
#[path = "support/nodes.rs"]
mod nodes;
#[path = "support/process.rs"]
mod process;
#[path = "backup/restore.rs"]
mod restore;

use std::{fs, path::Path};

use process::forget_environment;
use tokio::process::Command;

/// The scenarios need the whole machine: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How many clients there are at the same time.
const CLIENTS: usize = 6;

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Printed {
    code: i32,
    out: String,
    err: String,
}

impl Printed {
    /// It said no with this exit code, and why.
    fn assert_refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(words.iter().all(|word| self.err.contains(word)), "{words:?} in {self:?}");
    }

    fn assert_done(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }
}

/// Runs a command of the program to its end.
async fn run(mut command: Command) -> Printed {
    forget_environment(&mut command);
    let output = command.kill_on_drop(true).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Printed { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command that asks these nodes.
async fn ask(nodes: &nodes::Nodes, arguments: &[&str]) -> Printed {
    let ops: Vec<_> = nodes.nodes.iter().map(|node| format!("http://{}", node.ports.ops)).collect();
    let servers: Vec<_> = nodes.nodes.iter().map(|node| format!("http://{}", node.ports.gateway)).collect();
    let mut command = process::playhouse(&arguments.iter().map(Into::into).collect::<Vec<_>>());
    command.args(["--ops", &ops.join(","), "--server", &servers.join(",")]);
    command.arg("--admin-token-file").arg(nodes.admin_token_file());
    run(command).await
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
