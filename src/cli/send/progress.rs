//! How it goes, while it goes: a bar on a terminal, else a line every few seconds.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::summary::Summary;
use crate::cli::{Output, duration, output::Format};

/// How often a line is written when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// On standard error, so that it never mixes with the summary.
#[derive(Debug)]
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { last: Instant, bytes_total: Option<u64> },
    Silent,
}

impl Progress {
    pub(super) fn new(bytes_total: Option<u64>, output: &Output) -> Self {
        if output.format == Format::Json {
            Self::Silent
        } else if std::io::stderr().is_terminal() {
            Self::Bar(bar(bytes_total))
        } else {
            Self::Lines { last: Instant::now(), bytes_total }
        }
    }

    /// Called a few times a second.
    pub(super) fn show(&mut self, summary: &Summary, bytes_read: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(bytes_read);
                bar.set_message(counts(summary));
                bar.tick();
            }
            Self::Lines { last, bytes_total } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let (share, elapsed) = (share(bytes_read, *bytes_total), duration::show(summary.elapsed));
                note(&format!("{share}{} in {elapsed}", counts(summary)));
            }
            Self::Lines { .. } | Self::Silent => {}
        }
    }

    /// Says something in between, without tearing the bar.
    pub(super) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Lines { .. } | Self::Silent => note(text),
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn note(text: &str) {
    use std::io::Write;
    // There is nobody left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn counts(summary: &Summary) -> String {
    let Summary { ok, .. } = summary;
    let rate = summary.rate();
    match summary.failures() {
        0 => format!("{ok} lines, {rate:.0} per second"),
        failures => format!("{ok} lines, {rate:.0} per second, {failures} failed"),
    }
}

fn share(bytes_read: u64, bytes_total: Option<u64>) -> String {
    match bytes_total {
        Some(total) if total > 0 => format!("{:.0} %, ", 100.0 * bytes_read as f64 / total as f64),
        _ => String::new(),
    }
}

fn bar(bytes_total: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes_total {
        Some(total) => (ProgressBar::new(total), "{bar:32} {percent:>3} %  {msg}  {elapsed}  (left: {eta})"),
        None => (ProgressBar::no_length(), "{spinner} {msg}  {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is constant"))
}
