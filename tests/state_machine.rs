//! State machines: the promises of OTP's `gen_statem`, one test each, named by it.
//!
//! The clock is paused: time passes when everybody waits.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.

#[path = "state_machine/ends.rs"]
mod ends;
#[path = "state_machine/events.rs"]
mod events;
#[path = "state_machine/itself.rs"]
mod itself;
#[path = "state_machine/stage.rs"]
mod stage;
#[path = "state_machine/states.rs"]
mod states;
#[path = "state_machine/timeouts.rs"]
mod timeouts;
