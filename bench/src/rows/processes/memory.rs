//! What an idle process takes in memory. Each kind is measured in a program of its own: what was freed may stay with a program.

use std::{
    io::BufRead,
    process::{Command, ExitCode},
};

use super::{ERLANG, GEN_SERVER, KAMEO, OURS, RACTOR, Run, TOKIO};
use crate::{
    Unit,
    child::own_program,
    processes::{
        kameo,
        obedient::{Obedient, say},
        ours,
        stage::Stage,
        stock,
    },
    rows::resident,
    table,
};

/// The first argument of a child that starts idle processes.
pub const CHILD: &str = "--idle-process-child";
const WORK: &str = "idle process";
const STARTS: usize = 100_000;
/// Before anything is measured.
const WARM: usize = 1_000;

pub(super) fn run(run: &mut Run<'_>) {
    let count = run.effort.of(STARTS);
    for _ in 0..run.effort.runs {
        for who in [OURS, RACTOR, KAMEO] {
            let bytes = each_takes(&mut own(who), "start", count);
            note(run, who, bytes);
        }
        for (who, command) in [(GEN_SERVER, "idle_started"), (ERLANG, "idle_spawned")] {
            let node = run.erlang.as_ref().map(|(erlang, _)| erlang.node());
            if let Some(mut node) = node {
                note(run, who, each_takes(node.obedient(), command, count));
            }
        }
        note(run, TOKIO, resident::child("task"));
    }
}

fn note(run: &mut Run<'_>, who: &str, bytes: f64) {
    run.figures.note(table::name(WORK, who), Unit::Bytes, bytes);
}

fn own(who: &str) -> Obedient {
    Obedient::start(Command::new(own_program()).args([CHILD, who]))
}

fn each_takes(child: &mut Obedient, command: &str, count: usize) -> f64 {
    child.obey(&format!("{command} {WARM}"));
    let before = child.child().resident_bytes();
    child.obey(&format!("{command} {count}"));
    (child.child().resident_bytes() - before).max(0.0) / count as f64
}

/// Starts as many processes as it is told line by line, until the parent is gone.
///
/// # Panics
///
/// When it is told something else.
#[must_use]
pub fn run_here(arguments: &[String]) -> ExitCode {
    let (stage, who) = (Stage::default(), arguments.first().map_or("", String::as_str));
    let (mut own, mut of_ractor, mut of_kameo) = (Vec::new(), Vec::new(), Vec::new());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("the parent speaks UTF-8");
        let count = line.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("how many");
        match who {
            OURS => own.extend(stage.wait(ours::start(count))),
            KAMEO => of_kameo.extend(stage.wait(kameo::start(count))),
            _ => of_ractor.extend(stage.wait(stock::start(count))),
        }
        say("started");
    }
    ExitCode::SUCCESS
}
