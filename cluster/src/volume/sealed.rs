//! Text that a person can read and a checksum seals.
//!
//! ```text
//! <title>
//! <name> = <value>         any number of lines
//! checksum = <xxh3_64 of all bytes above, 16 hexadecimal digits>
//! ```

use std::fmt::Display;

use xxhash_rust::xxh3::xxh3_64;

const CHECKSUM: &str = "checksum";

/// Why a text is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// It is another file.
    #[error("it does not begin with \"{0}\"")]
    Title(&'static str),
    /// It was cut, or edited.
    #[error("its checksum is missing or wrong")]
    Checksum,
    /// A line is no field.
    #[error("line \"{0}\" is no field")]
    Line(String),
}

/// Fields in the order in which they were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    title: &'static str,
    fields: Vec<(String, String)>,
}

impl Sealed {
    /// No field yet.
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, fields: Vec::new() }
    }

    /// Adds a field. Neither may hold a line break.
    pub(crate) fn set(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        debug_assert!(!name.contains(['\n', '=']) && !value.contains('\n'));
        self.fields.push((name.to_owned(), value));
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// With the checksum.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name} = {value}\n"));
        }
        let checksum = xxh3_64(text.as_bytes());
        text.push_str(&format!("{CHECKSUM} = {checksum:016x}\n"));
        text
    }

    /// Checks and reads a text.
    pub(crate) fn parse(title: &'static str, text: &str) -> Result<Self, Damage> {
        let body = text.strip_prefix(title).and_then(|rest| rest.strip_prefix('\n'));
        let body = body.ok_or(Damage::Title(title))?;
        let seal = body.rfind(&format!("{CHECKSUM} = ")).ok_or(Damage::Checksum)?;
        let mut sealed = Self::new(title);
        for line in body[..seal].lines() {
            let (name, value) = line.split_once(" = ").ok_or_else(|| Damage::Line(line.to_owned()))?;
            sealed.fields.push((name.to_owned(), value.to_owned()));
        }
        if sealed.to_text() == text { Ok(sealed) } else { Err(Damage::Checksum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Sealed {
        let mut sealed = Sealed::new("title");
        sealed.set("a", 1);
        sealed.set("b", "x = y");
        sealed
    }

    #[test]
    fn what_was_sealed_is_read_again() {
        assert_eq!(Sealed::parse("title", &sealed().to_text()), Ok(sealed()));
    }

    /// Whatever byte changes, or wherever the text is cut, it is noticed.
    #[test]
    fn every_damage_is_noticed() {
        let text = sealed().to_text();
        for at in 0..text.len() {
            assert!(Sealed::parse("title", &text[..at]).is_err(), "cut at {at}");
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Sealed::parse("title", &changed).is_err(), "changed at {at}");
        }
    }
}
