//! Turns a Debian control file into commands for `playhouse send`.
//!
//! ```text
//! cargo run --example dpkg_commands > commands.ndjson          # this machine's own packages
//! cargo run --example dpkg_commands -- Packages > commands.ndjson
//! playhouse send commands.ndjson
//! playhouse call counter libc6 '{"get": {}}'                   # how many packages depend on libc6
//! ```

#[path = "dpkg/commands.rs"]
mod commands;
#[path = "dpkg/control.rs"]
mod control;

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    process::ExitCode,
};

use commands::Package;
use control::Paragraphs;

/// Where dpkg keeps what it knows of this machine.
const STATUS: &str = "/var/lib/dpkg/status";

fn main() -> ExitCode {
    let path = env::args().nth(1).unwrap_or_else(|| STATUS.to_owned());
    let written =
        File::open(&path).and_then(|file| write(BufReader::new(file), BufWriter::new(io::stdout())));
    match written {
        Ok(packages) => {
            let _ = writeln!(io::stderr(), "{packages} packages");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many packages were written.
fn write(input: impl BufRead, mut output: impl Write) -> io::Result<usize> {
    let mut names = BTreeSet::new();
    for paragraph in Paragraphs::new(input) {
        let Some(package) = Package::read(&paragraph?, |name| names.contains(name)) else { continue };
        for command in package.commands() {
            writeln!(output, "{command}")?;
        }
        names.insert(package.name);
    }
    output.flush()?;
    Ok(names.len())
}
