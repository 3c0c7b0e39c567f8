//! What operators wait for: the rendered production overlay, run on this machine as a cluster would run it. From applied to ready, a
//! container killed, a rolling update under load, more nodes, fewer nodes.
//!
//! Pods are processes of this program that do what `playhouse` does, with the variables, files, probes and network policies of the
//! manifests. Root and network name spaces are needed; elsewhere there is a remark and no figure.

mod callers;
mod overlay;

use std::{path::Path, process::ExitCode, time::Duration};

use playhouse::node::Builder;
use tokio::time::Instant;

use self::{
    callers::{Callers, Seen},
    overlay::Overlay,
};
use crate::{
    Effort, Figures, Unit,
    table::{OURS, name},
};

/// The first argument of a child process that does what `playhouse` does.
pub const CHILD: &str = "--playhouse-child";

/// How many nodes there are at first, and for how long there are more.
const NODES: u32 = 3;
const MORE: u32 = 5;

/// Does what `playhouse` does with the arguments of this process, without the first one.
#[must_use]
pub fn playhouse_here() -> ExitCode {
    playhouse::cli::main_with(Builder::default(), std::env::args_os().skip(1))
}

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    for run in 0..effort.runs {
        let overlay = match Overlay::prepare() {
            Ok(overlay) => overlay,
            Err(reason) => return figures.remark(format!("manifests cannot be run here: {reason}")),
        };
        let measured = overlay.clients.block_on(async {
            begins(&overlay, figures).await;
            match (effort.is_quick, run) {
                (false, _) => changes(&overlay, figures).await,
                // Minutes, which a quick run has once: it shows that they work.
                (true, 0) => changes(&overlay, &mut Figures::default()).await,
                (true, _) => (),
            }
        });
        measured.expect("this thread may be where the clients are");
    }
    figures.remark("probes, pauses and minimum times are those of production: readiness is asked every 2 s");
}

async fn begins(overlay: &Overlay, figures: &mut Figures) {
    forms(overlay, figures).await;
    loses_a_container(overlay, figures).await;
}

async fn changes(overlay: &Overlay, figures: &mut Figures) {
    is_updated(overlay, figures).await;
    grows(overlay, figures).await;
    shrinks(overlay, figures).await;
}

async fn forms(overlay: &Overlay, figures: &mut Figures) {
    let begin = Instant::now();
    overlay.apply(overlay::MANIFESTS);
    overlay.until_ready(NODES).await;
    note(figures, "first deployment, applied to ready", begin.elapsed());
    overlay.until_well().await;
    note(figures, "first deployment, applied to three copies of everything", begin.elapsed());
}

async fn loses_a_container(overlay: &Overlay, figures: &mut Figures) {
    let begin = Instant::now();
    overlay.kill().await;
    overlay.until_ready(NODES).await;
    note(figures, "container killed, to ready again", begin.elapsed());
    overlay.until_well().await;
}

/// Another release: pods are exchanged one after the other, while calls come at a fixed rate.
async fn is_updated(overlay: &Overlay, figures: &mut Figures) {
    let callers = Callers::start(overlay);
    let begin = Instant::now();
    overlay.apply(&overlay::next_release());
    overlay.until_settled().await;
    let took = begin.elapsed();
    let Seen { latencies, failed, .. } = callers.end().await;
    note(figures, "rolling update of three, applied to all available", took);
    figures.note(name("rolling update of three, failed calls", OURS), Unit::Count, failed as f64);
    let [median, longest] = [latencies.value_at_quantile(0.5), latencies.max()].map(Duration::from_micros);
    note(figures, "rolling update of three, a call meanwhile", median);
    note(figures, "rolling update of three, longest call", longest);
    overlay.until_well().await;
}

async fn grows(overlay: &Overlay, figures: &mut Figures) {
    let begin = Instant::now();
    overlay.scale(MORE);
    overlay.until_ready(MORE).await;
    note(figures, "three to five, to all ready", begin.elapsed());
    overlay.until_shared(MORE).await;
    note(figures, "three to five, to all with their share, at rest for 2 s", begin.elapsed());
}

async fn shrinks(overlay: &Overlay, figures: &mut Figures) {
    let begin = Instant::now();
    overlay.playhouse(&["scale", &NODES.to_string()]).await;
    note(figures, "five to three, until two have left, at rest for 2 s", begin.elapsed());
    overlay.scale(NODES);
    overlay.until_settled().await;
    note(figures, "five to three, until two have ended", begin.elapsed());
}

fn note(figures: &mut Figures, work: &str, took: Duration) {
    figures.note(name(work, OURS), Unit::Nanoseconds, took.as_nanos() as f64);
}
