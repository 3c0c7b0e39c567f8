//! Processes: `ractor` actors with OTP's words and OTP's meaning.
//!
//! Comes in: actors that people write. Leaves: supervision trees that keep them running, and [`ExitReason`], which says why a
//! process ended.
//!
//! A process lives on the node that started it and dies with it; what must survive its node is an entity.

mod exit;
mod supervisor;

pub use exit::ExitReason;
pub use supervisor::{
    AutoShutdown, Backoff, ChildRules, ChildSpec, ChildStatus, ChildType, ChildView, Counts,
    DeleteChildError, FindChildError, Flags, RequestError, Restart, RestartChildError, RunningChild,
    Shutdown, SimpleOneForOne, SimpleOneForOneRef, SpecError, StartChildError, StartError, Strategy,
    Supervisor, SupervisorRef, TerminateChildError, Tree,
};
