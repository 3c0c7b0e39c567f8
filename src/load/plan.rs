//! What shall be sent, how fast and for how long. Pure, and checked as a whole before anything is sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Messages;

/// The highest rate that can be asked for, per second. One process reaches a fraction of it.
pub const RATE_MAX: f64 = 1e6;
/// How many callers a closed loop may have.
pub const CALLERS_MAX: usize = 100_000;
/// How many connections one process may open.
pub const CONNECTIONS_MAX: usize = 200_000;
/// How many requests may wait or be unanswered.
pub const IN_FLIGHT_MAX: usize = 1_000_000;
/// How many keys may be written.
pub const KEYS_MAX: u64 = 1_000_000_000;
/// The longest run with its warm-up.
pub const RUN_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest that one request may take.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The kind of the entities.
    pub kind: String,
    /// Their keys are this and a number from 0 on, without gaps.
    pub key_prefix: String,
    /// How many entities there are; they take turns.
    pub keys: u64,
    /// What is done to them.
    pub operation: Operation,
    /// What they are sent; not used by [`Operation::Get`].
    pub messages: Messages,
    /// Whether each command has an idempotency key, as clients give it. With it a command is repeated until it is answered, and
    /// nodes remember it; without it an unknown outcome is a failure.
    pub idempotency: bool,
    /// When requests start.
    pub pace: Pace,
    /// How they travel.
    pub transport: Transport,
    /// HTTP: how many requests may be on the way at a time, each over a connection of its own. WebSocket: how many connections
    /// are opened before the load begins; requests take them in turn.
    pub connections: usize,
    /// How long load runs before anything is counted.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// How long one request may take, counted from its intended start, with its retries.
    pub timeout: Duration,
    /// How many requests may wait or be unanswered. In an open loop the next one is not sent and counts as failed with
    /// [`IN_FLIGHT_FULL`](super::IN_FLIGHT_FULL).
    pub in_flight_max: usize,
}

/// What is done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A command, and its reply.
    Call,
    /// A command, until it is committed.
    Cast,
    /// The state is read; over HTTP only.
    Get,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One request at a time on each connection.
    Http,
    /// Many requests at once on each connection.
    Websocket,
}

/// When requests start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "loop")]
pub enum Pace {
    /// At moments that do not depend on answers, as when many people come who do not know each other.
    Open {
        /// How many per second, on average.
        rate: f64,
        /// With which gaps.
        arrivals: Arrivals,
    },
    /// Each caller sends its next request when it has the answer to the one before.
    Closed {
        /// How many callers.
        callers: usize,
    },
}

/// With which gaps requests of an open loop start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// All alike.
    Constant,
    /// As if nobody knew of the others: short gaps are frequent, bursts happen.
    Poisson,
}

/// Why a plan makes no sense. Nothing was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No rate, or one that no process reaches.
    #[error("a rate of {0} per second is outside of what can be asked for: above 0, at most {RATE_MAX}")]
    Rate(f64),
    /// A count is zero or beyond its bound.
    #[error("{what} is {value}, it must be 1 to {max}")]
    Count {
        /// Which one.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        max: u64,
    },
    /// It would take too long, or no time.
    #[error("{what} is {value:?}, it must be above 0 and at most {max:?}")]
    Time {
        /// Which one.
        what: &'static str,
        /// What it is.
        value: Duration,
        /// What it may be.
        max: Duration,
    },
    /// WebSocket has no such operation.
    #[error("over WebSocket states cannot be read: use --transport http, or a command that reads")]
    GetOverWebsocket,
    /// Connections that no caller would use.
    #[error("{connections} connections have only {callers} callers: some would never be used")]
    IdleConnections {
        /// How many connections.
        connections: usize,
        /// How many callers.
        callers: usize,
    },
}

impl Plan {
    /// Whether it can be carried out.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        self.check_pace()?;
        count("the number of keys", self.keys, KEYS_MAX)?;
        count("the number of connections", self.connections as u64, CONNECTIONS_MAX as u64)?;
        count("the number of requests in flight", self.in_flight_max as u64, IN_FLIGHT_MAX as u64)?;
        time("the timeout", self.timeout, TIMEOUT_MAX)?;
        time("the duration", self.duration, RUN_MAX)?;
        time("the duration with the warm-up", self.duration.saturating_add(self.warm_up), RUN_MAX)?;
        if self.operation == Operation::Get && self.transport == Transport::Websocket {
            return Err(PlanError::GetOverWebsocket);
        }
        Ok(())
    }

    fn check_pace(&self) -> Result<(), PlanError> {
        match self.pace {
            Pace::Open { rate, .. } if rate > 0.0 && rate <= RATE_MAX => Ok(()),
            Pace::Open { rate, .. } => Err(PlanError::Rate(rate)),
            Pace::Closed { callers } => {
                count("the number of callers", callers as u64, CALLERS_MAX as u64)?;
                let connections = self.connections;
                if connections <= callers {
                    return Ok(());
                }
                Err(PlanError::IdleConnections { connections, callers })
            }
        }
    }

    /// The key that a request goes to.
    #[must_use]
    pub fn key(&self, number: u64) -> String {
        format!("{}{}", self.key_prefix, number % self.keys)
    }

    /// Whether entities change.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.operation != Operation::Get
    }
}

fn count(what: &'static str, value: u64, max: u64) -> Result<(), PlanError> {
    if (1..=max).contains(&value) { Ok(()) } else { Err(PlanError::Count { what, value, max }) }
}

fn time(what: &'static str, value: Duration, max: Duration) -> Result<(), PlanError> {
    if !value.is_zero() && value <= max { Ok(()) } else { Err(PlanError::Time { what, value, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::testing::plan;

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().unwrap_err().to_string()
        };
        assert_eq!(plan().check(), Ok(()));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e6] {
            let pace = Pace::Open { rate, arrivals: Arrivals::Constant };
            let error = Plan { pace, ..plan() }.check().unwrap_err();
            assert!(matches!(error, PlanError::Rate(_)), "{rate}: {error}");
        }
        assert_eq!(refused(|plan| plan.keys = 0), "the number of keys is 0, it must be 1 to 1000000000");
        assert!(refused(|plan| plan.connections = 0).contains("connections is 0"));
        assert!(refused(|plan| plan.in_flight_max = 0).contains("in flight is 0"));
        assert!(refused(|plan| plan.duration = Duration::ZERO).contains("the duration is 0ns"));
        assert!(refused(|plan| plan.warm_up = RUN_MAX).contains("with the warm-up"));
        assert!(refused(|plan| plan.timeout = Duration::ZERO).contains("the timeout"));
        assert!(refused(|plan| plan.pace = Pace::Closed { callers: 0 }).contains("callers is 0"));
        assert!(
            refused(|plan| (plan.pace, plan.connections) = (Pace::Closed { callers: 2 }, 3))
                .contains("never")
        );
        assert!(refused(|plan| plan.operation = Operation::Get).contains("WebSocket"));
    }

    #[test]
    fn keys_take_turns() {
        let plan = Plan { keys: 3, key_prefix: "k-".into(), ..plan() };
        assert_eq!([0, 1, 2, 3].map(|number| plan.key(number)), ["k-0", "k-1", "k-2", "k-0"]);
    }
}
