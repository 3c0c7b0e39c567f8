//! The name of a pod of a StatefulSet, and its ordinal.

use std::{fmt, str::FromStr};

/// Longest name, in bytes: it is also a host name, which DNS bounds.
pub const POD_NAME_BYTES_MAX: usize = 63;

/// The name of a pod of a StatefulSet: the name of the set, a dash, and the ordinal. The node is named so too.
///
/// ```
/// use playhouse_statefulset::PodName;
///
/// let name: PodName = "playhouse-2".parse().unwrap();
/// assert_eq!((name.set(), name.ordinal()), ("playhouse", 2));
/// assert_eq!(name.sibling(0).unwrap().to_string(), "playhouse-0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    set: String,
    ordinal: u32,
}

/// Why a name is not one of a pod of a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodNameError {
    /// DNS would refuse it.
    #[error("{bytes} bytes, at most {POD_NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A pod of another workload is named so, such as one of a Deployment; its name changes with each restart.
    #[error(
        "{name:?} does not end with a dash and an ordinal, such as `playhouse-0`; nodes must run in a StatefulSet"
    )]
    NoOrdinal {
        /// What was given.
        name: String,
    },
    /// Not a DNS label.
    #[error("{name:?}: a name has lower-case letters, digits and dashes, and starts with a letter or digit")]
    NotALabel {
        /// What was given.
        name: String,
    },
}

impl PodName {
    /// The pod of the set `set` with that ordinal.
    ///
    /// # Errors
    ///
    /// When the result would not be a name that DNS knows.
    pub fn new(set: &str, ordinal: u32) -> Result<Self, PodNameError> {
        format!("{set}-{ordinal}").parse()
    }

    /// The name of the StatefulSet.
    #[must_use]
    pub fn set(&self) -> &str {
        &self.set
    }

    /// Which pod of the set it is.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Another pod of the same set.
    ///
    /// # Errors
    ///
    /// When its ordinal makes the name too long.
    pub fn sibling(&self, ordinal: u32) -> Result<Self, PodNameError> {
        Self::new(&self.set, ordinal)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.set, self.ordinal)
    }
}

impl FromStr for PodName {
    type Err = PodNameError;

    fn from_str(name: &str) -> Result<Self, PodNameError> {
        if name.len() > POD_NAME_BYTES_MAX {
            return Err(PodNameError::TooLong { bytes: name.len() });
        }
        let no_ordinal = || PodNameError::NoOrdinal { name: name.to_owned() };
        let (set, digits) = name.rsplit_once('-').ok_or_else(no_ordinal)?;
        let ordinal = parse_ordinal(digits).ok_or_else(no_ordinal)?;
        if !is_label(set) {
            return Err(PodNameError::NotALabel { name: name.to_owned() });
        }
        Ok(Self { set: set.to_owned(), ordinal })
    }
}

/// `01` is not an ordinal: two spellings would be two nodes.
fn parse_ordinal(digits: &str) -> Option<u32> {
    let is_canonical = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_canonical)
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<(String, u32), PodNameError> {
        name.parse::<PodName>().map(|name| (name.set.clone(), name.ordinal))
    }

    #[test]
    fn the_ordinal_follows_the_last_dash() {
        assert_eq!(parse("playhouse-0"), Ok(("playhouse".to_owned(), 0)));
        assert_eq!(parse("play-house-blue-12"), Ok(("play-house-blue".to_owned(), 12)));
        assert_eq!(parse("a-4294967295"), Ok(("a".to_owned(), u32::MAX)));
    }

    #[test]
    fn what_was_parsed_is_written_the_same() {
        for name in ["playhouse-0", "3-3", "play-house-10"] {
            assert_eq!(name.parse::<PodName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_pod_that_has_no_ordinal_is_refused() {
        for name in [
            "",
            "playhouse",
            "playhouse-",
            "playhouse-7d9c5b8f4-x2x7p",
            "playhouse-4294967296",
            "p-+1",
            "p-01",
        ] {
            assert_eq!(parse(name), Err(PodNameError::NoOrdinal { name: name.to_owned() }));
        }
    }

    #[test]
    fn a_name_that_dns_would_refuse_is_refused() {
        for name in ["-0", "Playhouse-0", "play_house-0", "play.house-0", "-p-0", "p--0", "pläy-0"] {
            assert_eq!(parse(name), Err(PodNameError::NotALabel { name: name.to_owned() }));
        }
        let longest = format!("{}-0", "p".repeat(POD_NAME_BYTES_MAX - 2));
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("p{longest}")), Err(PodNameError::TooLong { bytes: 64 }));
    }

    #[test]
    fn a_sibling_keeps_the_set() {
        let name = PodName::new("play-house", 9).unwrap();
        assert_eq!(name.sibling(10).unwrap().to_string(), "play-house-10");
        let longest = PodName::new(&"p".repeat(61), 9).unwrap();
        assert_eq!(longest.sibling(10), Err(PodNameError::TooLong { bytes: 64 }));
    }
}
