//! Sockets: accepts connections, bounds them in count, time and bytes, and drains them.
//!
//! Both ports are served by it. Comes in: a listener and an [`Answer`]. Leaves: HTTP/1.1. It knows neither routes nor
//! entities.

mod connection;
mod listener;
mod patience;
mod refusal;

pub(super) use connection::{Answer, Connection};
pub(super) use listener::Server;
