//! The binary: everything is in [`playhouse::cli`].

use std::process::ExitCode;

/// Many small pieces of memory that one thread takes and another gives back: see `docs/benchmarks.md` for what it saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    playhouse::cli::main()
}
