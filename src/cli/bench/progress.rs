//! How it goes, while it goes: a bar on a terminal, else a line every few seconds.

use std::{convert::Infallible, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};

use crate::{
    cli::{Output, duration, output::Format},
    load::{Glance, Live, Plan},
};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// On standard error, so that it never mixes with the summary.
pub(super) struct Progress {
    live: Live,
    begin: Instant,
    warm_up: Duration,
    whole: Duration,
    face: Face,
}

enum Face {
    Bar(ProgressBar),
    Lines,
    Silent,
}

impl Progress {
    pub(super) fn new(plan: &Plan, live: Live, output: &Output) -> Self {
        let whole = plan.warm_up + plan.duration;
        let face = if output.format == Format::Json {
            Face::Silent
        } else if std::io::stderr().is_terminal() {
            Face::Bar(bar(whole))
        } else {
            Face::Lines
        };
        Self { live, begin: Instant::now(), warm_up: plan.warm_up, whole, face }
    }

    /// Shows it for ever; dropped when the run is over.
    pub(super) async fn show(&self) -> Infallible {
        let (mut ticks, mut last_line) = (interval(LOOK_EVERY), Instant::now());
        loop {
            ticks.tick().await;
            self.look(&mut last_line);
        }
    }

    /// Says that the load was stopped, and what is waited for.
    pub(super) fn stopping(&self) {
        let Glance { warm_up, measured, .. } = self.live.look();
        let unanswered = warm_up.unanswered() + measured.unanswered();
        self.say(&format!(
            "stopping; waiting for answers to {unanswered} requests (interrupt again to leave them)"
        ));
    }

    fn say(&self, text: &str) {
        match &self.face {
            Face::Bar(bar) => bar.println(text),
            Face::Lines | Face::Silent => note(text),
        }
    }

    pub(super) fn finish(&self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }

    fn look(&self, last_line: &mut Instant) {
        let elapsed = self.begin.elapsed();
        match &self.face {
            Face::Bar(bar) => {
                bar.set_position(millis(elapsed.min(self.whole)));
                bar.set_message(says(&self.live.look(), elapsed < self.warm_up));
            }
            Face::Lines if last_line.elapsed() >= LINE_EVERY => {
                *last_line = Instant::now();
                let (says, whole) =
                    (says(&self.live.look(), elapsed < self.warm_up), duration::show(self.whole));
                note(&format!("{} of {whole}: {says}", duration::show(elapsed)));
            }
            Face::Lines | Face::Silent => {}
        }
    }
}

fn says(glance: &Glance, warming_up: bool) -> String {
    let counts = if warming_up { glance.warm_up } else { glance.measured };
    let mut says = format!("{} answered", counts.answered);
    if counts.failed > 0 {
        says.push_str(&format!(", {} failed", counts.failed));
    }
    match (warming_up, glance.p50, glance.p99) {
        (true, ..) => says.push_str(" (warm-up)"),
        (false, Some(p50), Some(p99)) => {
            says.push_str(&format!(", p50 {}, p99 {}", duration::show(p50), duration::show(p99)));
        }
        _ => {}
    }
    says
}

fn note(text: &str) {
    use std::io::Write;
    // There is nobody left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn bar(whole: Duration) -> ProgressBar {
    let template = "{bar:32} {percent:>3} %  {msg}  {elapsed}";
    let style = ProgressStyle::with_template(template).expect("the template is constant");
    ProgressBar::new(millis(whole)).with_style(style)
}
