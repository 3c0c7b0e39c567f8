//! What goes wrong, and when: drawn from the seed. Each seed has its own mixture.

use std::{collections::BTreeMap, fmt, time::Duration};

use playhouse_cluster::store::Crash;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::time::Instant;

use super::{
    checks,
    world::{VolumeCopy, World},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Isolate,
    OneWay,
    PartialCut,
    Split,
    Delay,
    Reset,
    CrashProcess,
    CrashLosingUnsynced,
    CrashTearing,
    CrashSilently,
    CrashAll,
    CrashWhileStarting,
    Freeze,
    SlowDisk,
    FullDisk,
    FailingDisk,
    HangingDisk,
    LoseVolume,
    RestoreVolume,
    Drain,
    DrainCrashed,
}

/// All kinds of faults.
pub const KINDS: [Kind; 21] = [
    Kind::Isolate,
    Kind::OneWay,
    Kind::PartialCut,
    Kind::Split,
    Kind::Delay,
    Kind::Reset,
    Kind::CrashProcess,
    Kind::CrashLosingUnsynced,
    Kind::CrashTearing,
    Kind::CrashSilently,
    Kind::CrashAll,
    Kind::CrashWhileStarting,
    Kind::Freeze,
    Kind::SlowDisk,
    Kind::FullDisk,
    Kind::FailingDisk,
    Kind::HangingDisk,
    Kind::LoseVolume,
    Kind::RestoreVolume,
    Kind::Drain,
    Kind::DrainCrashed,
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// How a fault ends.
enum End {
    Heal(Vec<(usize, usize)>),
    Undelay(usize, usize),
    Thaw(usize),
    Quicken(usize),
    MakeRoom(usize),
    Crash(usize, Crash),
}

/// Injects faults and ends them.
pub struct Faults {
    random: SmallRng,
    began: Instant,
    /// Which kinds this seed has.
    mixture: Vec<Kind>,
    pause: Duration,
    next_at: Instant,
    active: Vec<(Instant, End)>,
    copies: Vec<(usize, VolumeCopy)>,
    restoring: Option<(usize, Instant)>,
    /// What waits until the cluster is whole, and how long at most.
    calm: Option<(Kind, Instant)>,
    pub counts: BTreeMap<Kind, u64>,
    pub trace: Vec<String>,
    pub violations: Vec<String>,
}

/// Longer than any run.
const HANGS_FOR: Duration = Duration::from_secs(3_600);
const COPIES_MAX: usize = 4;
/// How long nothing goes wrong before a volume is lost or replaced, at most.
const CALM_MAX: Duration = Duration::from_secs(20);
/// How long a node with an old copy may take until it refuses to start.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

impl Faults {
    pub fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let share = random.random_range(0.15..0.9);
        let mut mixture: Vec<_> = KINDS.into_iter().filter(|_| random.random_bool(share)).collect();
        // For whoever looks for one kind of bug.
        if let Ok(names) = std::env::var("PLAYHOUSE_FAULTS") {
            let is_named = |kind: &Kind| names.split(',').any(|name| name == kind.to_string());
            mixture = KINDS.into_iter().filter(is_named).collect();
        }
        if mixture.is_empty() {
            mixture.push(Kind::CrashLosingUnsynced);
        }
        let pause = Duration::from_millis(random.random_range(300..4_000));
        let now = Instant::now();
        Self {
            random,
            began: now,
            mixture,
            pause,
            next_at: now,
            active: Vec::new(),
            copies: Vec::new(),
            restoring: None,
            calm: None,
            counts: BTreeMap::new(),
            trace: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Writes down what happens.
    pub fn note(&mut self, what: impl fmt::Display) {
        let at = Instant::now().duration_since(self.began);
        self.trace.push(format!("{:>8.3} s  {what}", at.as_secs_f64()));
    }

    /// Begins and ends what is due.
    pub fn step(&mut self, world: &mut World) {
        self.end_due(world, false);
        self.watch_restored(world);
        if Instant::now() < self.next_at || self.restoring.is_some() {
            return;
        }
        let Some(kind) = self.draw(world) else { return };
        if self.inject(world, kind) {
            *self.counts.entry(kind).or_default() += 1;
        }
        self.next_at = Instant::now() + self.pause.mul_f64(self.random.random_range(0.1..2.0));
    }

    /// What comes next. A lost or replaced volume waits until the cluster is whole, and nothing else goes wrong meanwhile.
    fn draw(&mut self, world: &mut World) -> Option<Kind> {
        let Some((kind, until)) = self.calm else {
            let kind = *self.mixture.choose(&mut self.random).expect("a mixture is not empty");
            let needs_copy = kind == Kind::RestoreVolume;
            if kind != Kind::LoseVolume && !(needs_copy && self.older_copy(world).is_some()) {
                return Some(kind);
            }
            self.end_due(world, true);
            self.calm = Some((kind, Instant::now() + CALM_MAX));
            return None;
        };
        let is_whole = checks::missing_for_whole(world).is_empty();
        if !is_whole && Instant::now() < until {
            return None;
        }
        self.calm = None;
        is_whole.then_some(kind)
    }

    /// Which copy is of an earlier start of its node.
    fn older_copy(&self, world: &World) -> Option<usize> {
        self.copies.iter().position(|(at, copy)| copy.of_start < world.hosts[*at].starts)
    }

    /// Ends everything. Only the nodes that are down are still to be started, and one that has an old volume to be refused.
    pub fn heal(&mut self, world: &mut World) {
        self.end_due(world, true);
        world.network.heal_all();
        for at in 0..world.hosts.len() {
            let faults = world.hosts[at].memory.faults();
            faults.set_full(false);
            faults.set_latency(Duration::ZERO);
            world.thaw(at);
        }
        self.note("everything is healed");
    }

    /// Goes on with a test that must come to its end.
    pub fn watch_restored(&mut self, world: &mut World) {
        let Some((at, since)) = self.restoring else { return };
        if world.is_up(at) {
            self.violations.push(format!("node {at} serves with an old copy of its volume"));
            self.restoring = None;
        } else if world.is_refused_as_restored(at) {
            self.note(format_args!("node {at} refuses the old copy; it gets an empty volume"));
            self.restoring = None;
            world.crash(at, Crash::Process, false);
            world.wipe(at);
            world.hosts[at].start_at = Some(Instant::now() + Duration::from_millis(100));
        } else if Instant::now() > since + REFUSED_WITHIN {
            let ended = world.ended(at);
            self.violations.push(format!("node {at} did not refuse an old copy of its volume: {ended:?}"));
            self.restoring = None;
        }
    }

    /// Whether the node of that machine must not be started by others.
    pub fn is_restoring(&self, at: usize) -> bool {
        self.restoring.is_some_and(|(restoring, _)| restoring == at)
    }

    fn end_due(&mut self, world: &mut World, all: bool) {
        let now = Instant::now();
        let (due, active) =
            std::mem::take(&mut self.active).into_iter().partition(|(at, _)| all || *at <= now);
        self.active = active;
        let due: Vec<(Instant, End)> = due;
        for (_, end) in due {
            self.end(world, end);
        }
    }

    fn end(&mut self, world: &mut World, end: End) {
        match end {
            End::Heal(paths) => {
                for (from, to) in &paths {
                    world.network.heal(&world.hosts[*from].name, &world.hosts[*to].name);
                }
                self.note(format_args!("heal {paths:?}"));
            }
            End::Undelay(from, to) => {
                let (from_name, to_name) = (&world.hosts[from].name, &world.hosts[to].name);
                world.network.set_delay(from_name, to_name, ms(0)..=ms(3));
                self.note(format_args!("no more delay from {from} to {to}"));
            }
            End::Thaw(at) => {
                world.thaw(at);
                self.note(format_args!("thaw {at}"));
            }
            End::Quicken(at) => {
                world.hosts[at].memory.faults().set_latency(Duration::ZERO);
                self.note(format_args!("the disk of {at} is fast again"));
            }
            End::MakeRoom(at) => {
                world.hosts[at].memory.faults().set_full(false);
                self.note(format_args!("the disk of {at} has room again"));
            }
            End::Crash(at, crash) => self.crash(world, at, crash, false),
        }
    }

    fn node(&mut self, world: &World) -> usize {
        self.random.random_range(0..world.hosts.len())
    }

    fn duration(&mut self, least: u64, most: u64) -> Duration {
        ms(self.random.random_range(least..most))
    }

    fn later(&mut self, least: u64, most: u64, end: End) {
        let at = Instant::now() + self.duration(least, most);
        self.active.push((at, end));
    }

    fn cut(&mut self, world: &World, paths: Vec<(usize, usize)>) -> bool {
        for (from, to) in &paths {
            world.network.cut(&world.hosts[*from].name, &world.hosts[*to].name);
        }
        self.later(200, 9_000, End::Heal(paths));
        true
    }

    fn crash(&mut self, world: &mut World, at: usize, crash: Crash, is_silent: bool) {
        if world.is_running(at) {
            world.crash(at, crash, is_silent);
            let pause = self.duration(50, 6_000);
            world.hosts[at].start_at = Some(Instant::now() + pause);
            self.note(format_args!("crash {at}, {crash:?}, silent: {is_silent}, starts again in {pause:?}"));
        }
    }

    fn draw_crash(&mut self, world: &World, at: usize) -> Crash {
        match self.random.random_range(0..3) {
            0 => Crash::Process,
            1 => Crash::LoseUnsynced,
            _ => self.draw_tear(world, at),
        }
    }

    fn draw_tear(&mut self, world: &World, at: usize) -> Crash {
        let unsynced = world.hosts[at].memory.unsynced_bytes();
        Crash::Tear { kept_bytes: self.random.random_range(0..=unsynced) }
    }

    /// Whether it was injected.
    fn inject(&mut self, world: &mut World, kind: Kind) -> bool {
        let (at, count) = (self.node(world), world.hosts.len());
        let others: Vec<_> = (0..count).filter(|other| *other != at).collect();
        let other = *others.choose(&mut self.random).expect("there are several nodes");
        match kind {
            Kind::Isolate => {
                self.note(format_args!("isolate {at}"));
                let paths = others.iter().flat_map(|other| [(at, *other), (*other, at)]).collect();
                self.cut(world, paths)
            }
            Kind::OneWay => {
                let is_mute = self.random.random_bool(0.5);
                self.note(format_args!("{at} {}", if is_mute { "is mute" } else { "is deaf" }));
                let path = |other: &usize| if is_mute { (at, *other) } else { (*other, at) };
                self.cut(world, others.iter().map(path).collect())
            }
            Kind::PartialCut => {
                self.note(format_args!("cut between {at} and {other}"));
                self.cut(world, vec![(at, other), (other, at)])
            }
            Kind::Split => {
                let side: Vec<_> = (0..count).filter(|_| self.random.random_bool(0.5)).collect();
                self.note(format_args!("split off {side:?}"));
                let is_across = |from: &usize, to: &usize| side.contains(from) != side.contains(to);
                let paths = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
                self.cut(world, paths.filter(|(from, to)| is_across(from, to)).collect())
            }
            Kind::Delay => {
                let most = self.duration(10, 700);
                self.note(format_args!("up to {most:?} of delay from {at} to {other}"));
                world.network.set_delay(&world.hosts[at].name, &world.hosts[other].name, most / 4..=most);
                self.later(500, 8_000, End::Undelay(at, other));
                true
            }
            Kind::Reset => {
                self.note(format_args!("reset between {at} and {other}"));
                world.network.reset(&world.hosts[at].name, &world.hosts[other].name);
                true
            }
            Kind::CrashProcess => self.crash_one(world, at, Crash::Process, false),
            Kind::CrashLosingUnsynced => self.crash_one(world, at, Crash::LoseUnsynced, false),
            Kind::CrashTearing => {
                let crash = self.draw_tear(world, at);
                self.crash_one(world, at, crash, false)
            }
            Kind::CrashSilently => {
                let crash = self.draw_crash(world, at);
                self.crash_one(world, at, crash, true)
            }
            Kind::CrashAll => {
                for at in 0..count {
                    let crash = self.draw_crash(world, at);
                    self.crash(world, at, crash, false);
                }
                true
            }
            Kind::CrashWhileStarting => {
                let crash = self.draw_crash(world, at);
                let is_down = self.crash_one(world, at, crash, false);
                let again = self.draw_crash(world, at);
                if is_down {
                    world.hosts[at].start_at = Some(Instant::now() + ms(100));
                    self.later(100, 1_500, End::Crash(at, again));
                }
                is_down
            }
            Kind::Freeze => {
                let is_new = world.is_running(at);
                if is_new {
                    self.note(format_args!("freeze {at}"));
                    world.freeze(at);
                    self.later(50, 9_000, End::Thaw(at));
                }
                is_new
            }
            Kind::SlowDisk => {
                let latency = self.duration(2, 400);
                self.note(format_args!("a sync of {at} takes {latency:?}"));
                world.hosts[at].memory.faults().set_latency(latency);
                self.later(500, 9_000, End::Quicken(at));
                true
            }
            Kind::FullDisk => {
                self.note(format_args!("the disk of {at} is full"));
                world.hosts[at].memory.faults().set_full(true);
                self.later(200, 6_000, End::MakeRoom(at));
                true
            }
            Kind::FailingDisk => {
                self.note(format_args!("syncs of {at} fail from now on"));
                world.hosts[at].memory.faults().fail_syncs();
                true
            }
            Kind::HangingDisk => {
                self.note(format_args!("the disk of {at} hangs"));
                world.hosts[at].memory.faults().set_latency(HANGS_FOR);
                self.later(200, 9_000, End::Quicken(at));
                true
            }
            Kind::LoseVolume => self.lose_volume(world, at),
            Kind::RestoreVolume => self.restore_volume(world),
            Kind::Drain => self.drain(world, at),
            Kind::DrainCrashed => {
                let crash = self.draw_crash(world, at);
                let drains = self.drain(world, at);
                if drains {
                    self.later(0, 3_000, End::Crash(at, crash));
                }
                drains
            }
        }
    }

    fn crash_one(&mut self, world: &mut World, at: usize, crash: Crash, is_silent: bool) -> bool {
        let runs = world.is_running(at);
        self.crash(world, at, crash, is_silent);
        runs
    }

    fn drain(&mut self, world: &mut World, at: usize) -> bool {
        let is_up = world.is_up(at);
        if is_up {
            self.note(format_args!("drain {at}"));
            world.leave(at);
        }
        is_up
    }

    /// Only while all others have everything: more than one lost volume at a time loses data, and no promise covers that.
    fn lose_volume(&mut self, world: &mut World, at: usize) -> bool {
        if !checks::missing_for_whole(world).is_empty() {
            return false;
        }
        self.note(format_args!("{at} loses its volume"));
        world.crash(at, Crash::LoseUnsynced, false);
        world.wipe(at);
        self.copies.retain(|(of, _)| *of != at);
        world.hosts[at].start_at = Some(Instant::now() + self.duration(100, 5_000));
        true
    }

    /// Only when all others are there to tell: a node that can ask nobody cannot know that its volume is old.
    fn restore_volume(&mut self, world: &mut World) -> bool {
        let Some(which) = self.older_copy(world) else {
            // The first half: a copy, and a start after it.
            let at = self.node(world);
            let copy = world.copy(at).map(|copy| (at, copy));
            if copy.is_some() && self.copies.len() < COPIES_MAX {
                self.note(format_args!("the volume of {at} is copied"));
                self.copies.extend(copy);
                self.crash(world, at, Crash::Process, false);
            }
            return false;
        };
        if !self.active.is_empty() || !checks::missing_for_whole(world).is_empty() {
            return false;
        }
        let (at, copy) = self.copies.remove(which);
        self.copies.retain(|(of, _)| *of != at);
        self.note(format_args!("{at} starts with the volume of its start {}", copy.of_start));
        world.crash(at, Crash::Process, false);
        world.restore(at, &copy);
        world.hosts[at].start_at = Some(Instant::now() + ms(100));
        self.restoring = Some((at, Instant::now()));
        true
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
