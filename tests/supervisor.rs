//! The promises of OTP's supervisor, one test for each, named by it.
//!
//! Written from what OTP's documentation of `supervisor` promises, in our words. The clock is paused: time passes when everybody
//! waits, so a test of minutes takes none.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.

#[path = "supervisor/ends.rs"]
mod ends;
#[path = "supervisor/intensity.rs"]
mod intensity;
#[path = "supervisor/leftovers.rs"]
mod leftovers;
#[path = "supervisor/operator.rs"]
mod operator;
#[path = "supervisor/restart.rs"]
mod restart;
#[path = "supervisor/significant.rs"]
mod significant;
#[path = "supervisor/simple.rs"]
mod simple;
#[path = "supervisor/stage.rs"]
mod stage;
#[path = "supervisor/start.rs"]
mod start;
#[path = "supervisor/strategies.rs"]
mod strategies;
