//! What the server sends: one JSON object per text frame.

use axum::extract::ws::Message;
use compact_str::{CompactString, ToCompactString};

use super::{
    super::{code::Code, problem::Problem},
    frame::Id,
};
use crate::protocol::{Published, Reply, RequestId};

/// `{"id":1,"reply":…,"revision":1}`.
pub(super) fn reply(id: &Id, reply: &Reply, request_id: &RequestId) -> Message {
    match std::str::from_utf8(&reply.body) {
        Ok(body) => text(id, &[r#""reply":"#, body, r#","revision":"#, &number(reply.revision)]),
        Err(_) => problem(
            Some(id),
            &Problem::new(Code::Crashed, "the kind replied with something that is not text"),
            request_id,
        ),
    }
}

/// `{"id":2,"accepted":true}`.
pub(super) fn accepted(id: &Id) -> Message {
    text(id, &[r#""accepted":true"#])
}

/// `{"id":3,"subscribed":true,"revision":17}`.
pub(super) fn subscribed(id: &Id, revision: u64) -> Message {
    text(id, &[r#""subscribed":true,"revision":"#, &number(revision)])
}

/// `{"id":3,"item":{…},"revision":18}` or `{"id":3,"gap":{"first":40}}`.
pub(super) fn published(id: &Id, published: &Published) -> Message {
    match published {
        Published::Item { revision, item } => {
            let item = std::str::from_utf8(item).unwrap_or("null");
            text(id, &[r#""item":"#, item, r#","revision":"#, &number(*revision)])
        }
        Published::Gap { first } => text(id, &[r#""gap":{"first":"#, &number(*first), "}"]),
    }
}

/// `{"id":3,"ended":{"reason":"…"}}`; `reason` is one of our own words.
pub(super) fn ended(id: &Id, reason: &'static str) -> Message {
    text(id, &[r#""ended":{"reason":""#, reason, r#""}"#])
}

/// `{"id":1,"error":{problem}}`; the id is `null` when it could not be read.
pub(super) fn problem(id: Option<&Id>, problem: &Problem, request_id: &RequestId) -> Message {
    let id = id.map_or("null", Id::as_json);
    Message::text(format!(r#"{{"id":{id},"error":{}}}"#, problem.document(request_id)))
}

fn number(number: u64) -> CompactString {
    number.to_compact_string()
}

/// Each answer is made once and moved, never copied.
fn text(id: &Id, rest: &[&str]) -> Message {
    let (begin, end) = (r#"{"id":"#, "}");
    let id = id.as_json();
    let bytes = begin.len() + id.len() + 1 + rest.iter().map(|part| part.len()).sum::<usize>() + end.len();
    let mut text = String::with_capacity(bytes);
    [begin, id, ","].iter().chain(rest).chain([&end]).for_each(|part| text.push_str(part));
    Message::text(text)
}
