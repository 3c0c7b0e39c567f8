//! Shards that another node leads, over an entity lane.
//!
//! Comes in: messages for executors there. Leaves: the same messages as frames, and their answers as frames back.
//!
//! * **Whoever dials asks.** The other end answers on the same connection, and tells there which shards it leads. So
//!   news of a leader, and the answers of its executors, stay in order.
//! * **A broken lane is an unknown outcome** for all that it carried; streams send that again, in order.
//! * **Only an executor refuses a kind.** One that either end lacks travels by name: its leader may have executed the same
//!   request before, or have lost the leadership to a release that has the kind.
//! * **A full mailbox pushes back**: a numbered message that found no room is refused together with all behind it in
//!   its stream, until it comes again.

mod asking;
mod batch;
mod carrier;
mod frame;
mod serving;

pub use asking::{News, Remote};
pub use carrier::{Carrier, CarrierError};
pub use serving::{Executors, ServeError, Serving};

#[cfg(test)]
mod tests;
