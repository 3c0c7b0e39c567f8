//! Why a process ended: one word for supervisors, links, monitors and callers.
//!
//! Comes in: what `ractor` says about an end (a text, or an error). Leaves: [`ExitReason`], and back again the text that
//! `ractor` carries.

use std::any::Any;

use ractor::{ActorProcessingErr, SpawnErr, SupervisionEvent};
use serde::{Deserialize, Serialize};

/// What is kept of the message of a panic or an error; the rest is cut off. Reasons travel to other nodes.
const TEXT_BYTES_MAX: usize = 4096;
/// What is left of a text on its way to another node: many may end at once, and none of the news may be lost.
const TEXT_BYTES_TOLD_MAX: usize = 512;

const NORMAL: &str = "normal";
const SHUTDOWN: &str = "shutdown";
const SHUTDOWN_WITH: &str = "shutdown: ";
const KILLED: &str = "killed";
/// What `ractor` says when a mailbox was drained to its end, and when the runtime took the task away.
const DRAINED: &str = "Drained";
const TASK_CANCELLED: &str = "actor_task_cancelled";

/// Why a process ended.
///
/// A handler that returns one of these as its error ends its process with exactly this reason:
///
/// ```
/// use playhouse::process::ExitReason;
///
/// fn handle() -> Result<(), ractor::ActorProcessingErr> {
///     Err(ExitReason::ShutdownWith("moved".to_owned()).into())
/// }
/// # assert!(handle().is_err());
/// assert!(!ExitReason::ShutdownWith("moved".to_owned()).is_abnormal());
/// assert!(ExitReason::Crashed("index out of bounds".to_owned()).is_abnormal());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ExitReason {
    /// It was done.
    #[error("normal")]
    Normal,
    /// Whoever started it asked it to stop.
    #[error("shutdown")]
    Shutdown,
    /// It stopped in good order, and says why.
    #[error("shutdown: {0}")]
    ShutdownWith(String),
    /// It was killed: at once, without its last words.
    #[error("killed")]
    Killed,
    /// A handler panicked or returned an error, which is the text.
    #[error("{0}")]
    Crashed(String),
    /// There was no such process when the question was asked.
    #[error("noproc")]
    NoProc,
    /// Its node cannot be reached. Whether it still runs is not known.
    #[error("noconnection")]
    NoConnection,
}

impl ExitReason {
    /// Whether a `transient` child is restarted after it: all but [`Normal`](Self::Normal), [`Shutdown`](Self::Shutdown)
    /// and [`ShutdownWith`](Self::ShutdownWith).
    #[must_use]
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown | Self::ShutdownWith(_))
    }

    /// A crash that says `text`, cut to a bounded length.
    #[must_use]
    pub fn crashed(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Self::Crashed(text)
    }

    /// As it is told to another node: cut to a bounded length, whoever made it.
    pub(crate) fn for_the_way(&self) -> Self {
        let told = |text: &str| text[..text.floor_char_boundary(TEXT_BYTES_TOLD_MAX)].to_owned();
        match self {
            Self::Crashed(text) => Self::Crashed(told(text)),
            Self::ShutdownWith(text) => Self::ShutdownWith(told(text)),
            other => other.clone(),
        }
    }

    /// The reason in the text that `ractor` carries with a graceful stop.
    pub(crate) fn stop_text(&self) -> Option<String> {
        (*self != Self::Normal).then(|| self.to_string())
    }

    /// The reason behind such a text. A text that nobody here wrote is, as in Erlang, an abnormal reason.
    pub(crate) fn of_stop(text: Option<&str>) -> Self {
        match text {
            None | Some(NORMAL | DRAINED) => Self::Normal,
            Some(SHUTDOWN) => Self::Shutdown,
            Some(KILLED | TASK_CANCELLED) => Self::Killed,
            Some(text) => match text.strip_prefix(SHUTDOWN_WITH) {
                Some(why) => Self::ShutdownWith(why.to_owned()),
                None => Self::crashed(text),
            },
        }
    }

    /// The reason behind the error of a handler, or behind its panic.
    pub(crate) fn of_failure(error: &ActorProcessingErr) -> Self {
        error.downcast_ref::<Self>().cloned().unwrap_or_else(|| Self::crashed(error.to_string()))
    }

    /// What somebody said who panicked.
    pub(crate) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.map_or_else(|| Self::crashed("a panic that is no text"), Self::crashed)
    }

    /// The reason why a process did not start.
    pub(crate) fn of_start(error: &SpawnErr) -> Self {
        match error {
            SpawnErr::StartupFailed(error) => Self::of_failure(error),
            other => Self::crashed(other.to_string()),
        }
    }

    /// The error that carries this reason why a process did not start.
    pub(crate) fn into_start(self) -> SpawnErr {
        SpawnErr::StartupFailed(self.into())
    }

    /// The reason in an event of `ractor`, if it tells of an end.
    pub(crate) fn of_event(event: &SupervisionEvent) -> Option<Self> {
        match event {
            SupervisionEvent::ActorTerminated(_, _, text) => Some(Self::of_stop(text.as_deref())),
            SupervisionEvent::ActorFailed(_, error) => Some(Self::of_failure(error)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_way_through_a_stop() {
        let with = ExitReason::ShutdownWith("moved: twice".to_owned());
        let crashed = ExitReason::Crashed("no disk".to_owned());
        for reason in [ExitReason::Normal, ExitReason::Shutdown, with, ExitReason::Killed, crashed] {
            assert_eq!(ExitReason::of_stop(reason.stop_text().as_deref()), reason);
        }
    }

    #[test]
    fn a_drained_mailbox_is_a_normal_end_and_a_cancelled_task_is_a_kill() {
        assert_eq!(ExitReason::of_stop(Some(DRAINED)), ExitReason::Normal);
        assert_eq!(ExitReason::of_stop(Some(TASK_CANCELLED)), ExitReason::Killed);
    }

    #[test]
    fn only_normal_and_the_shutdowns_are_not_abnormal() {
        assert!(!ExitReason::Normal.is_abnormal());
        assert!(!ExitReason::Shutdown.is_abnormal());
        assert!(!ExitReason::ShutdownWith(String::new()).is_abnormal());
        let abnormal =
            [ExitReason::Killed, ExitReason::crashed("x"), ExitReason::NoProc, ExitReason::NoConnection];
        assert!(abnormal.iter().all(ExitReason::is_abnormal));
    }

    #[test]
    fn an_error_that_is_a_reason_stays_that_reason() {
        let error: ActorProcessingErr = ExitReason::Shutdown.into();
        assert_eq!(ExitReason::of_failure(&error), ExitReason::Shutdown);
        assert_eq!(ExitReason::of_failure(&"no disk".into()), ExitReason::Crashed("no disk".to_owned()));
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let ExitReason::Crashed(text) = ExitReason::crashed("ü".repeat(TEXT_BYTES_MAX)) else {
            panic!("it is a crash");
        };
        assert_eq!(text, "ü".repeat(TEXT_BYTES_MAX / 2));
    }

    #[test]
    fn every_text_is_cut_for_the_way_to_another_node() {
        let (long, short) = ("ü".repeat(TEXT_BYTES_MAX), "ü".repeat(TEXT_BYTES_TOLD_MAX / 2));
        for reason in [ExitReason::ShutdownWith, ExitReason::Crashed] {
            assert_eq!(reason(long.clone()).for_the_way(), reason(short.clone()));
            assert_eq!(reason("moved".to_owned()).for_the_way(), reason("moved".to_owned()));
        }
        assert_eq!(ExitReason::Killed.for_the_way(), ExitReason::Killed);
    }
}
