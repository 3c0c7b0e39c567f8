//! Processes beside `ractor`, `kameo` and `ractor_cluster`, Erlang/OTP, and what tokio can do at most.
//!
//! Each figure is called after its work and who did it. In each run the peers take turns. Everything has as many threads, or
//! schedulers, as this machine has cores.

mod cluster_names;
mod local;
mod memory;
mod monitor;
mod names;
mod queue;
mod remote;

use std::path::Path;

pub use memory::{CHILD as MEMORY_CHILD, run_here as start_idle_here};

use crate::{
    Effort, Figures, Unit, peers,
    processes::{
        erlang::{Erlang, ErlangNode},
        stage::Stage,
    },
    table,
};

const OURS: &str = table::OURS;
const RACTOR: &str = "ractor";
const KAMEO: &str = "kameo";
const RACTOR_CLUSTER: &str = "ractor_cluster";
const ERLANG: &str = "Erlang";
/// The part of Erlang/OTP that is more than a process: what people use.
const GEN_SERVER: &str = "Erlang gen_server";
const TOKIO: &str = "tokio mpsc";
/// How many processes are sent to, and how many have names.
const TARGETS: usize = 1_000;

/// What all parts of a run share.
struct Run<'a> {
    stage: Stage,
    /// Where nodes of Erlang come from, and the one that does what needs no other.
    erlang: Option<(Erlang, ErlangNode)>,
    effort: Effort,
    figures: &'a mut Figures,
}

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let erlang = erlang(figures);
    let mut run = Run { stage: Stage::default(), erlang, effort, figures };
    memory::run(&mut run);
    run.in_turns(|run| {
        local::run(run);
        names::run(run);
        queue::run(run);
    });
    remote::run(&mut run);
    cluster_names::run(&mut run);
    monitor::run(&mut run);
}

fn erlang(figures: &mut Figures) -> Option<(Erlang, ErlangNode)> {
    if !peers::ERLANG.is_installed_or_remark(figures) {
        return None;
    }
    let erlang = Erlang::start();
    let node = erlang.node();
    Some((erlang, node))
}

impl Run<'_> {
    /// Does something once to warm up, and then as often as is measured.
    fn in_turns(&mut self, mut part: impl FnMut(&mut Run<'_>)) {
        let warm_up = Effort { is_quick: true, ..self.effort };
        let times = std::iter::once(warm_up).chain((0..self.effort.runs).map(|_| self.effort));
        for (at, effort) in times.collect::<Vec<_>>().into_iter().enumerate() {
            let mut forgotten = Figures::default();
            let figures = if at == 0 { &mut forgotten } else { &mut *self.figures };
            let (stage, erlang) = (std::mem::take(&mut self.stage), self.erlang.take());
            let mut run = Run { stage, erlang, effort, figures };
            part(&mut run);
            (self.stage, self.erlang) = (run.stage, run.erlang);
        }
    }

    fn rate(&mut self, work: &str, who: &str, rate: f64) {
        self.figures.note(table::name(work, who), Unit::PerSecond, rate);
    }

    fn nanoseconds(&mut self, work: &str, who: &str, value: f64) {
        self.figures.note(table::name(work, who), Unit::Nanoseconds, value);
    }

    /// Another node of Erlang instead of its own one: it has met nobody.
    fn begin_anew(&mut self) {
        self.erlang = self.erlang.take().map(|(erlang, before)| {
            drop(before);
            let node = erlang.node();
            (erlang, node)
        });
    }

    /// What Erlang reaches, if it is there.
    fn erlang_rate(&mut self, work: &str, who: &str, command: &str) {
        if let Some((_, node)) = &mut self.erlang {
            let rate = node.obedient().number(command);
            self.rate(work, who, rate);
        }
    }

    /// How many of `full`, in equal parts for so many.
    fn of(&self, full: usize, parts: usize) -> usize {
        (self.effort.of(full) / parts).max(1) * parts
    }
}
