//! Exit codes.

use std::process::ExitCode;

/// How the process ends. The numbers are part of the contract: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed, or a line of `send` did.
    Failed = 1,
    /// The arguments or the command are not understood.
    Usage = 2,
    /// The entity, or the cluster, said no; nothing changed.
    Refused = 3,
    /// No answer in time.
    Unavailable = 4,
    /// The server wants a token that it knows.
    Unauthorized = 5,
    /// Stopped by Ctrl-C or SIGTERM before the end.
    Interrupted = 130,
}

/// For `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done · 1 failed · 2 not understood · 3 refused · 4 no answer in time ·
5 token missing or unknown · 130 interrupted. They are described in docs/cli.md.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
