//! What a run must reach, such as `p95<10ms`, so that a script learns it from the exit code. Pure.

use std::{fmt, str::FromStr, time::Duration};

use super::Report;

/// A bound on one figure of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    figure: Figure,
    relation: Relation,
    /// In microseconds, per second, per cent, or a count.
    bound: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// Of good answers.
    Min,
    /// Of good answers.
    Mean,
    /// Of all requests: one that failed is slower than any that was answered.
    Quantile(f64),
    /// Failed requests.
    Errors,
    /// Failed requests, per cent of those intended.
    ErrorShare,
    /// Answers per second.
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Equal,
    AtLeast,
    Above,
}

/// Longer signs first: `<=` begins with `<`.
const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Below),
    (">", Relation::Above),
    ("=", Relation::Equal),
];

/// Why something is no requirement. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no requirement: {reason}; write one such as p95<10ms, max<=1s, errors=0, errors<0.1% or rate>=20000"
)]
pub struct RequirementError {
    text: String,
    reason: &'static str,
}

impl Requirement {
    /// The figure in a report, in the unit of the bound; `None` when nothing was measured that could have it, or, for `pN` and `max`, when
    /// too many requests failed for any answer to be the one.
    #[must_use]
    pub fn observe(&self, report: &Report) -> Option<f64> {
        let latencies = report.latencies();
        let us = |latency: Option<Duration>| latency.map(|latency| latency.as_secs_f64() * 1e6);
        match self.figure {
            Figure::Min => us(latencies.min()),
            Figure::Mean => us(latencies.mean()),
            Figure::Quantile(share) => us(report.answered_within(share)),
            Figure::Errors => Some(report.counts.failed as f64),
            Figure::ErrorShare if report.counts.intended == 0 => None,
            Figure::ErrorShare => Some(100.0 * report.counts.failed as f64 / report.counts.intended as f64),
            Figure::Rate => Some(report.answered_per_second),
        }
    }

    /// Whether a report meets it. Where nothing was measured, nothing is met.
    #[must_use]
    pub fn is_met(&self, report: &Report) -> bool {
        self.observe(report).is_some_and(|value| self.relation.holds(value, self.bound))
    }

    /// The figure of a report, for people.
    #[must_use]
    pub fn observed(&self, report: &Report) -> String {
        let failed = report.counts.failed;
        match (self.observe(report), self.figure) {
            (None, Figure::Quantile(_)) if failed > 0 => format!("never: {}", failures(report)),
            (None, _) => "not measured".to_owned(),
            (Some(value), Figure::Errors) => format!("{value:.0}"),
            (Some(value), Figure::ErrorShare) => format!("{value:.3}%"),
            (Some(value), Figure::Rate) => format!("{value:.0} per second"),
            (Some(us), _) if failed > 0 => format!("{:.3} ms, {}", us / 1e3, failures(report)),
            (Some(us), _) => format!("{:.3} ms", us / 1e3),
        }
    }
}

fn failures(report: &Report) -> String {
    format!("{} of {} failed", report.counts.failed, report.counts.intended)
}

impl Relation {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            // Counts are whole; who asks for equal latencies gets what the histogram can tell apart.
            Self::Equal => (value - bound).abs() <= f64::EPSILON * bound.abs(),
            Self::AtLeast => value >= bound,
            Self::Above => value > bound,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let error = |reason| RequirementError { text: text.to_owned(), reason };
        let found = RELATIONS
            .iter()
            .find_map(|(sign, relation)| text.split_once(sign).map(|parts| (parts, *relation)));
        let ((name, bound), relation) = found.ok_or_else(|| error("it has none of < <= = >= >"))?;
        let (name, bound) = (name.trim(), bound.trim());
        let (figure, bound) = match name {
            "errors" if bound.ends_with('%') => (Figure::ErrorShare, number(bound.trim_end_matches('%'))),
            "errors" => (Figure::Errors, number(bound)),
            "rate" => (Figure::Rate, number(bound)),
            latency => (figure(latency).ok_or_else(|| error("there is no such figure"))?, micros(bound)),
        };
        let bound = bound.ok_or_else(|| error("its bound has not the form of the figure"))?;
        Ok(Self { figure, relation, bound, text: text.to_owned() })
    }
}

fn figure(name: &str) -> Option<Figure> {
    match name {
        "min" => Some(Figure::Min),
        "mean" => Some(Figure::Mean),
        "max" => Some(Figure::Quantile(1.0)),
        name => {
            let share = number(name.strip_prefix('p')?)?;
            (share > 0.0 && share <= 100.0).then_some(Figure::Quantile(share / 100.0))
        }
    }
}

fn micros(text: &str) -> Option<f64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (value, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "us" | "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number(value)? * factor)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::report::tests::report;

    fn met(text: &str, report: &Report) -> bool {
        text.parse::<Requirement>().unwrap().is_met(report)
    }

    /// 99 answers of 1 to 99 ms, and one failure.
    #[test]
    fn requirements_are_held_against_the_report() {
        let report = report((1..=99).map(Duration::from_millis), 1);
        for text in ["p50<51ms", "p50>=49ms", "p99<=100ms", "min>=1ms", "mean<51ms", "errors=1"] {
            assert!(met(text, &report), "{text}");
        }
        for text in ["errors<=1%", "p98.9 < 0.2 s", "p98<200000us", "rate>=9.9", "rate<10"] {
            assert!(met(text, &report), "{text}");
        }
        for text in ["p50<40ms", "errors=0", "errors<1%", "max<50ms", "rate>10", "p100<98ms"] {
            assert!(!met(text, &report), "{text}");
        }
    }

    #[test]
    fn what_failed_is_slower_than_any_answer() {
        let report = report((1..=60).map(Duration::from_millis), 40);
        for text in ["p95<10s", "max<10s", "p61<10s", "p95>0ms"] {
            assert!(!met(text, &report), "{text}");
        }
        assert!(met("p60<61ms", &report));
        let observed = |text: &str| text.parse::<Requirement>().unwrap().observed(&report);
        assert_eq!(observed("p95<10s"), "never: 40 of 100 failed");
        assert_eq!(observed("min<10s"), "1.000 ms, 40 of 100 failed");
    }

    /// A gate that passes because nothing came is worse than none.
    #[test]
    fn where_nothing_was_measured_nothing_is_met() {
        let report = report([], 0);
        for text in ["p95<10ms", "p95>0ms", "max<1s", "errors<1%", "rate>0"] {
            assert!(!met(text, &report), "{text}");
        }
        assert!(met("errors=0", &report));
        assert_eq!("p95<10ms".parse::<Requirement>().unwrap().observed(&report), "not measured");
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in
            ["", "p95", "p95<", "p95<10", "p95<10h", "p0<1ms", "p101<1ms", "px<1ms", "errors<1ms", "rate>x"]
        {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
        for text in ["p95<-1ms", "errors=nan", "rate>inf", "fast", "p95!10ms"] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,20}") {
            if let Ok(requirement) = text.parse::<Requirement>() {
                prop_assert_eq!(requirement.to_string(), text);
            }
        }
    }
}
