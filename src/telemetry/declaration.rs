//! How a metric is declared, and how a declaration becomes a collector.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// What a metric counts in. Its name ends accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds; the name ends in `_seconds`.
    Seconds,
    /// Bytes; the name ends in `_bytes`.
    Bytes,
    /// Things, named by the metric itself.
    Count,
}

/// A metric: what it is called, what it means.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Its full name, with the prefix `playhouse_`.
    pub name: &'static str,
    /// What it means, for people.
    pub help: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// The labels that every sample carries.
    pub labels: &'static [&'static str],
}

const SECONDS: &[f64] = &[
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];
const BYTES: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

impl Declaration {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        let buckets = match self.unit {
            Unit::Seconds => SECONDS,
            Unit::Bytes => BYTES,
            Unit::Count => COUNTS,
        };
        HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec())
    }
}

/// A kind of collector that can be made of a [`Declaration`].
pub(super) trait Family: Sized {
    /// Whether its values only grow, so that the name must end in `_total`.
    #[cfg(test)]
    const GROWS: bool = false;

    fn build(declaration: &Declaration) -> prometheus::Result<Self>;
}

impl Family for IntCounter {
    #[cfg(test)]
    const GROWS: bool = true;
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.opts())
    }
}

impl Family for IntCounterVec {
    #[cfg(test)]
    const GROWS: bool = true;
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::new(declaration.opts(), declaration.labels)
    }
}

impl Family for IntGauge {
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.opts())
    }
}

impl Family for IntGaugeVec {
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::new(declaration.opts(), declaration.labels)
    }
}

impl Family for Histogram {
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.histogram_opts())
    }
}

impl Family for HistogramVec {
    fn build(declaration: &Declaration) -> prometheus::Result<Self> {
        Self::new(declaration.histogram_opts(), declaration.labels)
    }
}
