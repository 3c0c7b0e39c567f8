//! The words of a supervisor's plan: what is done when a child ends, and how a child is stopped. Data only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;

/// Which children are restarted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// The child that ended, and no other.
    #[default]
    OneForOne,
    /// All of them: the others are stopped first.
    OneForAll,
    /// The child that ended and those that were started after it, which are stopped first.
    RestForOne,
}

impl Strategy {
    /// As OTP calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it ended abnormally: not after `normal`, `shutdown` or `shutdown: …`.
    Transient,
    /// Never. Its specification goes with it.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shutdown {
    /// It is killed at once.
    BrutalKill,
    /// It is asked to stop, and killed when it has not stopped after this time.
    Timeout(Duration),
    /// It is asked to stop and has all the time it wants. For supervisors, whose children have bounds of their own.
    Infinity,
}

/// What a child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildType {
    /// It has no children of its own that anybody should know of.
    #[default]
    Worker,
    /// It is a supervisor.
    Supervisor,
}

/// Whether a supervisor ends by itself when its significant children have ended by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoShutdown {
    /// No.
    #[default]
    Never,
    /// When the first of them has.
    AnySignificant,
    /// When the last of them has.
    AllSignificant,
}

/// What a supervisor knows of a child, apart from how it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRules {
    /// When it is started again.
    pub restart: Restart,
    /// Whether its end can be the end of its supervisor; see [`AutoShutdown`].
    pub significant: bool,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// What it is.
    pub child_type: ChildType,
    /// How long its start may take. `None` waits for ever, as OTP does.
    pub start_timeout: Option<Duration>,
}

impl ChildRules {
    /// OTP's defaults: `permanent`; a worker has five seconds to stop, a supervisor all the time it wants.
    #[must_use]
    pub fn of(child_type: ChildType) -> Self {
        let shutdown = match child_type {
            ChildType::Worker => Shutdown::Timeout(Duration::from_secs(5)),
            ChildType::Supervisor => Shutdown::Infinity,
        };
        Self { restart: Restart::default(), significant: false, shutdown, child_type, start_timeout: None }
    }
}

/// What a supervisor does about all of its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// Which children are restarted together.
    pub strategy: Strategy,
    /// How many restarts there may be within `period`. One more ends the supervisor.
    pub intensity: u32,
    /// See `intensity`.
    pub period: Duration,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
    /// How long a restart waits. `None` restarts at once, as OTP does.
    pub backoff: Option<Backoff>,
    /// How many children there may be. Past it, starting one more is refused.
    pub children_max: usize,
}

impl Default for Flags {
    /// OTP's defaults: `one_for_one`, at most one restart within five seconds, no automatic shutdown.
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::default(),
            backoff: None,
            children_max: 100_000,
        }
    }
}

impl Flags {
    /// Says why a child with these rules cannot be a child of such a supervisor.
    ///
    /// # Errors
    ///
    /// When it is significant and that could never mean anything.
    pub fn check(&self, rules: &ChildRules) -> Result<(), SpecError> {
        match (rules.significant, rules.restart, self.auto_shutdown) {
            (true, Restart::Permanent, _) => Err(SpecError::SignificantPermanent),
            (true, _, AutoShutdown::Never) => Err(SpecError::SignificantWithoutAutoShutdown),
            _ => Ok(()),
        }
    }
}

/// Why a child specification makes no sense. No child was started; correct the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A permanent child never ends for good, so its end cannot be significant.
    #[error(
        "a permanent child is always restarted, so it cannot be significant: make it transient or temporary"
    )]
    SignificantPermanent,
    /// The supervisor would not take notice.
    #[error("a significant child needs a supervisor that shuts down with it: set auto_shutdown")]
    SignificantWithoutAutoShutdown,
}
