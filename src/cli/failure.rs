//! What went wrong, what remains, and what to do next.

use std::{error::Error as StdError, io, path::Path};

use playhouse_client::{
    CallError, CastError, ClientError, GaveUp, NameError, Outcome, Problem, ReadError, Refusal, TokenError,
};
use serde_json::json;

use super::{
    Exit,
    output::{Format, Output},
};
use crate::causes::chain;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    /// What happened.
    what: String,
    /// What is now the case.
    state: Option<String>,
    /// What can be done.
    next: Option<String>,
    /// What the server said, for programs.
    problem: Option<Box<Problem>>,
}

impl Failure {
    /// The reader of our output went away; there is nothing to say and nobody to say it to.
    pub(super) fn of_output(error: io::Error) -> Self {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        let exit = if quiet { Exit::Ok } else { Exit::Failed };
        let what = if quiet { String::new() } else { format!("could not write the output: {error}") };
        Self::new(exit, what)
    }

    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), state: None, next: None, problem: None }
    }

    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what).state("nothing was sent")
    }

    /// Something on this machine went wrong.
    pub(super) fn failed(what: &str, error: &(dyn StdError + 'static)) -> Self {
        Self::new(Exit::Failed, format!("{what}: {}", chain(error)))
    }

    /// A file could not be used.
    pub(super) fn of_file(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("could not {what} {}: {error}", path.display()))
    }

    /// What happened.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Tells it on standard error.
    pub(super) fn report(&self, output: &Output) -> Exit {
        if !self.what.is_empty() {
            match output.format {
                Format::Text => output.note(&self.text(output)),
                Format::Json => output.note(&self.json()),
            }
        }
        self.exit
    }

    fn text(&self, output: &Output) -> String {
        let mut text = format!("{} {}", output.alarm("error:"), self.what);
        for (name, words) in [("state:", &self.state), ("next: ", &self.next)] {
            if let Some(words) = words {
                text.push_str(&format!("\n  {name} {words}"));
            }
        }
        text
    }

    fn json(&self) -> String {
        let Self { exit, what, state, next, problem } = self;
        let exit = *exit as u8;
        json!({"error": {"exit": exit, "what": what, "state": state, "next": next, "problem": problem}})
            .to_string()
    }

    fn refused(refusal: &Refusal) -> Self {
        let next = if refusal.conflict {
            "the same command may be accepted when the state has changed"
        } else {
            "change the command; `playhouse kinds` shows examples"
        };
        let what = format!("the entity refused: {refusal}");
        Self::new(Exit::Refused, what).state("nothing changed").next(next)
    }

    fn rejected(problem: Box<Problem>) -> Self {
        let (exit, next) = match problem.code.as_str() {
            "unauthorized" => {
                (Exit::Unauthorized, Some("give a token that the node knows with --token-file"))
            }
            "unknown_kind" => (Exit::Failed, Some("`playhouse kinds` shows what the node knows")),
            "invalid_body" => (Exit::Usage, Some("`playhouse kinds` shows examples of commands")),
            "crashed" => (Exit::Failed, Some("the node's log says where; the entity is as it was")),
            "idempotency_mismatch" => {
                (Exit::Failed, Some("use another --idempotency-key for another command"))
            }
            code if code.starts_with("invalid_") => (Exit::Usage, None),
            code if code.starts_with("http_") => (Exit::Failed, Some("is --server a Playhouse gateway?")),
            _ => (Exit::Failed, None),
        };
        let state =
            if problem.nothing_happened() { "nothing changed" } else { "it may have taken effect once" };
        let mut failure = Self::new(exit, problem.to_string()).state(state);
        failure.next = next.map(str::to_owned);
        failure.problem = Some(problem);
        failure
    }

    fn gave_up(gave_up: &GaveUp) -> Self {
        let failure = Self::new(Exit::Unavailable, chain(gave_up)).state(gave_up.outcome.to_string());
        let unreachable = matches!(gave_up.last, playhouse_client::Failure::Connect { .. });
        match (&gave_up.idempotency_key, gave_up.outcome) {
            _ if unreachable => {
                failure.next("start a node with `playhouse dev`, or say with --server where one is")
            }
            (Some(key), Outcome::Unknown) => {
                failure.next(format!("repeat it without a second effect with --idempotency-key {key}"))
            }
            _ => failure.next("try again, perhaps with a longer --timeout"),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => Self::refused(&refusal),
            CallError::Rejected(problem) => Self::rejected(problem),
            CallError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::failed("the reply is of no use", &error),
        }
    }
}

impl From<CastError> for Failure {
    fn from(error: CastError) -> Self {
        match error {
            CastError::Refused(refusal) => Self::refused(&refusal),
            CastError::Rejected(problem) => Self::rejected(problem),
            CastError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::failed("nothing was sent", &error),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rejected(problem) => Self::rejected(problem),
            ReadError::GaveUp(gave_up) => Self::gave_up(&gave_up),
            error => Self::failed("the answer is of no use", &error).next("is --server a Playhouse gateway?"),
        }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::failed("there is no client", &error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::new(Exit::Unauthorized, chain(&error)).state("nothing was sent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_nobodys_fault() {
        let failure = Failure::of_output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.report(&Output::new(Format::Text)), Exit::Ok);
    }
}
