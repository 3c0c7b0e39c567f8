//! Pools: what people expect of one, a test each.
//!
//! The clock is paused: time passes when everybody waits. Storms run on several threads.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.

#[path = "pool/crashes.rs"]
mod crashes;
#[path = "pool/ends.rs"]
mod ends;
#[path = "pool/panics.rs"]
mod panics;
#[path = "pool/room.rs"]
mod room;
#[path = "pool/routing.rs"]
mod routing;
#[path = "pool/sizes.rs"]
mod sizes;
#[path = "pool/slow.rs"]
mod slow;
#[path = "pool/stage.rs"]
mod stage;
