//! Ranks of two samples: how often chance would order them so, and how much larger one is than the other.

/// Above it the normal approximation is good, and counting takes long.
const COUNTED_MAX: usize = 40;

/// How often two samples from one source would be ordered as these are, or more so: the rank-sum test of Mann and Whitney, both sides.
/// Exact for up to [`COUNTED_MAX`] runs together, also where runs are equal.
pub(super) fn chance(old: &[f64], new: &[f64]) -> f64 {
    let ranks = doubled_ranks(old, new);
    let sum: usize = ranks[..old.len()].iter().sum();
    let (chosen, all) = (old.len() as f64, ranks.len() as f64);
    // Of the doubled ranks of the older sample.
    let expected = chosen * (all + 1.0);
    let off = (sum as f64 - expected).abs();
    if ranks.len() > COUNTED_MAX {
        return normal_chance(&ranks, old.len(), off);
    }
    let ways = ways(&ranks, old.len());
    let total: f64 = ways.iter().sum();
    let as_far = |at: usize| (at as f64 - expected).abs() >= off - 1e-9;
    let far: f64 = ways.iter().enumerate().filter(|(at, _)| as_far(*at)).map(|(_, ways)| ways).sum();
    (far / total).min(1.0)
}

/// Between what the ratio of new to old lies, with this chance to be wrong: the ordered ratios of all pairs without as many at each end as
/// the rank-sum test allows. `None` when a value is 0, or when there are too few to say anything.
pub(super) fn ratio_interval(old: &[f64], new: &[f64], chance_max: f64) -> Option<(f64, f64)> {
    if old.iter().chain(new).any(|value| *value <= 0.0) {
        return None;
    }
    let mut ratios: Vec<_> = new.iter().flat_map(|new| old.iter().map(move |old| new / old)).collect();
    ratios.sort_by(f64::total_cmp);
    let left_out = left_out(old.len(), new.len(), chance_max / 2.0)?;
    Some((ratios[left_out], ratios[ratios.len() - 1 - left_out]))
}

/// Twice the rank of each value among all, those of `old` first; equal ones share the mean of their ranks.
fn doubled_ranks(old: &[f64], new: &[f64]) -> Vec<usize> {
    let all: Vec<_> = old.iter().chain(new).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count();
        let equal = all.iter().filter(|other| *other == value).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// In how many ways so many of the ranks have each sum.
fn ways(ranks: &[usize], chosen: usize) -> Vec<f64> {
    let sum_max: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; sum_max + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for count in (1..=chosen).rev() {
            let (fewer, more) = ways.split_at_mut(count);
            let from = fewer[count - 1].iter();
            more[0][rank..].iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
    }
    ways.swap_remove(chosen)
}

/// As [`chance`], where the sum of ranks is all but normal; equal ones make its spread smaller.
fn normal_chance(ranks: &[usize], chosen: usize, off: f64) -> f64 {
    let (all, chosen) = (ranks.len() as f64, chosen as f64);
    let mean = all + 1.0;
    let squares: f64 = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum();
    let variance = chosen * (all - chosen) / (all * (all - 1.0)) * squares;
    if variance <= 0.0 {
        return 1.0;
    }
    // Doubled ranks go by steps of two at least, of which a half is the usual correction.
    (2.0 * upper_tail(((off - 1.0).max(0.0)) / variance.sqrt())).min(1.0)
}

/// How much of a normal distribution is above `z`: Abramowitz and Stegun, 26.2.17, good to 1e-7.
fn upper_tail(z: f64) -> f64 {
    const FACTORS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let sum = FACTORS.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

/// Above which z of a normal distribution so much is: the reverse of [`upper_tail`], found by halving.
fn z_above(tail: f64) -> f64 {
    const STEPS: usize = 50;
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..STEPS {
        let between = f64::midpoint(low, high);
        if upper_tail(between) > tail { low = between } else { high = between }
    }
    high
}

/// How many of the ordered pairs may be left out at each end. `None` when even the outermost may not be trusted.
fn left_out(old: usize, new: usize, tail_max: f64) -> Option<usize> {
    if old + new > COUNTED_MAX {
        let (old, new) = (old as f64, new as f64);
        let spread = (old * new * (old + new + 1.0) / 12.0).sqrt();
        return Some((old * new / 2.0 - z_above(tail_max) * spread - 0.5).floor().max(0.0) as usize);
    }
    let ranks: Vec<_> = (1..=old + new).collect();
    let ways = ways(&ranks, old);
    let total: f64 = ways.iter().sum();
    let smallest = old * (old + 1) / 2;
    let mut tail = 0.0;
    let within = |ways: &&f64| {
        tail += *ways / total;
        tail <= tail_max
    };
    ways[smallest..].iter().take_while(within).count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn five_beside_five_tell_when_they_are_apart() {
        let old = [1.0, 2.0, 3.0, 4.0, 5.0];
        let apart = old.map(|value| value + 10.0);
        // Two of the 252 ways to choose five of ten.
        assert!((chance(&old, &apart) - 2.0 / 252.0).abs() < 1e-12);
        assert!((chance(&apart, &old) - 2.0 / 252.0).abs() < 1e-12);
        assert!((chance(&old, &old) - 1.0).abs() < 1e-12);
        let touching = [4.5, 12.0, 13.0, 14.0, 15.0];
        assert!((chance(&old, &touching) - 4.0 / 252.0).abs() < 1e-12);
    }

    /// The critical values of the U test at 1 %, both sides, from printed tables: 0 for 5 and 5, 16 for 10 and 10.
    #[test]
    fn as_many_pairs_are_left_out_as_tables_say() {
        assert_eq!(left_out(5, 5, 0.005), Some(0));
        assert_eq!(left_out(10, 10, 0.005), Some(16));
        assert_eq!(left_out(3, 3, 0.005), None);
    }

    #[test]
    fn the_interval_of_five_beside_five_holds_all_pairs() {
        let interval = ratio_interval(&[1.0, 2.0, 2.0, 2.0, 4.0], &[4.0, 6.0, 6.0, 6.0, 8.0], 0.01);
        assert_eq!(interval, Some((1.0, 8.0)));
        assert_eq!(ratio_interval(&[0.0; 5], &[1.0; 5], 0.01), None);
    }

    #[test]
    fn the_normal_approximation_meets_what_is_counted() {
        let old: Vec<f64> = (0..20).map(f64::from).collect();
        let new: Vec<f64> = (0..20).map(|number| f64::from(number) + 4.3).collect();
        let ranks = doubled_ranks(&old, &new);
        let sum: usize = ranks[..20].iter().sum();
        let approximate = normal_chance(&ranks, 20, (sum as f64 - 20.0 * 41.0).abs());
        let counted = chance(&old, &new);
        assert!((approximate - counted).abs() < 0.005, "{approximate} {counted}");
    }

    #[test]
    fn the_tail_of_a_normal_distribution() {
        assert!((upper_tail(0.0) - 0.5).abs() < 1e-6);
        assert!((upper_tail(2.575_829) - 0.005).abs() < 1e-6);
        assert!((z_above(0.005) - 2.575_829).abs() < 1e-4);
        assert!((z_above(0.025) - 1.959_964).abs() < 1e-4);
    }

    fn runs() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((1u32..50).prop_map(f64::from), 5..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_chance_is_a_share_and_the_same_both_ways(old in runs(), new in runs()) {
            let (there, back) = (chance(&old, &new), chance(&new, &old));
            prop_assert!(there > 0.0 && there <= 1.0, "{there}");
            prop_assert!((there - back).abs() < 1e-9, "{there} {back}");
        }

        #[test]
        fn only_the_order_counts(old in runs(), new in runs()) {
            let grown = |runs: &[f64]| runs.iter().map(|value| value.powi(3)).collect::<Vec<_>>();
            let (plain, cubed) = (chance(&old, &new), chance(&grown(&old), &grown(&new)));
            prop_assert!((plain - cubed).abs() < 1e-9);
        }

        #[test]
        fn equal_samples_tell_nothing(old in runs()) {
            prop_assert!(chance(&old, &old) > 0.99);
        }

        #[test]
        fn an_interval_is_turned_round_with_its_samples(old in runs(), new in runs()) {
            let (from, to) = ratio_interval(&old, &new, 0.01).unwrap();
            let (back_from, back_to) = ratio_interval(&new, &old, 0.01).unwrap();
            prop_assert!(from <= to);
            prop_assert!((from * back_to - 1.0).abs() < 1e-9 && (to * back_from - 1.0).abs() < 1e-9);
        }

        /// The interval and the test are one method: 1 is outside exactly when the test tells a difference. Without equal values, for which the
        /// counted chance differs.
        #[test]
        fn the_interval_agrees_with_the_test(order in Just((1..=20).collect::<Vec<u32>>()).prop_shuffle(), split in 5usize..=15) {
            let values: Vec<f64> = order.into_iter().map(f64::from).collect();
            let (old, new) = values.split_at(split);
            let (from, to) = ratio_interval(old, new, 0.01).unwrap();
            let tells = chance(old, new) <= 0.01;
            prop_assert_eq!(tells, from > 1.0 || to < 1.0, "{} {} {}", chance(old, new), from, to);
        }
    }
}
