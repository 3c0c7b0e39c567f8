//! Sizes for people: `64MiB`.

use std::fmt;

/// A number of bytes.
///
/// ```
/// use playhouse::config::ByteSize;
///
/// assert_eq!(ByteSize::parse("64MiB"), Some(ByteSize(67_108_864)));
/// assert_eq!(ByteSize(1536).to_string(), "1536");
/// assert_eq!(ByteSize(2048).to_string(), "2KiB");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// `M` alone is missing on purpose: people mean different things by it.
const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// Reads whole bytes (`4096`) or a number with a unit (`1.5GiB`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
        let (number, factor) = unit.unwrap_or((text, 1));
        let number = number.trim_end();
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !plain {
            return None;
        }
        match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(factor).map(Self),
            Err(_) => fraction(number, factor),
        }
    }

    /// As a length in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn fraction(number: &str, factor: u64) -> Option<ByteSize> {
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    let exact = bytes.fract() == 0.0 && bytes < 9e15;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole, positive and below 2^53.
    exact.then_some(ByteSize(bytes as u64))
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS.iter().take(4);
        match binary.into_iter().find(|(_, factor)| self.0 >= *factor && self.0 % factor == 0) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(ByteSize::parse("1.5GiB"), Some(ByteSize(1_610_612_736)));
        assert_eq!(ByteSize::parse("10 MB"), Some(ByteSize(10_000_000)));
        assert_eq!(ByteSize::parse("512Mi"), Some(ByteSize(536_870_912)));
        for text in ["", "MiB", "64M", "-1", "1e3", "0.3B", "99999999999TiB", "1.2.3KiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for bytes in [0, 1, 1000, 1024, 1 << 20, (1 << 20) + 1, 3 << 40] {
            assert_eq!(ByteSize::parse(&ByteSize(bytes).to_string()), Some(ByteSize(bytes)));
        }
    }
}
