//! Processes on one node: bounded mailboxes, calls that always end, monitors, links, timers.
//!
//! The clock is paused: time passes when everybody waits. Races are run on several threads, many times.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.

#[path = "process/calls.rs"]
mod calls;
#[path = "process/links.rs"]
mod links;
#[path = "process/mailbox.rs"]
mod mailbox;
#[path = "process/monitors.rs"]
mod monitors;
#[path = "process/names.rs"]
mod names;
#[path = "process/races.rs"]
mod races;
#[path = "process/stage.rs"]
mod stage;
#[path = "process/supervised.rs"]
mod supervised;
#[path = "process/timers.rs"]
mod timers;
