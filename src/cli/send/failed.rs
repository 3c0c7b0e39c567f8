//! Lines that failed, kept so that they can be sent again.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{line::Line, source::RawLine};
use crate::cli::Failure;

/// How much of a line that is not understood is kept, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A file that comes to be with the first failed line.
#[derive(Debug)]
pub(super) struct FailedFile {
    path: PathBuf,
    file: Option<File>,
}

/// Why a line failed.
#[derive(Debug, Serialize)]
pub(super) struct Reason<'a> {
    pub(super) line: u64,
    /// The stable code of the problem, or `malformed`, or `gave_up`.
    pub(super) code: &'a str,
    /// For people.
    pub(super) reason: &'a str,
}

/// Can be read as a line of `send`; the id keeps a second try from having a second effect.
#[derive(Serialize)]
struct Kept<'a> {
    kind: &'a str,
    key: &'a str,
    command: &'a RawValue,
    id: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cast: bool,
    failed: &'a Reason<'a>,
}

impl FailedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The file, if a line was kept.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// Keeps a line that was understood.
    pub(super) fn keep(&mut self, line: &Line, reason: &Reason<'_>) -> Result<(), Failure> {
        let kept = Kept {
            kind: line.name.kind(),
            key: line.name.key(),
            command: &line.command,
            id: line.id.as_str(),
            cast: line.cast,
            failed: reason,
        };
        let text =
            serde_json::to_string(&kept).map_err(|error| Failure::failed("could not keep a line", &error))?;
        self.write(&text)
    }

    /// Keeps a line that was not understood, as text.
    pub(super) fn keep_raw(&mut self, raw: &RawLine, reason: &Reason<'_>) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(&raw.bytes[..raw.bytes.len().min(TEXT_BYTES_MAX)]);
        self.write(&json!({"failed": reason, "text": text}).to_string())
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let path = &self.path;
        let unwritable = |error| {
            Failure::of_file("write to", path, &error)
                .state("the run was stopped, because a failed line could not be kept")
                .next("name another file with --failed and send the input again: nothing is applied twice")
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(path).map_err(unwritable)?),
        };
        file.write_all(format!("{text}\n").as_bytes()).map_err(unwritable)
    }
}
