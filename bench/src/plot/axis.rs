//! An axis: where a value lies, and which values are named. Logarithmic where the values span more than a decade.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// From how much on, as a ratio of the largest to the smallest value, an axis is logarithmic.
const SPAN_MIN: f64 = 16.0;
/// More names than these cannot be read.
const TICKS_MAX: usize = 12;

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    is_logarithmic: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis for values that are measured: it has 0 on it, or begins at a round value where they span more than a decade.
    pub(super) fn of_values(values: &[f64]) -> Self {
        let (min, max) = bounds(values);
        if is_wide(min, max) { Self::decades(min, max) } else { Self::with_zero(min.min(0.0), max) }
    }

    /// An axis for places that are chosen: these are named, and nothing else.
    pub(super) fn of_places(places: &[f64]) -> Self {
        let (min, max) = bounds(places);
        let mut ticks = places.to_vec();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        thin(&mut ticks);
        if is_wide(min, max) {
            return Self { from: min / 1.15, to: max * 1.15, is_logarithmic: true, ticks };
        }
        let room = ((max - min) * 0.05).max(max.abs() * 0.01).max(0.01);
        Self { from: min - room, to: max + room, is_logarithmic: false, ticks }
    }

    /// An axis for ratios, with 1 on it.
    pub(super) fn of_ratios(ratios: &[f64]) -> Self {
        let (min, max) = bounds(ratios);
        Self::decades(min.min(0.5), max.max(2.0))
    }

    fn with_zero(min: f64, max: f64) -> Self {
        let max = if max > min { max } else { min + 1.0 };
        let step = round_up((max - min) / 6.0);
        let (first, last) = ((min / step).floor() as i32, (max / step).ceil() as i32);
        let ticks: Vec<_> = (first..=last).map(|number| f64::from(number) * step).collect();
        Self { from: ticks[0], to: ticks[ticks.len() - 1], is_logarithmic: false, ticks }
    }

    fn decades(min: f64, max: f64) -> Self {
        let (from, to) = (round_down(min), round_up(max));
        let mut ticks = Vec::new();
        let mut tick = from;
        // Half a step more than the end, which is rounded.
        while tick < to * 1.2 {
            ticks.push(tick);
            tick = round_up(tick * 1.5);
        }
        if ticks.len() > TICKS_MAX {
            ticks.retain(|tick| is_power_of_ten(*tick));
        }
        thin(&mut ticks);
        Self { from, to, is_logarithmic: true, ticks }
    }

    /// The values that are named.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where a value lies: 0 at the beginning, 1 at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_logarithmic { value.ln() } else { value };
        let (from, to) = (scale(self.from), scale(self.to));
        (scale(value.clamp(self.from, self.to)) - from) / (to - from)
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (self.place(*value) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    (min, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn is_wide(min: f64, max: f64) -> bool {
    min > 0.0 && max / min >= SPAN_MIN
}

/// Every second one until they can be read.
fn thin(ticks: &mut Vec<f64>) {
    while ticks.len() > TICKS_MAX {
        let mut keep = false;
        ticks.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The next of 1, 2, 5, 10, … that is not smaller.
fn round_up(value: f64) -> f64 {
    let power = power_below(value);
    let step = STEPS.iter().find(|step| **step * power >= value * 0.999_999);
    step.map_or(10.0 * power, |step| step * power)
}

/// The one before that is not larger.
fn round_down(value: f64) -> f64 {
    let power = power_below(value);
    let step = STEPS.iter().rev().find(|step| **step * power <= value * 1.000_001);
    step.map_or(power, |step| step * power)
}

fn power_below(value: f64) -> f64 {
    10f64.powi((value.log10() + 1e-9).floor() as i32)
}

fn is_power_of_ten(value: f64) -> bool {
    (value / power_below(value) - 1.0).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_within_a_decade_begin_at_zero() {
        let axis = Axis::of_values(&[30.0, 55.0]);
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!((axis.place(0.0), axis.place(30.0), axis.place(60.0)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn values_over_decades_are_logarithmic() {
        let axis = Axis::of_values(&[3.0, 900.0]);
        assert_eq!(axis.ticks(), [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert!((axis.place(10.0) - axis.place(5.0) - (axis.place(1000.0) - axis.place(500.0))).abs() < 1e-9);
        let wide = Axis::of_values(&[1.0, 1e9]);
        assert_eq!(wide.ticks(), (0..=9).map(|power| 10f64.powi(power)).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_named_as_they_were_chosen() {
        let axis = Axis::of_places(&[1024.0, 16.0, 64.0, 64.0]);
        assert_eq!(axis.ticks(), [16.0, 64.0, 1024.0]);
        assert!(axis.place(16.0) > 0.0 && axis.place(1024.0) < 1.0);
        let single = Axis::of_places(&[3.0]);
        assert!((0.0..=1.0).contains(&single.place(3.0)), "{single:?}");
    }

    #[test]
    fn what_costs_less_than_nothing_is_below_zero() {
        let axis = Axis::of_values(&[-3.0, 5.0]);
        assert_eq!(axis.ticks(), [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn nothing_measured_still_has_an_axis() {
        let axis = Axis::of_values(&[0.0, 0.0]);
        assert_eq!(axis.place(0.0), 0.0);
        assert!(axis.ticks().len() > 1);
    }

    #[test]
    fn one_lies_on_an_axis_of_ratios() {
        for ratios in [vec![0.01], vec![300.0], vec![0.9, 1.1]] {
            let place = Axis::of_ratios(&ratios).place(1.0);
            assert!(place > 0.0 && place < 1.0, "{ratios:?}: {place}");
        }
    }

    #[test]
    fn an_axis_never_names_more_than_can_be_read() {
        for power in 1..30 {
            let axis = Axis::of_values(&[1.0, 10f64.powi(power)]);
            assert!(axis.ticks().len() <= TICKS_MAX, "{axis:?}");
        }
    }
}
