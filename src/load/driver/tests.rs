//! The driver against targets that a test makes, under a clock that jumps.

use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;

use super::*;
use crate::load::{Cluster, Counts, Plan, testing::plan};

const MS: Duration = Duration::from_millis(1);
/// How long the target of a stall test is silent.
const STALL: Duration = Duration::from_secs(1);

/// Answers at once, but nothing between two moments: those who come meanwhile are answered at the second.
struct Stalls {
    from: Instant,
    to: Instant,
}

impl Target for Stalls {
    async fn send(&self, _: u64, _: Instant) -> Result<(), Fault> {
        if Instant::now() >= self.from {
            sleep_until(self.to).await;
        }
        Ok(())
    }
}

/// Never answers; tells how many asked.
#[derive(Default)]
struct Silent {
    asked: AtomicUsize,
    someone: Notify,
}

impl Target for Silent {
    async fn send(&self, _: u64, _: Instant) -> Result<(), Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.someone.notify_one();
        std::future::pending().await
    }
}

/// Refuses the requests with odd numbers, and answers the others after some time.
struct Picky(Duration);

impl Target for Picky {
    async fn send(&self, number: u64, _: Instant) -> Result<(), Fault> {
        sleep(self.0).await;
        if number.is_multiple_of(2) { Ok(()) } else { Err(Fault::named("overloaded", "a test")) }
    }
}

async fn run(plan: Plan, target: impl Target) -> Outcome {
    plan.check().unwrap();
    Run::new(Arc::new(plan), target, Environment::simulated(7)).drive(std::future::pending).await
}

fn open(rate: f64) -> Pace {
    Pace::Open { rate, arrivals: Arrivals::Constant }
}

/// A generator that waits for answers before it sends on would send one request into the stall, and report one slow answer of
/// 3,001. This one reports what all 1,000 people felt who came in that second.
#[tokio::test(start_paused = true)]
async fn a_stall_of_a_second_is_felt_by_all_who_were_to_start_in_it() {
    let from = Instant::now() + STALL;
    let plan = Plan { pace: open(1000.0), duration: 3 * STALL, ..plan() };

    let Outcome { tally, cut_short, measured, .. } = run(plan, Stalls { from, to: from + STALL }).await;

    let Counts { intended, answered, failed, .. } = tally.measured();
    assert_eq!((intended, answered, failed), (3000, 3000, 0));
    assert_eq!((measured, cut_short), (3 * STALL, false));
    let slow = |limit: Duration| {
        let buckets = tally.latencies().buckets().buckets;
        let slower = buckets.iter().filter(|(us, _)| u128::from(*us) >= limit.as_micros());
        slower.map(|(_, count)| count).sum::<u64>()
    };
    assert!((990..=1002).contains(&slow(5 * MS)), "{} were slow", slow(5 * MS));
    assert!((490..=502).contains(&slow(500 * MS)), "{} waited half a second", slow(500 * MS));
    assert!(tally.latencies().max().unwrap() >= 999 * MS);
    // A third of all waited, evenly from nothing to a second: the median felt nothing, p95 waited most of it.
    assert!(tally.latencies().quantile(0.5).unwrap() < 5 * MS);
    assert!(tally.latencies().quantile(0.95).unwrap() > 800 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_sends_only_as_fast_as_it_is_answered() {
    let plan = Plan { pace: Pace::Closed { callers: 4 }, duration: STALL, ..plan() };
    struct Slow;
    impl Target for Slow {
        async fn send(&self, _: u64, _: Instant) -> Result<(), Fault> {
            sleep(100 * MS).await;
            Ok(())
        }
    }
    let tally = run(plan, Slow).await.tally;
    let Counts { intended, answered, failed, .. } = tally.measured();
    assert!((36..=44).contains(&intended), "4 callers, 10 times each: {intended}");
    assert_eq!((answered, failed), (intended, 0));
    assert!(tally.latencies().min().unwrap() >= 99 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_fails_and_is_counted() {
    let plan = Plan { pace: open(100.0), duration: STALL, in_flight_max: 10, timeout: STALL, ..plan() };

    let tally = run(plan, Silent::default()).await.tally;

    assert_eq!(tally.measured(), Counts { intended: 100, sent: 10, answered: 0, failed: 100 });
    assert_eq!(tally.errors()[IN_FLIGHT_FULL], 90);
    assert_eq!(tally.errors()[NO_ANSWER], 10, "what is unanswered in the end is not forgotten");
    assert_eq!(tally.latencies().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_their_code_and_not_among_latencies() {
    let tally = run(Plan { pace: open(100.0), duration: STALL, ..plan() }, Picky(MS)).await.tally;
    assert_eq!(tally.measured(), Counts { intended: 100, sent: 100, answered: 50, failed: 50 });
    assert_eq!(tally.errors().get("overloaded"), Some(&50));
    assert_eq!(tally.latencies().count(), 50);
}

#[tokio::test(start_paused = true)]
async fn the_warm_up_is_not_in_the_figures() {
    let plan = Plan { pace: open(100.0), warm_up: STALL, duration: 2 * STALL, ..plan() };
    let tally = run(plan, Picky(MS)).await.tally;
    assert_eq!((tally.warm_up().intended, tally.measured().intended), (100, 200));
    assert_eq!(tally.series().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rate_below_one_per_duration_still_lasts_for_its_duration() {
    let begin = Instant::now();
    let tally = run(Plan { pace: open(0.01), duration: 5 * STALL, ..plan() }, Picky(MS)).await.tally;
    assert_eq!(tally.measured().intended, 1);
    assert!(begin.elapsed() >= 5 * STALL);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_says_so_and_how_long_it_was() {
    for pace in [open(100.0), Pace::Closed { callers: 3 }] {
        let plan = Arc::new(Plan { pace, ..plan() });
        let run = Run::new(plan, Picky(300 * MS), Environment::simulated(7));
        let live = run.live();
        let outcome = run.drive(|| sleep(2 * STALL)).await;
        assert!(outcome.cut_short);
        assert!(outcome.measured >= 2 * STALL && outcome.measured < 3 * STALL, "{:?}", outcome.measured);
        let Counts { intended, answered, failed, .. } = outcome.tally.measured();
        assert_eq!(intended, answered + failed, "all that started was waited for");
        // What arrived while it waited is not of the time that was measured.
        let arrived = outcome.tally.arrived();
        assert!(arrived > 0 && arrived < answered, "{arrived} of {answered} answers arrived before the stop");
        assert_eq!(live.look().measured, outcome.tally.measured());
    }
}

/// Whether the load was stopped or its time was over: a timeout may be an hour, and whoever cannot wait need not.
#[tokio::test(start_paused = true)]
async fn waiting_for_answers_can_be_stopped_too() {
    for (duration, ends) in [(10 * STALL, 2 * STALL), (STALL / 2, STALL / 2 + STALL)] {
        let plan = Plan { pace: open(10.0), duration, timeout: 3600 * STALL, ..plan() };
        let begin = Instant::now();
        let run = Run::new(Arc::new(plan), Silent::default(), Environment::simulated(7));
        let outcome = run.drive(|| sleep(STALL)).await;
        let took = begin.elapsed();
        assert!(took >= ends && took < ends + 100 * MS, "{took:?} for {ends:?}");
        assert!(outcome.cut_short);
        let Counts { intended, answered, failed, .. } = outcome.tally.measured();
        assert_eq!((failed, answered), (intended, 0));
        assert_eq!(outcome.tally.errors()[NO_ANSWER], intended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_a_closed_loop_rests_after_a_failure() {
    struct Refuses;
    impl Target for Refuses {
        async fn send(&self, _: u64, _: Instant) -> Result<(), Fault> {
            Err(Fault::named("unauthorized", "a test"))
        }
    }
    let plan = Plan { pace: Pace::Closed { callers: 1 }, connections: 1, duration: STALL, ..plan() };
    let failed = run(plan, Refuses).await.tally.measured().failed;
    assert!((80..=101).contains(&failed), "{failed} in a second");
}

#[tokio::test(start_paused = true)]
async fn requests_are_sent_while_others_wait() {
    let silent = Arc::new(Silent::default());
    let plan = Arc::new(Plan { pace: open(10.0), duration: 10 * STALL, timeout: STALL, ..plan() });
    let run = Run::new(plan, Arc::clone(&silent), Environment::simulated(7));
    let third = async || {
        while silent.asked.load(Ordering::SeqCst) < 3 {
            silent.someone.notified().await;
        }
    };
    let outcome = run.drive(third).await;
    assert!(outcome.cut_short, "the third was sent though the first had no answer");
    fn is_target<T: Target>() {}
    is_target::<Cluster>();
}
