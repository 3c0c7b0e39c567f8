//! What hyper says of its own accord when a request is not HTTP, said as a problem.
//!
//! hyper answers a head that it cannot read by itself, with an empty body, before any service is asked. No answer of
//! ours with a status of 4xx is empty, so its words are recognised by that.

use playhouse_cluster::environment::Environment;

use super::super::{code::Code, problem::Problem};
use crate::protocol::RequestId;

const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";
/// hyper's own answer is much shorter than this.
const HEAD_BYTES_MAX: usize = 256;

/// The problem to send instead of `bytes`, if those are hyper's own.
pub(super) fn instead_of(bytes: &[u8], environment: &Environment) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let is_empty = || bytes.windows(EMPTY.len()).take(HEAD_BYTES_MAX).any(|window| window == EMPTY);
    if !status.starts_with(b"4") || !is_empty() {
        return None;
    }
    let problem = match status {
        b"414" | b"431" => {
            Problem::new(Code::HeadTooLarge, "the request line and the headers are over the limit")
        }
        _ => Problem::new(Code::InvalidRequest, "this is not an HTTP/1.1 request"),
    };
    Some(problem.raw(&RequestId::random(environment)).into_bytes())
}
