//! What it costs to be watched: HTTP calls of a node without traces, with traces of the usual share of the requests, with traces
//! of all of them, and with metrics that are read each second.
//!
//! Metrics are counted in all of them, because they cannot be turned off. Three nodes run side by side and take turns in short
//! slices, in another order each time, so that a slow minute hits all. Spans go to collectors in this process, which count them and
//! take their share of the same cores. Calls of Rust code on a node have no row: they begin no trace.

mod collector;
mod scraper;

use std::{path::Path, time::Duration};

use self::{collector::Collector, scraper::Scraper};
use super::gateway::{http, load::Measured, load::Times, plan};
use crate::{
    Effort, Figures, Unit,
    cluster::Cluster,
    node::small_runtime,
    table::{OURS, name},
};

const CONNECTIONS: usize = 64;
/// How often each takes its turn in one run.
const TURNS: usize = 2;
const RUN: Duration = Duration::from_secs(2);
/// Before anything is measured, in each turn.
const WARM: Duration = Duration::from_millis(500);
/// The share that `playhouse run` has unless told otherwise.
const USUAL_SHARE: f64 = 0.1;

/// How a node is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Not,
    Usual,
    All,
    Scraped,
}

impl Watched {
    const EACH: [Self; 4] = [Self::Not, Self::Usual, Self::All, Self::Scraped];

    /// What the name of a row says of it.
    fn how(self) -> &'static str {
        match self {
            Self::Not => "no traces",
            Self::Usual => "traces of 10 %",
            Self::All => "traces of all",
            Self::Scraped => "metrics read each second",
        }
    }
}

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let nodes = Nodes::start(effort);
    for run in 0..effort.runs {
        let before = nodes.spans();
        note(&take_turns(&nodes, effort, run), figures);
        let after = nodes.spans();
        let (arrived, lost) = (after.arrived - before.arrived, after.lost - before.lost);
        assert!(arrived > 0, "spans arrive at the collector");
        let share = 100.0 * lost as f64 / (arrived + lost) as f64;
        figures.note(name("spans that are lost while all calls are traced", OURS), Unit::Percent, share);
    }
    nodes.stop();
}

/// One node for each share of traced requests. Each traced one has a collector of its own, which counts nobody else's spans.
struct Nodes {
    untraced: Node,
    traced_usually: Node,
    traced_all: Node,
    _usual: Collector,
    all: Collector,
}

/// What became of the spans of the node that traces all calls.
struct Spans {
    arrived: u64,
    lost: u64,
}

struct Node(Cluster);

impl Nodes {
    fn start(effort: Effort) -> Self {
        let (usual, all) = (Collector::start(), Collector::start());
        let traced = |share: f64, collector: &Collector| {
            let endpoint = format!("traces.endpoint=http://{}", collector.address());
            Node(Cluster::apart_with(plan(effort), &[endpoint, format!("traces.sample={share}")]))
        };
        Self {
            untraced: Node(Cluster::apart(plan(effort))),
            traced_usually: traced(USUAL_SHARE, &usual),
            traced_all: traced(1.0, &all),
            _usual: usual,
            all,
        }
    }

    fn of(&self, watched: Watched) -> &Node {
        match watched {
            Watched::Not | Watched::Scraped => &self.untraced,
            Watched::Usual => &self.traced_usually,
            Watched::All => &self.traced_all,
        }
    }

    fn spans(&self) -> Spans {
        Spans { arrived: self.all.spans(), lost: self.traced_all.lost() }
    }

    fn stop(self) {
        [self.untraced, self.traced_usually, self.traced_all].into_iter().for_each(|Node(node)| node.stop());
    }
}

impl Node {
    fn measure(&self, times: Times) -> Measured {
        let child = &self.0.children[0];
        http::measure(child.gateway_address(), child.child(), CONNECTIONS, times)
    }

    fn scraper(&self) -> Scraper {
        Scraper::start(self.0.children[0].ops())
    }

    /// How many spans never left the node.
    fn lost(&self) -> u64 {
        small_runtime().block_on(self.0.children[0].ops().metric("playhouse_spans_dropped_total")) as u64
    }
}

/// The sum of all turns, in the order of [`Watched::EACH`].
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    per_second: f64,
    server_time: f64,
}

/// Nobody is always the first, who finds the machine as the run before left it, or always behind the same one.
fn in_order(run: usize, turn: usize) -> impl Iterator<Item = usize> {
    const COUNT: usize = Watched::EACH.len();
    let ahead = if turn.is_multiple_of(2) { 1 } else { COUNT - 1 };
    (0..COUNT).map(move |step| (run + turn + step * ahead) % COUNT)
}

fn take_turns(nodes: &Nodes, effort: Effort, run: usize) -> [Turns; Watched::EACH.len()] {
    let times = Times { warm: effort.lasting(WARM), run: effort.lasting(RUN) };
    let mut turns = [Turns::default(); Watched::EACH.len()];
    for turn in 0..TURNS {
        for at in in_order(run, turn) {
            let (sum, watched) = (&mut turns[at], Watched::EACH[at]);
            let node = nodes.of(watched);
            let scraper = (watched == Watched::Scraped).then(|| node.scraper());
            let measured = node.measure(times);
            if let Some(scraper) = scraper {
                assert!(scraper.stop() > 0, "metrics were read meanwhile");
            }
            sum.per_second += measured.per_second / TURNS as f64;
            sum.server_time += measured.server_time / TURNS as f64;
        }
    }
    turns
}

fn note(turns: &[Turns; Watched::EACH.len()], figures: &mut Figures) {
    let work = format!("HTTP call, {CONNECTIONS} connections");
    let [without, ..] = turns;
    for (turn, watched) in turns.iter().zip(Watched::EACH) {
        let who = format!("{OURS}, {}", watched.how());
        figures.note(name(&work, &who), Unit::PerSecond, turn.per_second);
        let time = format!("{work}, processor time of the server");
        figures.note(name(&time, &who), Unit::Nanoseconds, turn.server_time);
    }
    // What costs nothing is as often a little below 0 as above.
    for (turn, watched) in turns.iter().zip(Watched::EACH).skip(1) {
        let cost = |what: &str| name(&format!("{what} that {} cost", watched.how()), OURS);
        let rate = 100.0 * (1.0 - turn.per_second / without.per_second);
        figures.note(cost("calls per second"), Unit::Percent, rate);
        let time = 100.0 * (turn.server_time / without.server_time - 1.0);
        figures.note(cost("processor time of the server"), Unit::Percent, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_each_slice_each_takes_one_turn() {
        for (run, turn) in [(0, 0), (3, 1), (4, 0)] {
            let mut order: Vec<_> = in_order(run, turn).collect();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
    }

    #[test]
    fn each_is_first_in_some_run_and_its_neighbours_change() {
        let firsts: Vec<_> = (0..4).filter_map(|run| in_order(run, 0).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 3]);
        let [one, other] = [0, 1].map(|turn| in_order(0, turn).collect::<Vec<_>>());
        assert_eq!((one, other), (vec![0, 1, 2, 3], vec![1, 0, 3, 2]));
    }
}
