//! What a client may send: one JSON object per text frame.

use std::borrow::Cow;

use compact_str::CompactString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Longest id that a client may choose, in bytes of JSON.
const ID_BYTES_MAX: usize = 128;

/// What the client calls a request: a string or a number, exactly as it wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(CompactString);

impl Id {
    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// A frame that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which name the answers carry.
    pub id: Id,
    /// What is asked.
    pub ask: Ask,
}

/// What a client can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A command whose reply is awaited.
    Call(Command),
    /// A command whose commit is awaited.
    Cast(Command),
    /// Items of an entity.
    Subscribe(Subscribe),
    /// No more items.
    Unsubscribe,
}

/// A command and its target, not yet checked against the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Kind of the target.
    pub kind: CompactString,
    /// Key of the target.
    pub key: CompactString,
    /// JSON, exactly as the client wrote it.
    pub command: String,
    /// How long the client waits.
    pub timeout_ms: Option<u64>,
    /// As the header of the same name.
    pub idempotency_key: Option<String>,
}

/// Which items.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Kind of the publisher.
    pub kind: String,
    /// Key of the publisher.
    pub key: String,
    /// Items behind this revision; absent: from now on.
    pub after: Option<u64>,
}

/// A frame that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameFault {
    /// If at least that could be read.
    pub id: Option<Id>,
    /// JSON path of the fault.
    pub path: &'static str,
    /// What is wrong there.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call: Option<&'a RawValue>,
    #[serde(borrow)]
    cast: Option<&'a RawValue>,
    #[serde(borrow)]
    subscribe: Option<&'a RawValue>,
    #[serde(borrow)]
    unsubscribe: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommand<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    command: &'a RawValue,
    timeout_ms: Option<u64>,
    #[serde(borrow)]
    idempotency_key: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Reads a frame. Pure, and safe for any input: a fuzz target calls it.
///
/// ```
/// use playhouse::gateway::websocket::frame::{Ask, parse};
///
/// let frame = parse(r#"{"id":1,"call":{"kind":"counter","key":"visits","command":{"add":1}}}"#).unwrap();
/// assert_eq!(frame.id.as_json(), "1");
/// assert!(matches!(frame.ask, Ask::Call(call) if call.command == r#"{"add":1}"#));
/// ```
///
/// # Errors
///
/// [`FrameFault`], to be told to the client.
pub fn parse(text: &str) -> Result<Frame, FrameFault> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| FrameFault {
        id: None,
        path: ".",
        message: error.to_string(),
    })?;
    let id = id(envelope.id)?;
    match ask(&envelope) {
        Ok(ask) => Ok(Frame { id, ask }),
        Err((path, message)) => Err(FrameFault { id: Some(id), path, message }),
    }
}

fn id(raw: Option<&RawValue>) -> Result<Id, FrameFault> {
    let text = raw.map_or("null", RawValue::get);
    let name = text.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'));
    if name && text.len() <= ID_BYTES_MAX {
        return Ok(Id(text.into()));
    }
    let message = format!("the id must be a string or a number of at most {ID_BYTES_MAX} bytes");
    Err(FrameFault { id: None, path: ".id", message })
}

fn ask(envelope: &Envelope<'_>) -> Result<Ask, (&'static str, String)> {
    match (envelope.call, envelope.cast, envelope.subscribe, envelope.unsubscribe) {
        (Some(call), None, None, None) => command(call).map(Ask::Call).map_err(at(".call")),
        (None, Some(cast), None, None) => command(cast).map(Ask::Cast).map_err(at(".cast")),
        (None, None, Some(wish), None) => read(wish).map(Ask::Subscribe).map_err(at(".subscribe")),
        (None, None, None, Some(end)) => {
            read::<Nothing>(end).map(|_| Ask::Unsubscribe).map_err(at(".unsubscribe"))
        }
        _ => Err((".", "there must be exactly one of call, cast, subscribe and unsubscribe".to_owned())),
    }
}

fn at(path: &'static str) -> impl FnOnce(serde_json::Error) -> (&'static str, String) {
    move |error| (path, error.to_string())
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> serde_json::Result<T> {
    serde_json::from_str(raw.get())
}

fn command(raw: &RawValue) -> serde_json::Result<Command> {
    let raw: RawCommand<'_> = serde_json::from_str(raw.get())?;
    Ok(Command {
        kind: raw.kind.into(),
        key: raw.key.into(),
        command: raw.command.get().to_owned(),
        timeout_ms: raw.timeout_ms,
        idempotency_key: raw.idempotency_key.map(Cow::into_owned),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever arrives, it is read or refused; what is refused can be told.
        #[test]
        fn no_text_is_too_strange(text in ".{0,200}", inner in r#"[\[\]{}",:a-z0-9\\ ]{0,40}"#) {
            let _ = parse(&text);
            for field in ["call", "cast", "subscribe", "unsubscribe"] {
                if let Err(fault) = parse(&format!(r#"{{"id":1,"{field}":{inner}}}"#)) {
                    prop_assert!(!fault.message.is_empty());
                }
            }
        }
    }

    #[test]
    fn every_form_of_the_contract_is_read() {
        let call = r#"{"id":"a","call":{"kind":"k","key":"\u00e4","command":[1, 2],"timeout_ms":5,"idempotency_key":"i"}}"#;
        let Ask::Call(command) = parse(call).unwrap().ask else { panic!("not a call") };
        assert_eq!((command.key.as_str(), command.command.as_str()), ("ä", "[1, 2]"));
        assert_eq!((command.timeout_ms, command.idempotency_key.as_deref()), (Some(5), Some("i")));
        let subscribe = parse(r#"{"id":3,"subscribe":{"kind":"room","key":"lobby","after":17}}"#).unwrap();
        let wish = Subscribe { kind: "room".into(), key: "lobby".into(), after: Some(17) };
        assert_eq!((subscribe.id.as_json(), subscribe.ask), ("3", Ask::Subscribe(wish)));
        assert_eq!(parse(r#"{"id":-1.5,"unsubscribe":{}}"#).unwrap().ask, Ask::Unsubscribe);
        assert!(matches!(
            parse(r#"{"id":1,"cast":{"kind":"k","key":"y","command":null}}"#).unwrap().ask,
            Ask::Cast(_)
        ));
    }

    #[test]
    fn a_fault_keeps_the_id_if_it_could_be_read() {
        for (text, id, path) in [
            ("", None, "."),
            ("[]", None, "."),
            ("{\"id\":1", None, "."),
            ("{}", None, ".id"),
            (r#"{"id":null,"unsubscribe":{}}"#, None, ".id"),
            (r#"{"id":{},"unsubscribe":{}}"#, None, ".id"),
            (r#"{"id":1}"#, Some("1"), "."),
            (r#"{"id":1,"shout":{}}"#, None, "."),
            (r#"{"id":1,"call":{},"cast":{}}"#, Some("1"), "."),
            (r#"{"id":1,"call":{"kind":"k","key":"y"}}"#, Some("1"), ".call"),
            (r#"{"id":1,"call":{"kind":"k","key":"y","command":1,"timeout":5}}"#, Some("1"), ".call"),
            (r#"{"id":1,"subscribe":{"kind":"k","key":"y","after":-1}}"#, Some("1"), ".subscribe"),
            (r#"{"id":1,"unsubscribe":1}"#, Some("1"), ".unsubscribe"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.id.as_ref().map(Id::as_json), fault.path), (id, path), "{text}");
        }
        assert!(parse(&format!(r#"{{"id":"{}","unsubscribe":{{}}}}"#, "x".repeat(127))).is_err());
    }
}
