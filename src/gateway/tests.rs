//! The contract of `docs/http-api.md`, over real sockets.

mod bad_input;
mod good_input;
mod patience;
