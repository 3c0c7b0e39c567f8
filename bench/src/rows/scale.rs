//! Cost as work grows: each figure is a point of a curve.
//!
//! What is fresh for each run (a cluster, a volume) is measured for a shorter time than in the rows that it is taken from.

pub(super) mod entities;
pub(super) mod nodes;
pub(super) mod payload;
pub(super) mod shards;

use std::time::Duration;

use crate::{
    Figures, Unit,
    cluster::NodeChild,
    table::{self, OURS},
};

/// What is idle is looked at for so long.
const IDLE: Duration = Duration::from_secs(2);

/// One point of all curves of a group.
struct Point<'a> {
    figures: &'a mut Figures,
    axis: &'static str,
    x: f64,
}

impl Point<'_> {
    /// What we reached.
    fn ours(&mut self, work: &str, unit: Unit, value: f64) {
        self.whose(work, OURS, unit, value);
    }

    fn whose(&mut self, work: &str, who: &str, unit: Unit, value: f64) {
        self.figures.note_at(table::name(work, who), (self.axis, self.x), unit, value);
    }

    fn took(&mut self, work: &str, time: Duration) {
        self.ours(work, Unit::Nanoseconds, time.as_nanos() as f64);
    }

    /// What nodes without load take: one figure for each of them.
    fn idle(&mut self, nodes: &[NodeChild], lasting: Duration, of: &str) {
        let before: Vec<_> = nodes.iter().map(|node| node.child().cpu_seconds()).collect();
        std::thread::sleep(lasting);
        for (node, before) in nodes.iter().zip(before) {
            let percent = (node.child().cpu_seconds() - before) / lasting.as_secs_f64() * 100.0;
            self.ours(&format!("idle CPU of {of}"), Unit::Percent, percent);
            self.ours(&format!("resident memory of {of}"), Unit::Bytes, node.child().resident_bytes());
        }
    }
}
