//! From arguments to a plan.

use std::{fs::OpenOptions, path::PathBuf, time::Duration};

use super::{Arguments, Failure};
use crate::{
    cli::duration,
    load::{self, Messages, Pace, Plan},
};

/// How many connections there are unless told otherwise.
const CONNECTIONS: usize = 64;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Arrivals {
    /// All alike
    Constant,
    /// As if nobody knew of the others, with bursts
    Poisson,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Operation {
    /// A command, and its reply
    Call,
    /// A command, until it is committed
    Cast,
    /// The state is read
    Get,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Transport {
    /// One request at a time on each connection
    Http,
    /// Many requests at once on each connection
    Websocket,
}

/// As [`duration::parse`], but nothing is allowed, too.
pub(super) fn warm_up(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { duration::parse(text) }
}

impl Arguments {
    pub(super) fn plan(&self, timeout: Duration) -> Result<Plan, Failure> {
        let plan = Plan {
            kind: self.kind.clone(),
            key_prefix: self.key_prefix.clone(),
            keys: self.keys.get(),
            operation: self.operation(),
            messages: self.messages()?,
            idempotency: !self.no_idempotency,
            pace: self.pace(),
            transport: match self.transport {
                Transport::Http => load::Transport::Http,
                Transport::Websocket => load::Transport::Websocket,
            },
            connections: self.connections.unwrap_or(CONNECTIONS.min(self.callers.unwrap_or(CONNECTIONS))),
            warm_up: self.warm_up,
            duration: self.duration,
            timeout,
            in_flight_max: self.in_flight,
        };
        plan.check().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(plan)
    }

    fn operation(&self) -> load::Operation {
        match self.operation {
            Operation::Call => load::Operation::Call,
            Operation::Cast => load::Operation::Cast,
            Operation::Get => load::Operation::Get,
        }
    }

    fn pace(&self) -> Pace {
        let arrivals = match self.arrivals {
            Arrivals::Constant => load::Arrivals::Constant,
            Arrivals::Poisson => load::Arrivals::Poisson,
        };
        match (self.rate, self.callers) {
            (_, Some(callers)) => Pace::Closed { callers },
            // One of the two is there: the command line asks for it.
            (rate, None) => Pace::Open { rate: rate.unwrap_or_default(), arrivals },
        }
    }

    fn messages(&self) -> Result<Messages, Failure> {
        let reads = matches!(self.operation, Operation::Get);
        if reads && !self.messages.is_empty() {
            return Err(Failure::usage("states are read without a --message"));
        }
        let messages = match self.messages.as_slice() {
            // Nothing of it is sent.
            [] if reads => Messages::new(["null"]),
            [] => Messages::default_of(&self.kind),
            texts => Messages::new(texts),
        };
        messages.map_err(|error| Failure::usage(error.to_string()))
    }

    /// Nobody shall learn after an hour of load that the report cannot be written.
    pub(super) fn check_report_file(&self) -> Result<(), Failure> {
        let Some(path) = &self.report else { return Ok(()) };
        let opened = OpenOptions::new().append(true).create(true).open(path);
        let failed = |error| Failure::of_file("write", path, &error).state("no load was sent");
        opened.map(drop).map_err(failed)
    }

    /// What the check left behind, when there is nothing to report. A report of an earlier run stays.
    pub(super) fn remove_empty_report_file(&self) {
        let is_empty = |path: &&PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0);
        if let Some(path) = self.report.as_ref().filter(is_empty) {
            drop(std::fs::remove_file(path));
        }
    }
}
