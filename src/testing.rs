//! A stage for kinds: the real executor core over the memory store, under a clock that the test holds.
//!
//! Comes in: a [`Release`] (the kinds of a binary) and commands. Leaves: replies, and what the handlers stated:
//! casts, timers, published items, spawned work. Nothing happens by itself: the test delivers casts, lets time
//! pass, crashes handlers and machines, moves the shard, and deploys the next release. No task, no sleep, no port.
//!
//! ```
//! use std::time::Duration;
//!
//! use playhouse::{
//!     kinds::{Counter, Document, counter, document},
//!     protocol::CallError,
//!     testing::{Release, Stage},
//! };
//! use serde_json::json;
//!
//! let mut stage = Stage::start(Release::new().kind::<Counter>().kind::<Document>());
//!
//! // Typed, or as a client in another language.
//! let one = stage.call::<Counter>("visits", &counter::Command::Add(1)).unwrap();
//! assert_eq!(one.value, 1);
//! let put = json!({"put": {"value": "hello", "ttl_ms": 60000}});
//! assert_eq!(stage.call_json("document", "greeting", &put).unwrap(), json!({"revision": 1, "exists": true}));
//!
//! // What a handler stated can be looked at, and time passes when the test says so.
//! assert_eq!(stage.timers()[0].name, "expire");
//! assert_eq!(stage.advance(Duration::from_secs(60)), 1);
//! assert_eq!(stage.view::<Document>("greeting")["exists"], false);
//!
//! // A handler that panics has no effects.
//! stage.crash_next_handler();
//! assert_eq!(stage.call::<Counter>("visits", &counter::Command::Add(1)), Err(CallError::Crashed));
//!
//! // A machine that dies loses what was not acknowledged, and nothing else.
//! stage.stall();
//! let waiting = stage.send::<Counter>("visits", &counter::Command::Add(1));
//! stage.crash();
//! assert_eq!(waiting.outcome(), Some(Err(CallError::OutcomeUnknown)));
//! assert_eq!(stage.view::<Counter>("visits"), json!({"value": 1}));
//! ```

pub(crate) mod group;
mod promise;
mod release;
mod sabotage;
mod seen;
mod stage;
#[cfg(test)]
mod tests;

pub use promise::Promise;
pub use release::Release;
pub use seen::{Item, SentCast};
pub use stage::Stage;
