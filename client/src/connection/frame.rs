//! What goes over the WebSocket: one JSON object per text frame.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::Problem;

/// Whether a reply is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Call,
    Cast,
}

/// `{"id":1,"call":{…}}` and its siblings.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) what: What<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What<'a> {
    Call(Command<'a>),
    Cast(Command<'a>),
    Subscribe {
        kind: &'a str,
        key: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    Unsubscribe {},
}

#[derive(Serialize)]
pub(super) struct Command<'a> {
    pub(super) kind: &'a str,
    pub(super) key: &'a str,
    pub(super) command: &'a RawValue,
    pub(super) timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<&'a str>,
}

impl Request<'_> {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and checked JSON can be written")
    }
}

/// Anything that the server says. Which field is there tells what it is.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    /// `None` when the server could not tell which request it is about.
    #[serde(default)]
    pub(super) id: Option<u64>,
    /// `Some("null")` when the reply is null.
    #[serde(default, borrow, deserialize_with = "present")]
    pub(super) reply: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    pub(super) item: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) revision: Option<u64>,
    #[serde(default)]
    pub(super) accepted: Option<bool>,
    #[serde(default)]
    pub(super) subscribed: Option<bool>,
    #[serde(default)]
    pub(super) gap: Option<Gap>,
    #[serde(default)]
    pub(super) ended: Option<End>,
    #[serde(default)]
    pub(super) error: Option<Problem>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Gap {
    pub(super) first: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct End {
    pub(super) reason: String,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_the_contract_says() {
        let command = serde_json::value::to_raw_value(&serde_json::json!({"add": 1})).unwrap();
        let call = Command {
            kind: "counter",
            key: "visits",
            command: &command,
            timeout_ms: 5000,
            idempotency_key: Some("k"),
        };
        let text = |id, what| Request { id, what }.to_text();
        assert_eq!(
            text(1, What::Call(call)),
            r#"{"id":1,"call":{"kind":"counter","key":"visits","command":{"add":1},"timeout_ms":5000,"idempotency_key":"k"}}"#
        );
        assert_eq!(
            text(3, What::Subscribe { kind: "room", key: "lobby", after: Some(17) }),
            r#"{"id":3,"subscribe":{"kind":"room","key":"lobby","after":17}}"#
        );
        assert_eq!(text(3, What::Unsubscribe {}), r#"{"id":3,"unsubscribe":{}}"#);
    }

    #[test]
    fn a_reply_of_null_is_a_reply() {
        let answer: Answer<'_> = serde_json::from_str(r#"{"id":1,"reply":null,"revision":2}"#).unwrap();
        assert_eq!(answer.reply.map(RawValue::get), Some("null"));
        assert!(answer.item.is_none());
    }
}
