//! What the server sends: one JSON object per text frame.

use axum::extract::ws::Message;

use super::{
    super::{code::Code, problem::Problem},
    frame::Id,
};
use crate::protocol::{Published, Reply, RequestId};

/// `{"id":1,"reply":…,"revision":1}`.
pub(super) fn reply(id: &Id, reply: &Reply, request_id: &RequestId) -> Message {
    match std::str::from_utf8(&reply.body) {
        Ok(body) => text(id, &format!(r#""reply":{body},"revision":{}"#, reply.revision)),
        Err(_) => problem(
            Some(id),
            &Problem::new(Code::Crashed, "the kind replied with something that is not text"),
            request_id,
        ),
    }
}

/// `{"id":2,"accepted":true}`.
pub(super) fn accepted(id: &Id) -> Message {
    text(id, r#""accepted":true"#)
}

/// `{"id":3,"subscribed":true,"revision":17}`.
pub(super) fn subscribed(id: &Id, revision: u64) -> Message {
    text(id, &format!(r#""subscribed":true,"revision":{revision}"#))
}

/// `{"id":3,"item":{…},"revision":18}` or `{"id":3,"gap":{"first":40}}`.
pub(super) fn published(id: &Id, published: &Published) -> Message {
    match published {
        Published::Item { revision, item } => {
            let item = std::str::from_utf8(item).unwrap_or("null");
            text(id, &format!(r#""item":{item},"revision":{revision}"#))
        }
        Published::Gap { first } => text(id, &format!(r#""gap":{{"first":{first}}}"#)),
    }
}

/// `{"id":3,"ended":{"reason":"…"}}`; `reason` is one of our own words.
pub(super) fn ended(id: &Id, reason: &'static str) -> Message {
    text(id, &format!(r#""ended":{{"reason":"{reason}"}}"#))
}

/// `{"id":1,"error":{problem}}`; the id is `null` when it could not be read.
pub(super) fn problem(id: Option<&Id>, problem: &Problem, request_id: &RequestId) -> Message {
    let id = id.map_or("null", Id::as_json);
    Message::text(format!(r#"{{"id":{id},"error":{}}}"#, problem.document(request_id)))
}

fn text(id: &Id, rest: &str) -> Message {
    Message::text(format!(r#"{{"id":{},{rest}}}"#, id.as_json()))
}
