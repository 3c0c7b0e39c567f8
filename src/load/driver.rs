//! Carries a plan out.
//!
//! Each request is a task. In an open loop one more task starts them at their moments, whatever became of those before.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use playhouse_cluster::environment::Environment;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Arrivals, Counts, Fault, IN_FLIGHT_FULL, Pace, Plan, Schedule, Tally, Target, fault::NO_ANSWER};

/// How long a caller of a closed loop waits after a failure, so that a target that refuses at once is not flooded.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(10);
/// How much longer than its timeout a request may take to say that it failed.
const GRACE: Duration = Duration::from_secs(1);

/// A run of a plan against a target.
#[derive(Debug)]
pub struct Run<T> {
    plan: Arc<Plan>,
    target: T,
    book: Arc<Mutex<Book>>,
    environment: Environment,
}

/// To look at a run while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(Arc<Mutex<Book>>);

/// What one sees of it.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    /// Requests of the warm-up so far.
    pub warm_up: Counts,
    /// Requests of the measured time so far.
    pub measured: Counts,
    /// Half of the answers took no longer.
    pub p50: Option<Duration>,
    /// All but one of a hundred answers took no longer.
    pub p99: Option<Duration>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The book.
    pub tally: Tally,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// How long was measured: the duration of the plan, unless it was cut short.
    pub measured: Duration,
    /// Whether it was ended before its time.
    pub cut_short: bool,
}

/// A run on its way.
#[derive(Debug)]
struct Shared<T> {
    plan: Arc<Plan>,
    target: T,
    book: Arc<Mutex<Book>>,
    environment: Environment,
    start: Instant,
    /// One for each request that may wait or be unanswered.
    permits: Arc<Semaphore>,
    permits_max: u32,
    /// No further request shall start.
    is_over: AtomicBool,
    /// Of the next request of a closed loop.
    number: AtomicU64,
}

/// The tally, until it is closed: what comes later is not counted twice.
#[derive(Debug)]
struct Book {
    tally: Tally,
    is_closed: bool,
}

impl<T: Target> Run<T> {
    /// A run that has not begun. The plan must have been [checked](Plan::check).
    #[must_use]
    pub fn new(plan: Arc<Plan>, target: T, environment: Environment) -> Self {
        let book = Arc::new(Mutex::new(Book { tally: Tally::new(&plan), is_closed: false }));
        Self { plan, target, book, environment }
    }

    /// To look at it while it runs.
    #[must_use]
    pub fn live(&self) -> Live {
        Live(Arc::clone(&self.book))
    }

    /// Runs until the time is over or a future of `stop` is ready. Then waits for what is unanswered, for as long as a request may
    /// take, or until the next future of `stop` is ready: `stop` is asked twice, and never before the future of before is gone.
    pub async fn drive(self, mut stop: impl AsyncFnMut()) -> Outcome {
        let started_at_ms = self.environment.wall_ms();
        let shared = Arc::new(self.begin());
        let is_stopped = match shared.plan.pace {
            Pace::Open { rate, arrivals } => shared.open_loop(rate, arrivals, stop()).await,
            Pace::Closed { callers } => shared.closed_loop(callers, stop()).await,
        };
        shared.is_over.store(true, Ordering::Relaxed);
        let measured = shared.cut();
        let is_left = shared.wait_for_answers(stop()).await;
        Outcome { tally: shared.close(), started_at_ms, measured, cut_short: is_stopped || is_left }
    }

    fn begin(self) -> Shared<T> {
        let permits_max = match self.plan.pace {
            Pace::Open { .. } => self.plan.in_flight_max,
            Pace::Closed { callers } => callers,
        };
        Shared {
            plan: self.plan,
            target: self.target,
            book: self.book,
            environment: self.environment,
            start: Instant::now(),
            permits: Arc::new(Semaphore::new(permits_max)),
            permits_max: u32::try_from(permits_max).expect("a checked plan is within its bounds"),
            is_over: AtomicBool::new(false),
            number: AtomicU64::new(0),
        }
    }
}

impl<T: Target> Shared<T> {
    /// Whether it was stopped.
    async fn open_loop(
        self: &Arc<Self>,
        rate: f64,
        arrivals: Arrivals,
        stop: impl Future<Output = ()>,
    ) -> bool {
        let (mut stop, end) = (pin!(stop), self.end());
        let schedule = Schedule::new(rate, arrivals, self.environment.random_u64());
        let starts = (0..).zip(schedule.take_while(|&intended| intended < end));
        for (number, intended) in starts {
            tokio::select! {
                biased;
                () = &mut stop => return true,
                // Gives way to other tasks now and then, also when it is late.
                () = sleep_until(self.start + intended) => self.start(number, intended),
            }
        }
        self.wait_for_end(stop).await
    }

    fn start(self: &Arc<Self>, number: u64, intended: Duration) {
        self.write(|tally| tally.intend(intended));
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => {
                let shared = Arc::clone(self);
                drop(self.environment.spawn(async move { shared.request(number, intended, &permit).await }));
            }
            Err(_) => self.write(|tally| tally.fail(intended, self.now(), IN_FLIGHT_FULL)),
        }
    }

    /// Whether it was stopped.
    async fn closed_loop(self: &Arc<Self>, callers: usize, stop: impl Future<Output = ()>) -> bool {
        for _ in 0..callers {
            let permit = Arc::clone(&self.permits).try_acquire_owned().expect("there is one for each");
            let shared = Arc::clone(self);
            drop(self.environment.spawn(async move { shared.call_until_over(&permit).await }));
        }
        self.wait_for_end(stop).await
    }

    async fn wait_for_end(&self, stop: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = stop => true,
            () = sleep_until(self.start + self.end()) => false,
        }
    }

    /// The measured time is over. Returns how long it was.
    fn cut(&self) -> Duration {
        let mut book = self.book.lock();
        let now = self.now();
        book.tally.cut(now);
        now.saturating_sub(self.plan.warm_up).min(self.plan.duration)
    }

    /// Whether it was stopped. What has no answer by then is counted as such when the book is closed.
    async fn wait_for_answers(&self, stop: impl Future<Output = ()>) -> bool {
        let all = self.permits.acquire_many(self.permits_max);
        tokio::select! {
            biased;
            _ = timeout(self.plan.timeout + GRACE, all) => false,
            () = stop => true,
        }
    }

    /// How long it is since the begin.
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn end(&self) -> Duration {
        self.plan.warm_up + self.plan.duration
    }

    fn write(&self, write: impl FnOnce(&mut Tally)) {
        let mut book = self.book.lock();
        if !book.is_closed {
            write(&mut book.tally);
        }
    }

    /// The permit is given back when this is over.
    async fn request(&self, number: u64, intended: Duration, _: &OwnedSemaphorePermit) -> bool {
        let sent = self.now();
        self.write(|tally| tally.send(intended, sent));
        let outcome = self.target.send(number, self.start + intended + self.plan.timeout).await;
        let now = self.now();
        self.write(|tally| match &outcome {
            Ok(()) => tally.answer(intended, now),
            Err(Fault { code, .. }) => tally.fail(intended, now, code),
        });
        outcome.is_ok()
    }

    async fn call_until_over(&self, permit: &OwnedSemaphorePermit) {
        while !self.is_over.load(Ordering::Relaxed) && self.now() < self.end() {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let intended = self.now();
            self.write(|tally| tally.intend(intended));
            if !self.request(number, intended, permit).await {
                sleep(REST_AFTER_FAILURE).await;
            }
        }
    }

    /// Nothing is counted any more; what has neither answer nor error has none.
    fn close(&self) -> Tally {
        let mut book = self.book.lock();
        book.is_closed = true;
        let mut tally = book.tally.clone();
        let now = self.now();
        for _ in 0..tally.measured().unanswered() {
            tally.fail(self.plan.warm_up, now, NO_ANSWER);
        }
        tally
    }
}

impl Live {
    /// What is in the book now.
    #[must_use]
    pub fn look(&self) -> Glance {
        let book = self.0.lock();
        let (tally, latencies) = (&book.tally, book.tally.latencies());
        let (p50, p99) = (latencies.quantile(0.5), latencies.quantile(0.99));
        Glance { warm_up: tally.warm_up(), measured: tally.measured(), p50, p99 }
    }
}

#[cfg(test)]
mod tests;
