//! Which seeds are run, and what is told of them.

#![allow(clippy::print_stdout)] // What it prints is its report: faults injected, and seeds that failed.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    faults::{KINDS, Kind},
    run::{self, Report},
};

/// Seeds that are run each time.
const FIXED: std::ops::Range<u64> = 0..40;
/// How many more are drawn each time.
const FRESH: u64 = 20;
/// Runs at the same time.
const THREADS: usize = 2;
/// A seed that takes so long in reality spins for ever: simulated time cannot end it.
const SPINS_AFTER: Duration = Duration::from_secs(120);

/// What the environment asks for, or the default.
pub fn chosen() -> Vec<u64> {
    if let Some(seed) = variable("PLAYHOUSE_SEED") {
        return vec![seed.parse().expect("PLAYHOUSE_SEED is a number")];
    }
    if let Some(range) = variable("PLAYHOUSE_SEEDS") {
        let (from, to) = range.split_once("..").expect("PLAYHOUSE_SEEDS is a range, such as 0..2000");
        let number = |text: &str| text.parse::<u64>().expect("PLAYHOUSE_SEEDS is a range of numbers");
        return (number(from)..number(to)).collect();
    }
    let first = u64::from(std::process::id()).wrapping_mul(1_000_003);
    FIXED.chain(first..first + FRESH).collect()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Runs all seeds; panics in the end if one of them broke a promise.
pub fn run(seeds: Vec<u64>) {
    let is_alone = seeds.len() == 1;
    let reports = run_all(&seeds);
    let mut faults: BTreeMap<Kind, u64> = BTreeMap::new();
    let (mut operations, mut acknowledged, mut slowest) = (0, 0, Duration::ZERO);
    let mut broken = Vec::new();
    for report in &reports {
        report.faults.iter().for_each(|(kind, count)| *faults.entry(*kind).or_default() += count);
        operations += report.operations;
        acknowledged += report.acknowledged;
        slowest = slowest.max(report.healed_in);
        if is_alone {
            tell(report);
        }
        broken.extend((!report.violations.is_empty()).then_some(report.seed));
    }
    println!(
        "{} seeds, {operations} operations, {acknowledged} acknowledged; whole again within {slowest:?}",
        seeds.len()
    );
    for kind in KINDS {
        println!("{:>8}  {kind}", faults.get(&kind).copied().unwrap_or_default());
    }
    assert!(broken.is_empty(), "{} seeds broke a promise: {broken:?}", broken.len());
}

fn tell(report: &Report) {
    println!(
        "seed {} (PLAYHOUSE_SEED={} replays it), fingerprint {:x}",
        report.seed, report.seed, report.fingerprint
    );
    report.trace.iter().for_each(|line| println!("  {line}"));
    report.violations.iter().for_each(|violation| println!("  !! {violation}"));
}

fn run_all(seeds: &[u64]) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let (tell, heard) = mpsc::channel();
    let under_way = Mutex::new([None; THREADS]);
    let mut reports = Vec::new();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (next, under_way, tell) = (&next, &under_way, tell.clone());
            threads.spawn(move || {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    under_way.lock().expect("nobody panics with it")[thread] = Some(*seed);
                    drop(tell.send(run::run(*seed)));
                }
            });
        }
        drop(tell);
        loop {
            match heard.recv_timeout(SPINS_AFTER) {
                Ok(report) => {
                    println!("seed {}: {:x} {:?}", report.seed, report.fingerprint, report.took);
                    if seeds.len() > 1 && !report.violations.is_empty() {
                        self::tell(&report);
                    }
                    reports.push(report);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    println!("a seed spins: one of {:?}", under_way.lock().expect("nobody panics with it"));
                    std::process::abort();
                }
            }
        }
    });
    reports.sort_by_key(|report| report.seed);
    reports
}
