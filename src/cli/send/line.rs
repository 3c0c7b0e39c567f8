//! One command to send.

use playhouse_client::{EntityName, IdempotencyKey};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    identity::Identities,
    source::{LINE_BYTES_MAX, RawLine},
};

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Line {
    /// Counting from 1.
    pub(super) number: u64,
    /// To whom.
    pub(super) name: EntityName,
    /// What.
    pub(super) command: Box<RawValue>,
    /// Whether to wait for the commit only, not for a reply.
    pub(super) cast: bool,
    /// Makes every retry safe, and sending the file again.
    pub(super) id: IdempotencyKey,
}

impl Line {
    /// What it costs to keep it waiting, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.command.get().len() + 2 * self.name.key().len()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    kind: String,
    key: String,
    #[serde(borrow)]
    command: &'a RawValue,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    cast: bool,
    /// Why it failed before: lines of a file of failed lines can be sent as they are.
    #[serde(default, rename = "failed")]
    _failed: Option<IgnoredAny>,
}

/// Understands a line; `None` when it is blank.
///
/// # Errors
///
/// For people: what is wrong with it.
pub(super) fn parse(raw: &RawLine, identities: &mut Identities) -> Result<Option<Line>, String> {
    if raw.cut {
        return Err(format!("the line has more than {LINE_BYTES_MAX} bytes"));
    }
    if raw.bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let written: Written<'_> = serde_json::from_slice(&raw.bytes).map_err(|error| error.to_string())?;
    let name = EntityName::new(written.kind, written.key).map_err(|error| error.to_string())?;
    let id = match written.id {
        Some(id) => IdempotencyKey::new(id).map_err(|error| error.to_string())?,
        None => identities.next(&name, written.command.get(), written.cast),
    };
    Ok(Some(Line { number: raw.number, name, command: written.command.to_owned(), cast: written.cast, id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<Line>, String> {
        let raw = RawLine { number: 7, bytes: text.as_bytes().to_vec(), cut: false };
        parse(&raw, &mut Identities::repeatable())
    }

    #[test]
    fn a_line_names_an_entity_and_a_command() {
        let line = parse_text(r#"{"kind":"counter","key":"a","command":{"add": 1},"id":"mine","cast":true}"#);
        let line = line.unwrap().unwrap();
        assert_eq!((line.number, line.name.to_string().as_str(), line.cast), (7, "counter/a", true));
        assert_eq!((line.command.get(), line.id.as_str()), (r#"{"add": 1}"#, "mine"));
    }

    #[test]
    fn blank_lines_are_no_lines() {
        assert!(parse_text("").unwrap().is_none());
        assert!(parse_text("  \t\r").unwrap().is_none());
    }

    #[test]
    fn a_failed_line_can_be_sent_as_it_was_kept() {
        let line =
            parse_text(r#"{"kind":"k","key":"a","command":1,"id":"x","failed":{"line":3,"reason":"r"}}"#);
        assert_eq!(line.unwrap().unwrap().id.as_str(), "x");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let reason = |text: &str| parse_text(text).unwrap_err();
        assert!(reason("{").contains("EOF"));
        assert!(reason(r#"{"kind":"k","key":"a"}"#).contains("command"));
        assert!(reason(r#"{"kind":"k","key":"a","comand":1}"#).contains("comand"));
        assert!(reason(r#"{"kind":"K","key":"a","command":1}"#).contains("kind \"K\""));
        assert!(reason(r#"{"kind":"k","key":"","command":1}"#).contains("key is empty"));
        assert!(reason(r#"{"kind":"k","key":"a","command":1,"id":"two words"}"#).contains("idempotency"));
        assert!(reason("{\"kind\":\"\u{fffd}").contains("EOF"));
        assert!(
            parse(&RawLine { number: 1, bytes: vec![0xff], cut: false }, &mut Identities::repeatable())
                .is_err()
        );
        assert!(
            parse(&RawLine { number: 1, bytes: vec![], cut: true }, &mut Identities::repeatable()).is_err()
        );
    }
}
