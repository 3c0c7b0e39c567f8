//! Where results and complaints go, and in which form.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{failure::Failure, table::Table};

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people: tables and indented JSON.
    Text,
    /// For programs: one JSON value per line.
    Json,
}

/// Standard output and standard error.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) format: Format,
    colour_out: bool,
    colour_err: bool,
}

impl Output {
    /// Colours only for a terminal, and not when `NO_COLOR` is set.
    pub(super) fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour_out = wanted && format == Format::Text && io::stdout().is_terminal();
        Self { format, colour_out, colour_err: wanted && io::stderr().is_terminal() }
    }

    /// Prints `value` as one line of JSON, or as `text` says.
    pub(super) fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.line(&to_json(value)?),
            Format::Text => match text(value) {
                text if text.is_empty() => Ok(()),
                text => self.line(&text),
            },
        }
    }

    /// Prints a table with its heading.
    pub(super) fn table<const N: usize>(&self, table: &Table<N>) -> Result<(), Failure> {
        let (heading, rows) = table.lines();
        self.line(&if self.colour_out { format!("\x1b[1m{heading}\x1b[0m") } else { heading })?;
        rows.iter().try_for_each(|row| self.line(row))
    }

    /// Prints the rows of a table whose heading was printed before.
    pub(super) fn rows<const N: usize>(&self, table: &Table<N>) -> Result<(), Failure> {
        table.lines().1.iter().try_for_each(|row| self.line(row))
    }

    /// Prints one line.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        writeln!(io::stdout(), "{text}").map_err(Failure::of_output)
    }

    /// Says something that is not a result: on standard error.
    pub(super) fn note(&self, text: &str) {
        // There is nobody left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// `text` in the colour of this number, on standard error.
    pub(super) fn tint(&self, text: &str, number: usize) -> String {
        const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];
        if !self.colour_err {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", COLOURS[number % COLOURS.len()])
    }

    /// `text` in bold red, where colours are wanted.
    pub(super) fn alarm(&self, text: &str) -> String {
        if self.colour_err { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::failed("could not write the result as JSON", &error))
}

/// JSON for people.
pub(super) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("(not printable: {error})"))
}
