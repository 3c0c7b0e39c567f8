//! Sends the lines: so many at a time, in the order of each entity.

use std::{collections::BTreeSet, num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use playhouse_client::{CallError, CastError, Client, Failure as Attempt, Idempotency, Options, Problem};
use serde::de::IgnoredAny;
use tokio::{
    io::AsyncBufRead,
    time::{Instant, interval},
};

use super::{
    failed::{FailedFile, Reason},
    identity::Identities,
    lanes::Lanes,
    line::{Line, parse},
    progress::Progress,
    source::{Lines, RawLine},
    summary::{Stop, Summary},
};
use crate::{
    causes::chain,
    cli::{Failure, interrupts::Interrupts},
};

/// How often the progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// What a run is made of.
pub(super) struct Parts<R> {
    pub(super) client: Client,
    pub(super) lines: Lines<R>,
    pub(super) identities: Identities,
    pub(super) failed: FailedFile,
    pub(super) progress: Progress,
    pub(super) in_flight_max: NonZeroUsize,
    /// How many failed lines stop the run.
    pub(super) failures_max: Option<u64>,
}

/// One sending of one file.
pub(super) struct Run<R> {
    parts: Parts<R>,
    lanes: Lanes,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Lines that were read and are not answered.
    open: BTreeSet<u64>,
    at_end: bool,
    start: Instant,
    summary: Summary,
}

/// A line that was answered, or will not be.
struct Done {
    line: Line,
    latency: Duration,
    outcome: Result<(), Trouble>,
}

/// Why a line failed.
struct Trouble {
    code: String,
    reason: String,
    /// When the next lines would fare no better.
    hopeless: Option<Stop>,
}

impl<R: AsyncBufRead + Unpin> Run<R> {
    pub(super) fn new(parts: Parts<R>) -> Self {
        Self {
            parts,
            lanes: Lanes::default(),
            in_flight: FuturesUnordered::new(),
            open: BTreeSet::new(),
            at_end: false,
            start: Instant::now(),
            summary: Summary::new(),
        }
    }

    /// Sends all lines, or as many as the circumstances allow.
    pub(super) async fn drive(mut self) -> Result<Summary, Failure> {
        let mut show = interval(SHOW_EVERY);
        let mut stopping = Interrupts::new()?;
        while self.summary.stop != Some(Stop::Aborted) {
            let may_read = self.may_read();
            if !may_read && self.in_flight.is_empty() {
                break;
            }
            tokio::select! {
                Some(done) = self.in_flight.next() => self.finish(done)?,
                raw = self.parts.lines.next(), if may_read => self.take(raw)?,
                () = stopping.next() => self.interrupt(),
                _ = show.tick() => self.show(),
            }
        }
        Ok(self.end())
    }

    fn may_read(&self) -> bool {
        let room = self.in_flight.len() < self.parts.in_flight_max.get() && self.lanes.has_room();
        room && !self.at_end && self.summary.stop.is_none()
    }

    fn take(&mut self, raw: std::io::Result<Option<RawLine>>) -> Result<(), Failure> {
        let raw = raw.map_err(|error| {
            Failure::failed("could not read the input", &error)
                .state(format!("lines up to {} were read, some of them sent", self.parts.lines.number()))
                .next("send the file again: nothing is applied twice")
        })?;
        let Some(raw) = raw else {
            self.at_end = true;
            return Ok(());
        };
        match parse(&raw, &mut self.parts.identities) {
            Ok(None) => Ok(()),
            Ok(Some(line)) => {
                self.open.insert(line.number);
                if let Some(line) = self.lanes.admit(line) {
                    self.launch(line);
                }
                Ok(())
            }
            Err(reason) => {
                self.summary.malformed += 1;
                let reason = Reason { line: raw.number, code: "malformed", reason: &reason };
                self.parts.failed.keep_raw(&raw, &reason)?;
                self.complain(&reason);
                Ok(())
            }
        }
    }

    fn launch(&mut self, line: Line) {
        self.in_flight.push(Box::pin(deliver(self.parts.client.clone(), line)));
    }

    fn finish(&mut self, done: Done) -> Result<(), Failure> {
        self.open.remove(&done.line.number);
        self.summary.record(done.latency);
        match &done.outcome {
            Ok(()) => self.summary.ok += 1,
            Err(trouble) => self.fail(&done.line, trouble)?,
        }
        match self.lanes.release(&done.line.name) {
            Some(next) if self.summary.stop.is_none() => self.launch(next),
            // It stays open: it was read and not sent.
            Some(_) | None => {}
        }
        Ok(())
    }

    fn fail(&mut self, line: &Line, trouble: &Trouble) -> Result<(), Failure> {
        self.summary.failed += 1;
        let reason = Reason { line: line.number, code: &trouble.code, reason: &trouble.reason };
        self.parts.failed.keep(line, &reason)?;
        self.summary.stop = self.summary.stop.or(trouble.hopeless);
        self.complain(&reason);
        Ok(())
    }

    /// The first failures are told at once; the rest are in the file.
    fn complain(&mut self, reason: &Reason<'_>) {
        const TOLD_MAX: u64 = 10;
        let failures = self.summary.failures();
        if failures <= TOLD_MAX {
            let Reason { line, code, reason } = reason;
            self.parts.progress.say(&format!("line {line}: {reason} ({code})"));
        }
        if failures == TOLD_MAX + 1 {
            self.parts.progress.say("more lines failed; see the file of failed lines");
        }
        if self.parts.failures_max.is_some_and(|failures_max| failures >= failures_max) {
            self.summary.stop = self.summary.stop.or(Some(Stop::Failures));
        }
    }

    fn interrupt(&mut self) {
        let in_flight = self.in_flight.len();
        if self.summary.stop == Some(Stop::Interrupted) {
            self.summary.stop = Some(Stop::Aborted);
        } else {
            self.summary.stop = Some(Stop::Interrupted);
            self.parts.progress.say(&format!(
                "stopping; waiting for {in_flight} lines in flight (interrupt again to leave them)"
            ));
        }
    }

    fn show(&mut self) {
        self.summary.elapsed = self.start.elapsed();
        self.parts.progress.show(&self.summary, self.parts.lines.bytes_read());
    }

    fn end(mut self) -> Summary {
        self.parts.progress.finish();
        let read = self.parts.lines.number();
        self.summary.lines_read = read;
        self.summary.complete_to_line = self.open.first().map_or(read, |first| first - 1);
        self.summary.elapsed = self.start.elapsed();
        self.summary.failed_file = self.parts.failed.path().map(ToOwned::to_owned);
        self.summary
    }
}

async fn deliver(client: Client, line: Line) -> Done {
    let start = Instant::now();
    let entity = client.entity_named(line.name.clone());
    let options = Options { timeout: None, idempotency: Idempotency::Key(line.id.clone()) };
    let outcome = if line.cast {
        entity.cast_with(&line.command, &options).await.map_err(Trouble::from)
    } else {
        let replied = entity.call_with::<_, IgnoredAny>(&line.command, &options).await;
        replied.map(drop).map_err(Trouble::from)
    };
    Done { line, latency: start.elapsed(), outcome }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Refused(refusal) => Self::new(&refusal.code, &error),
            CallError::Rejected(problem) => Self::rejected(problem, &error),
            CallError::GaveUp(gave_up) => Self::gave_up(&gave_up.last, &error),
            _ => Self::new("not_understood", &error),
        }
    }
}

impl From<CastError> for Trouble {
    fn from(error: CastError) -> Self {
        match &error {
            CastError::Refused(refusal) => Self::new(&refusal.code, &error),
            CastError::Rejected(problem) => Self::rejected(problem, &error),
            CastError::GaveUp(gave_up) => Self::gave_up(&gave_up.last, &error),
            _ => Self::new("not_understood", &error),
        }
    }
}

impl Trouble {
    fn new(code: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code: code.to_owned(), reason: chain(error), hopeless: None }
    }

    fn rejected(problem: &Problem, error: &(dyn std::error::Error + 'static)) -> Self {
        let hopeless = (problem.code == "unauthorized").then_some(Stop::Unauthorized);
        Self { hopeless, ..Self::new(&problem.code, error) }
    }

    fn gave_up(last: &Attempt, error: &(dyn std::error::Error + 'static)) -> Self {
        match last {
            Attempt::Problem(problem) => Self::new(&problem.code, error),
            Attempt::Connect { .. } => {
                Self { hopeless: Some(Stop::Unavailable), ..Self::new("unreachable", error) }
            }
            _ => Self::new("gave_up", error),
        }
    }
}
