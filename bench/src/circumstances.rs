//! What was around a measurement: when it was made, how long it took, and whether the machine was shared meanwhile.

use std::{fs, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::node::{environment, runtime};

/// How long is looked at what others do, before anything is measured.
const LOOK: Duration = Duration::from_secs(1);

/// What was around a measurement. What cannot be read is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Circumstances {
    /// When it began, in milliseconds since the Unix epoch. The newest report of a group is the one that counts.
    pub began_ms: u64,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<f64>,
    /// Load average of the last minute, when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_before: Option<f64>,
    /// The same when it had ended; most of it is the measurement itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_after: Option<f64>,
    /// How much of all cores other programs took in the second before it began, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_percent: Option<f64>,
    /// How much of all cores the hypervisor gave to others meanwhile, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steal_percent: Option<f64>,
    /// How the kernel chooses the clock rate of the first core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
}

impl Circumstances {
    /// Whether somebody else used the machine when it began, as far as is known. A tenth of all cores is more than a quiet system takes.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        const QUIET_PERCENT_MAX: f64 = 10.0;
        [self.others_percent, self.steal_percent].into_iter().flatten().any(|taken| taken > QUIET_PERCENT_MAX)
    }

    /// As a sentence; `None` when nothing is known.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let parts = [
            self.load_before.map(|load| format!("load average {load:.2} when it began")),
            self.others_percent.map(|taken| format!("other programs took {taken:.0} % of the cores")),
            self.steal_percent.map(|taken| format!("{taken:.1} % stolen by the hypervisor")),
            self.governor.as_ref().map(|governor| format!("governor {governor}")),
        ];
        let known: Vec<_> = parts.into_iter().flatten().collect();
        let verdict = if self.is_shared() { "**shared machine**: " } else { "" };
        (!known.is_empty()).then(|| format!("{verdict}{}", known.join(", ")))
    }
}

/// A measurement that has begun.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    before: Option<CpuTimes>,
    circumstances: Circumstances,
}

impl Watch {
    /// Looks at what others do, and begins.
    #[must_use]
    pub fn begin() -> Self {
        let quiet = CpuTimes::now();
        std::thread::sleep(LOOK);
        let before = CpuTimes::now();
        let circumstances = Circumstances {
            began_ms: wall_ms(),
            load_before: load_average(),
            others_percent: CpuTimes::between(quiet, before).map(|cpu| cpu.busy_percent()),
            governor: governor(),
            ..Circumstances::default()
        };
        Self { began: Instant::now(), before, circumstances }
    }

    /// What was around it until now.
    #[must_use]
    pub fn end(self) -> Circumstances {
        Circumstances {
            took_seconds: Some(self.began.elapsed().as_secs_f64()),
            load_after: load_average(),
            steal_percent: CpuTimes::between(self.before, CpuTimes::now()).map(|cpu| cpu.steal_percent()),
            ..self.circumstances
        }
    }
}

fn wall_ms() -> u64 {
    environment(runtime().handle()).wall_ms()
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn governor() -> Option<String> {
    let text = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").ok()?;
    Some(text.trim().to_owned())
}

/// How long all cores together did what, in ticks: see proc_stat(5).
#[derive(Clone, Copy, Debug, PartialEq)]
struct CpuTimes {
    idle: f64,
    steal: f64,
    all: f64,
}

impl CpuTimes {
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // What guests took is part of the first two.
        let ticks: Vec<f64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        let [_, _, _, idle, waiting, _, _, steal] = ticks[..] else { return None };
        Some(Self { idle: idle + waiting, steal, all: ticks.iter().sum() })
    }

    fn between(before: Option<Self>, after: Option<Self>) -> Option<Self> {
        let (before, after) = (before?, after?);
        let (idle, steal) = (after.idle - before.idle, after.steal - before.steal);
        let all = after.all - before.all;
        (all > 0.0).then_some(Self { idle, steal, all })
    }

    fn busy_percent(self) -> f64 {
        ((self.all - self.idle - self.steal) / self.all * 100.0).max(0.0)
    }

    fn steal_percent(self) -> f64 {
        (self.steal / self.all * 100.0).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  100 0 100 700 50 0 0 50 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
    const AFTER: &str = "cpu  140 0 110 720 60 0 0 70 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n";

    #[test]
    fn what_others_took_is_what_was_neither_idle_nor_stolen() {
        let between = CpuTimes::between(CpuTimes::parse(BEFORE), CpuTimes::parse(AFTER)).unwrap();
        assert_eq!(between, CpuTimes { idle: 30.0, steal: 20.0, all: 100.0 });
        assert_eq!((between.busy_percent(), between.steal_percent()), (50.0, 20.0));
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed() {
        assert_eq!(CpuTimes::parse("cpu0 1 1 1 1 1 1 1 1\n"), None);
        assert_eq!(CpuTimes::between(CpuTimes::parse(BEFORE), CpuTimes::parse(BEFORE)), None);
        assert_eq!(Circumstances::default().sentence(), None);
    }

    #[test]
    fn a_machine_that_others_use_is_called_shared() {
        let quiet =
            Circumstances { others_percent: Some(2.0), steal_percent: Some(0.1), ..Default::default() };
        assert_eq!(
            quiet.sentence().unwrap(),
            "other programs took 2 % of the cores, 0.1 % stolen by the hypervisor"
        );
        let busy = Circumstances { others_percent: Some(60.0), ..quiet };
        assert!(busy.sentence().unwrap().starts_with("**shared machine**: "), "{busy:?}");
    }

    #[test]
    fn a_watch_says_when_and_how_long() {
        let seen = Watch::begin().end();
        assert!(seen.began_ms > 1_700_000_000_000 && seen.took_seconds.is_some(), "{seen:?}");
    }
}
