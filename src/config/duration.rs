//! Durations for people: `1m30s`.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `250ms`, `10s`, `1m30s`, `1.5h`. The unit is never optional: seconds and milliseconds are mixed up too easily.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, behind) = rest.split_at(digits);
        let unit_end = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor as f64 / 1e3).ok()?;
        total = total.checked_add(part)?;
        rest = next;
    }
    (!total.is_zero()).then_some(total)
}

/// As [`parse`] reads it.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest / factor > 0 {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("1.5h"), Some(Duration::from_secs(5400)));
        for text in ["", "10", "s", "-1s", "10 s", "1e3s", "0s", "10s3", "5M", "1.2.3s"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for ms in [1, 999, 1_000, 61_001, 86_400_000, 90_061_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse(&show(duration)), Some(duration), "{}", show(duration));
        }
    }
}
