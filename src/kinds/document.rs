//! `document`: a JSON value with compare-and-set and a time to live.
//!
//! | command | reply |
//! |---|---|
//! | `{"put": {"value": {"a": 1}}}` | `{"revision": 1, "exists": true}` |
//! | `{"put": {"value": 5, "if_revision": 1, "ttl_ms": 60000}}` | `{"revision": 2, "exists": true}` |
//! | `{"merge": {"patch": {"a": null, "b": 2}}}` (RFC 7396) | `{"revision": 3, "exists": true}` |
//! | `{"get": {}}` | `{"revision": 3, "exists": true, "value": {"b": 2}, "expires_at_ms": null}` |
//! | `{"delete": {}}` | `{"revision": 4, "exists": false}` |
//!
//! Every change, expiry included, makes the revision one larger, for ever: a document that was deleted and written
//! again never has a revision that it had before, so a stale `if_revision` cannot hit by accident. A document that
//! nobody has written has revision 0; `"if_revision": 0` therefore means "only if nobody ever wrote it".
//! `put` without `ttl_ms` ends a time to live; `merge` leaves it as it is.
//!
//! Refusals: `revision_mismatch` (409), `document_too_large` (422).

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    entity::{Context, Entity, NoEvents, Refusal},
    kinds::flat::flat_in_json,
    protocol::{Json, Key, RefusalClass},
};

/// Longest value, in bytes of compact JSON. Leaves room for the rest of the state, which is limited to 1 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 1_000_000;

const EXPIRE: &str = "expire";

/// A JSON value with compare-and-set and a time to live.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// How often it has changed. Outlives the value.
    revision: u64,
    /// Nothing while it does not exist.
    value: Option<Json>,
    expires_at_ms: Option<u64>,
}

/// What a document can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Replaces the value.
    Put {
        /// The new value.
        value: Json,
        /// Only if the document has this revision.
        if_revision: Option<u64>,
        /// How long it exists, in milliseconds; for ever if not given.
        ttl_ms: Option<NonZeroU64>,
    },
    /// Merges a patch into the value, as RFC 7396 says; a document that does not exist counts as `{}`.
    Merge {
        /// What changes; `null` removes a field.
        patch: Json,
        /// Only if the document has this revision.
        if_revision: Option<u64>,
    },
    /// Reads it.
    Get {},
    /// Removes the value. Removing what does not exist changes nothing.
    Delete {
        /// Only if the document has this revision.
        if_revision: Option<u64>,
    },
    /// Removes the value if its time is over. The document's own timer sends it; from others it is harmless.
    Expire {},
}

/// What a document answers: plain objects in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Reply {
    /// To `get`.
    Found(Found),
    /// To everything else.
    Written(Written),
}
flat_in_json!(Reply { Found, Written });

/// The document as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// How often it has changed.
    pub revision: u64,
    /// Whether there is a value; tells a value that is `null` from none.
    pub exists: bool,
    /// The value, `null` if there is none.
    pub value: Json,
    /// When it will cease to exist, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
}

/// What became of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// How often it has changed.
    pub revision: u64,
    /// Whether there is a value.
    pub exists: bool,
}

/// Why a document says no. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody else changed it. Read it again.
    #[error("the document has revision {revision}, not {wanted}")]
    RevisionMismatch {
        /// What it has.
        revision: u64,
        /// What the command asked for.
        wanted: u64,
    },
    /// The value would be too large.
    #[error("the value would have {0} bytes, at most {DOCUMENT_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::RevisionMismatch { .. } => "revision_mismatch",
            Self::TooLarge(_) => "document_too_large",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::RevisionMismatch { .. } => RefusalClass::Conflict,
            Self::TooLarge(_) => RefusalClass::Unprocessable,
        }
    }
}

impl Entity for Document {
    const KIND: &'static str = "document";
    const SUMMARY: &'static str = "A JSON value with compare-and-set and a time to live.";
    type Command = Command;
    type Reply = Reply;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Reply, Error> {
        let now = self.at(context.now_ms());
        let next = match command {
            Command::Get {} => return Ok(Reply::Found(now.found())),
            Command::Put { value, if_revision, ttl_ms } => {
                now.expect_revision(if_revision)?;
                let expires_at_ms = ttl_ms.map(|ttl| context.now_ms().saturating_add(ttl.get()));
                now.with(Some(value), expires_at_ms)?
            }
            Command::Merge { patch, if_revision } => {
                now.expect_revision(if_revision)?;
                now.with(Some(now.merged(&patch)), now.expires_at_ms)?
            }
            Command::Delete { if_revision } => {
                now.expect_revision(if_revision)?;
                if now.value.is_some() { now.with(None, None)? } else { now }
            }
            Command::Expire {} => now,
        };
        Ok(Reply::Written(self.become_next(next, context)))
    }

    fn show(&self) -> Value {
        serde_json::to_value(self.found()).unwrap_or(Value::Null)
    }

    fn command_examples() -> Vec<Value> {
        vec![
            serde_json::json!({"put": {"value": {"color": "red"}}}),
            serde_json::json!({"put": {"value": {"color": "red"}, "if_revision": 1, "ttl_ms": 60_000}}),
            serde_json::json!({"merge": {"patch": {"color": null, "size": 3}}}),
            serde_json::json!({"get": {}}),
            serde_json::json!({"delete": {}}),
        ]
    }
}

impl Document {
    /// The document as it is at `now_ms`: without its value, one revision on, once its time is over. Nobody sees
    /// whether the timer has come yet.
    fn at(&self, now_ms: u64) -> Self {
        match self.expires_at_ms {
            Some(at_ms) if at_ms <= now_ms => Self { revision: self.revision + 1, ..Self::default() },
            _ => self.clone(),
        }
    }

    fn expect_revision(&self, wanted: Option<u64>) -> Result<(), Error> {
        match wanted {
            Some(wanted) if wanted != self.revision => {
                Err(Error::RevisionMismatch { revision: self.revision, wanted })
            }
            _ => Ok(()),
        }
    }

    fn with(&self, value: Option<Json>, expires_at_ms: Option<u64>) -> Result<Self, Error> {
        match value.as_ref().map_or(0, Json::bytes) {
            0..=DOCUMENT_BYTES_MAX => Ok(Self { revision: self.revision + 1, value, expires_at_ms }),
            bytes => Err(Error::TooLarge(bytes)),
        }
    }

    fn merged(&self, patch: &Json) -> Json {
        let target = self.value.as_ref().map_or(Value::Null, Json::value);
        Json::new(&merge(target, patch.value())).expect("a merge is as deep as the deeper of its two parts")
    }

    fn become_next(&self, next: Self, context: &mut Context<'_, Self>) -> Written {
        let written = Written { revision: next.revision, exists: next.value.is_some() };
        match next.expires_at_ms {
            at_ms if at_ms == self.expires_at_ms => {}
            Some(at_ms) => context.set_timer_at(EXPIRE, at_ms, &Command::Expire {}),
            None => context.cancel_timer(EXPIRE),
        }
        if next != *self {
            context.save(next);
        }
        written
    }

    fn found(&self) -> Found {
        Found {
            revision: self.revision,
            exists: self.value.is_some(),
            value: self.value.clone().unwrap_or_default(),
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// `MergePatch` of RFC 7396, section 2.
fn merge(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut merged = match target {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (name, change) in patch {
        if change.is_null() {
            merged.remove(&name);
        } else {
            let old = merged.remove(&name).unwrap_or_default();
            merged.insert(name, merge(old, change));
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{entity::TimerChange, kinds::scene::Scene};

    fn json_of(value: Value) -> Json {
        Json::new(&value).unwrap()
    }

    fn mismatch(revision: u64, wanted: u64) -> Error {
        Error::RevisionMismatch { revision, wanted }
    }

    #[test]
    fn a_value_is_put_merged_read_and_deleted() {
        let mut scene = Scene::<Document>::new("d");
        assert_eq!(
            scene.ask(r#"{"get": {}}"#),
            json!({"revision": 0, "exists": false, "value": null, "expires_at_ms": null})
        );
        assert_eq!(
            scene.ask(r#"{"put": {"value": {"a": 1, "b": 2}}}"#),
            json!({"revision": 1, "exists": true})
        );
        assert_eq!(
            scene.ask(r#"{"merge": {"patch": {"a": null, "c": 3}}}"#),
            json!({"revision": 2, "exists": true})
        );
        assert_eq!(scene.ask(r#"{"get": {}}"#)["value"], json!({"b": 2, "c": 3}));
        assert_eq!(scene.ask(r#"{"delete": {}}"#), json!({"revision": 3, "exists": false}));
        assert_eq!(scene.ask(r#"{"delete": {}}"#), json!({"revision": 3, "exists": false}));
    }

    #[test]
    fn a_null_that_was_put_exists() {
        let mut scene = Scene::<Document>::new("d");
        scene.ask(r#"{"put": {"value": null}}"#);
        assert_eq!(scene.ask(r#"{"get": {}}"#)["exists"], json!(true));
    }

    /// Delete and write again must not bring back a revision that somebody still holds.
    #[test]
    fn a_stale_revision_never_hits_again_after_a_delete() {
        let mut scene = Scene::<Document>::new("d");
        scene.ask(r#"{"put": {"value": 1}}"#);
        scene.ask(r#"{"delete": {"if_revision": 1}}"#);
        scene.ask(r#"{"put": {"value": 2}}"#);
        let stale = scene.try_ask(r#"{"put": {"value": 3, "if_revision": 1}}"#);
        assert_eq!(stale, Err(mismatch(3, 1)));
        assert_eq!(scene.try_ask(r#"{"put": {"value": 3, "if_revision": 0}}"#), Err(mismatch(3, 0)));
        assert_eq!(scene.ask(r#"{"get": {}}"#)["value"], json!(2));
    }

    #[test]
    fn time_over_is_seen_at_once_and_looks_the_same_when_the_timer_comes() {
        let mut scene = Scene::<Document>::new("d");
        scene.ask(r#"{"put": {"value": 1, "ttl_ms": 1000}}"#);
        assert!(
            matches!(scene.timers(), [TimerChange::Set { at_ms, .. }] if *at_ms == scene.now_ms() + 1000)
        );

        scene.advance(999);
        assert_eq!(scene.ask(r#"{"expire": {}}"#), json!({"revision": 1, "exists": true}));
        scene.advance(1);
        let late = scene.ask(r#"{"get": {}}"#);
        assert_eq!((&late["exists"], &late["revision"]), (&json!(false), &json!(2)));
        scene.ask(r#"{"expire": {}}"#);
        assert_eq!(scene.ask(r#"{"get": {}}"#), late);
    }

    #[test]
    fn a_put_without_ttl_ends_the_time_to_live_and_a_merge_keeps_it() {
        let mut scene = Scene::<Document>::new("d");
        scene.ask(r#"{"put": {"value": {}, "ttl_ms": 1000}}"#);
        let expires_at = scene.ask(r#"{"get": {}}"#)["expires_at_ms"].clone();
        scene.ask(r#"{"merge": {"patch": {"a": 1}}}"#);
        assert!(scene.timers().is_empty());
        assert_eq!(scene.ask(r#"{"get": {}}"#)["expires_at_ms"], expires_at);

        scene.ask(r#"{"put": {"value": {}}}"#);
        assert_eq!(scene.timers(), [TimerChange::Cancel { name: EXPIRE.into() }]);
    }

    #[test]
    fn a_value_that_is_too_large_is_refused() {
        let mut scene = Scene::<Document>::new("d");
        scene.ask(r#"{"put": {"value": {"a": 1}}}"#);
        let large = json!({"merge": {"patch": {"b": "x".repeat(DOCUMENT_BYTES_MAX)}}}).to_string();
        assert!(matches!(scene.try_ask(&large), Err(Error::TooLarge(_))));
        assert_eq!(scene.ask(r#"{"get": {}}"#)["value"], json!({"a": 1}));
    }

    /// Appendix A of RFC 7396.
    #[test]
    fn merge_does_what_the_rfc_lists() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (target, patch, expected) in cases {
            assert_eq!(merge(target.clone(), patch.clone()), expected, "{target} + {patch}");
        }
    }

    /// What a step of the property test does.
    #[derive(Clone, Debug)]
    enum Step {
        Put { value: u8, if_revision: Option<u64>, ttl_ms: Option<u64> },
        Delete,
        Wait(u64),
        Timer,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let put = (any::<u8>(), proptest::option::of(0..12u64), proptest::option::of(1..20u64))
            .prop_map(|(value, if_revision, ttl_ms)| Step::Put { value, if_revision, ttl_ms });
        let step = prop_oneof![4 => put, 1 => Just(Step::Delete), 3 => (1..15u64).prop_map(Step::Wait), 2 => Just(Step::Timer)];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        /// Whatever happens: it holds what was last put and is not over, revisions never come back, and a
        /// command with `if_revision` takes effect exactly if that is what a reader would have seen.
        #[test]
        fn it_behaves_like_a_value_with_an_end(steps in steps()) {
            let mut scene = Scene::<Document>::new("d");
            let (mut model, mut revision): (Option<(u8, u64)>, u64) = (None, 0);
            for step in steps {
                match step {
                    Step::Wait(ms) => scene.advance(ms),
                    Step::Timer => drop(scene.command(Command::Expire {})),
                    Step::Delete => { scene.command(Command::Delete { if_revision: None }).unwrap(); model = None; }
                    Step::Put { value, if_revision, ttl_ms } => {
                        let seen = scene.ask(r#"{"get": {}}"#)["revision"].as_u64().unwrap();
                        let put = Command::Put { value: json_of(json!(value)), if_revision, ttl_ms: ttl_ms.and_then(NonZeroU64::new) };
                        let done = scene.command(put).is_ok();
                        prop_assert_eq!(done, if_revision.is_none_or(|wanted| wanted == seen));
                        if done { model = Some((value, ttl_ms.map_or(u64::MAX, |ttl| scene.now_ms() + ttl))); }
                    }
                }
                model = model.filter(|(_, end)| *end > scene.now_ms());
                let found = scene.ask(r#"{"get": {}}"#);
                prop_assert_eq!(&found["value"], &json!(model.map(|(value, _)| value)));
                prop_assert!(found["revision"].as_u64().unwrap() >= revision);
                revision = found["revision"].as_u64().unwrap();
            }
        }
    }
}
