//! Durations as people type them.

use std::time::Duration;

/// The longest that can be given.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads `250ms`, `10s`, `2m`, `1h`, or a bare number of seconds, each perhaps with a fraction.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let malformed = || format!("{text:?} is not a duration such as 250ms, 10s, 2m or 1h");
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(malformed()),
    };
    let number: f64 = number.parse().map_err(|_| malformed())?;
    let duration = Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| malformed())?;
    if duration.is_zero() || duration > DURATION_MAX {
        return Err(format!("{text:?} is outside of 1 ns to 24 h"));
    }
    Ok(duration)
}

/// For people: three digits or so.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min {:.0} s", (s.round() / 60.0).floor(), s.round() % 60.0),
        s if s < 360_000.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let millis = |text| parse(text).unwrap().as_millis();
        assert_eq!(
            [millis("250ms"), millis("10"), millis("1.5s"), millis("2m"), millis("1h")],
            [250, 10_000, 1_500, 120_000, 3_600_000]
        );
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "0", "-1", "1d", "1e9", "ten", "25h", "1.2.3s", "10 s", "nan"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_shown_with_a_fitting_unit() {
        let show = |seconds| show(Duration::from_secs_f64(seconds));
        assert_eq!(show(0.00025), "250 µs");
        assert_eq!(show(0.0123), "12.3 ms");
        assert_eq!(show(0.5), "500 ms");
        assert_eq!(show(12.34), "12.3 s");
        assert_eq!(show(236.7), "3 min 57 s");
        assert_eq!(show(119.7), "2 min 0 s");
        assert_eq!(show(7200.0), "2.0 h");
    }
}
