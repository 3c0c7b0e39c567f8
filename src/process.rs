//! Processes: `ractor` actors with OTP's words and OTP's meaning.
//!
//! Comes in: actors that people write. Leaves:
//!
//! * [`Supervisor`], whose children are started in order, restarted by rules, and stopped in the opposite order;
//! * [`Process`], a reference with a bounded mailbox: `call`, `cast`, `send_after`, `stop`, `kill`, `drain`;
//! * [`StateMachine`], with timeouts of states and events, and messages that wait for another state;
//! * [`Pool`], workers that share jobs;
//! * monitors and links: who ended, and why ([`ExitReason`]);
//! * [`Names`]: which process has which name on this node;
//! * [`Distribution`]: all of this between nodes: references that travel in messages, groups, spawning on another node;
//! * [`ClusterNames`]: names in the whole cluster, and processes of which there is one.
//!
//! A process lives on the node that started it and dies with it; what must survive its node is an entity.
//! `docs/for-erlangers.md` has a table from OTP's calls to these.
//!
//! Nothing here has a name in `ractor`'s registry or is in one of its groups: both are process-wide.

mod call;
mod cluster_names;
pub mod distribution;
mod exit;
mod host;
mod id;
mod inner;
mod life;
mod link;
mod mailbox;
mod monitor;
mod names;
mod observer;
mod pool;
mod reference;
mod state_machine;
mod supervisor;
mod table;
mod tidy;
mod timer;

pub use call::{CallError, CastError, Reply};
pub use cluster_names::{ClusterNames, NameError, Registration, Singleton, Starts};
pub use distribution::{Distribution, Portable};
pub use exit::ExitReason;
pub use host::{SpawnError, spawn, spawn_linked};
pub use id::{Home, ProcessId};
pub use link::Exit;
pub use mailbox::{Mailbox, MailboxStats, Policy};
pub use monitor::{Down, Monitor, MonitorError, MonitorId};
pub use names::{Names, RegisterError};
pub use observer::{Branch, BranchState, Excerpt, GroupRow, Leaf, NameRow, Observer, ProcessReport};
pub use pool::{Overflow, Pool, PoolRef, PoolStats, ResizeError, Routing, Worker, key_of};
pub use reference::Process;
pub use state_machine::{Actions, Entry, Event, Machine, StateMachine, Step};
pub use supervisor::{
    AutoShutdown, Backoff, ChildRules, ChildSpec, ChildStatus, ChildType, ChildView, Counts,
    DeleteChildError, FindChildError, Flags, RequestError, Restart, RestartChildError, RunningChild,
    Shutdown, SimpleOneForOne, SimpleOneForOneRef, SpecError, StartChildError, StartError, Strategy,
    Supervisor, SupervisorRef, TerminateChildError, Tree,
};
pub use table::{ExitCounts, ProcessCounts};
pub use timer::{Timer, TimerError};
