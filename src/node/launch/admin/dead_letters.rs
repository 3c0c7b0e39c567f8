//! Messages that could not be delivered.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Subject;
use crate::{
    gateway::ops::{AdminAction, AdminError},
    protocol::{CallError, Content, ShardId},
    router,
    shard::DeadLetter,
};

/// How many dead letters are shown when nothing is said.
const LIMIT_DEFAULT: u64 = 100;
/// How many dead letters are shown at most.
const LIMIT_MAX: u64 = 1_000;
/// How long the shards may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Shows messages that could not be delivered.
pub(super) struct DeadLetters {
    pub(super) subject: Subject,
}

impl AdminAction for DeadLetters {
    fn name(&self) -> &'static str {
        "dead-letters"
    }

    fn summary(&self) -> &'static str {
        "Shows the newest messages that could not be delivered, and why; {\"limit\": 100}"
    }

    fn run(&self, arguments: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            let limit = limit(&arguments)?;
            Ok(show(&self.subject.router()?.dead_letters(limit, TIMEOUT).await))
        })
    }
}

fn limit(arguments: &Value) -> Result<usize, AdminError> {
    let wrong = |path: &str, message: String| AdminError::Arguments { path: path.to_owned(), message };
    let given = match arguments {
        Value::Null => None,
        Value::Object(fields) => {
            if let Some(unknown) = fields.keys().find(|name| *name != "limit") {
                return Err(wrong(&format!(".{unknown}"), "unknown field, expected `limit`".to_owned()));
            }
            fields.get("limit")
        }
        _ => return Err(wrong(".", "expected an object".to_owned())),
    };
    let limit = given.map_or(Some(LIMIT_DEFAULT), Value::as_u64);
    let allowed = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let out = || wrong(".limit", format!("expected a whole number from 1 to {LIMIT_MAX}"));
    allowed.and_then(|limit| usize::try_from(limit).ok()).ok_or_else(out)
}

/// What was found, and which shards could not be asked: they may have more.
fn show(found: &router::DeadLetters) -> Value {
    json!({
        "dead_letters": found.letters.iter().map(show_letter).collect::<Vec<_>>(),
        "unread": found.unread.iter().map(show_unread).collect::<Vec<_>>(),
    })
}

fn show_unread((shard, error): &(ShardId, CallError)) -> Value {
    json!({"shard": shard.0, "code": error.code(), "detail": error.to_string()})
}

fn show_letter((shard, letter): &(ShardId, DeadLetter)) -> Value {
    json!({
        "shard": shard.0,
        "kind": letter.target.kind.as_str(),
        "key": letter.target.key.as_str(),
        "reason": letter.reason,
        "at_ms": letter.at_ms,
        "command": show_command(letter),
    })
}

/// A command that is JSON is shown as such, and as text if it is none or not whole; others by their length.
fn show_command(letter: &DeadLetter) -> Value {
    let text =
        || json!({"json_bytes": letter.body_bytes, "text": String::from_utf8_lossy(&letter.body.bytes)});
    match letter.body.content {
        Content::Json if letter.is_whole() => {
            serde_json::from_slice(&letter.body.bytes).unwrap_or_else(|_| text())
        }
        Content::Json => text(),
        Content::Binary => json!({"binary_bytes": letter.body_bytes}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, EntityId};

    #[test]
    fn bad_arguments_say_where() {
        assert_eq!(limit(&Value::Null), Ok(100));
        assert_eq!(limit(&json!({"limit": 7})), Ok(7));
        for (bad, at) in [(json!({"limit": 0}), ".limit"), (json!({"limt": 1}), ".limt"), (json!(3), ".")] {
            let Err(AdminError::Arguments { path, .. }) = limit(&bad) else { panic!("{bad} was taken") };
            assert_eq!(path, at);
        }
    }

    #[test]
    fn a_shard_that_does_not_answer_hides_no_letters_of_others() {
        let found = router::DeadLetters {
            letters: Vec::new(),
            unread: vec![(ShardId(3), CallError::DeadlineExceeded)],
        };
        let shown = show(&found);
        assert_eq!(shown["dead_letters"], json!([]));
        assert_eq!(shown["unread"][0]["shard"], 3);
        assert_eq!(shown["unread"][0]["code"], "deadline_exceeded");
    }

    #[test]
    fn a_command_that_is_not_whole_is_shown_as_text() {
        let shown = |body: Body, body_bytes| {
            let (target, reason) = (EntityId::new("counter", "c").unwrap(), String::new());
            show_command(&DeadLetter { target, body, body_bytes, reason, at_ms: 0 })
        };
        assert_eq!(shown(Body::json(r#"{"add":1}"#), 9), json!({"add": 1}));
        assert_eq!(shown(Body::json("nonsense"), 8), json!({"json_bytes": 8, "text": "nonsense"}));
        assert_eq!(shown(Body::json("12"), 70_000), json!({"json_bytes": 70_000, "text": "12"}), "not a 12");
        assert_eq!(shown(Body::binary("12"), 70_000), json!({"binary_bytes": 70_000}));
    }

    #[tokio::test]
    async fn a_starting_node_says_so() {
        let action = DeadLetters { subject: Subject::default() };
        assert!(matches!(action.run(Value::Null).await, Err(AdminError::Refused { code: "starting", .. })));
    }
}
