//! The binary: everything is in [`playhouse::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    playhouse::cli::main()
}
