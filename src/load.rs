//! A load generator for any cluster: sends requests at a pace, and says how long answers took.
//!
//! Comes in: a [`Plan`], where the gateways are ([`Access`]), and a future that ends the run early. Leaves: a [`Report`], which says
//! what was intended, sent, answered and failed, second by second, with all latencies as a histogram.
//!
//! An open loop starts requests at moments of a [`Schedule`] that does not depend on answers, and counts each latency from the
//! *intended* start. So a target that stalls for a second shows a second to all who came meanwhile, and not to one of them:
//! there is no coordinated omission. What cannot be sent, because as many requests as allowed are unanswered, fails as
//! [`IN_FLIGHT_FULL`]; nothing is dropped in silence.
//!
//! | module | what it is for |
//! |---|---|
//! | `plan`, `message`, `schedule` | what is sent, and when: pure |
//! | `latency`, `tally`, `requirement`, `report` | what came of it: pure |
//! | `driver` | carries a plan out against any [`Target`] |
//! | `target`, `fault` | the target that is a cluster, through [`playhouse_client`]; how its errors are called |
//! | `start` | looks whether the load makes sense before any of it is sent |
//! | `machine`, `open_files` | the machine of the generator |
//!
//! ```
//! use playhouse::load::Requirement;
//!
//! let requirement: Requirement = "p95<10ms".parse().unwrap();
//! assert_eq!(requirement.to_string(), "p95<10ms");
//! assert!("p95<fast".parse::<Requirement>().is_err());
//! ```

mod driver;
mod fault;
mod latency;
mod machine;
mod message;
mod open_files;
mod plan;
mod report;
mod requirement;
mod schedule;
mod start;
mod tally;
mod target;
#[cfg(test)]
mod testing;

pub use driver::{Glance, Live, Outcome, Run};
pub use fault::{
    CONNECTION_LOST, Fault, IN_FLIGHT_FULL, NO_ANSWER, NO_CONNECTION, NOT_SENT, UNEXPECTED_ANSWER,
};
pub use latency::{Buckets, Latencies};
pub use machine::Machine;
pub use message::{MessageError, Messages, NUMBER};
pub use open_files::{OpenFilesError, raise_open_files};
pub use plan::{
    Arrivals, CALLERS_MAX, CONNECTIONS_MAX, IN_FLIGHT_MAX, KEYS_MAX, Operation, Pace, Plan, PlanError,
    RATE_MAX, RUN_MAX, TIMEOUT_MAX, Transport,
};
pub use report::{GatewayReport, LatencyReport, PlanReport, Report, Verdict};
pub use requirement::{Requirement, RequirementError};
pub use schedule::Schedule;
pub use start::{Access, Checked, StartError, check, open};
pub use tally::{Counts, Second, Tally};
pub use target::{Cluster, Target};
