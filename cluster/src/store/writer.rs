//! The one who writes: merges what waits, writes it, syncs once, wakes all.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::environment::watch;

use super::{
    Config, Engine, Health, Statistics, StoreError,
    config::{BACKLOG_POLL, BACKLOG_SYNC_EVERY, SPACE_RETRY},
    disk::{Disk, DiskCall},
    queue::Queue,
    request::{Outcome, Round, Waiter, Woken},
    space::Space,
};
use crate::environment::Environment;

/// What the handles and the writer share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) environment: Environment,
    pub(super) config: Config,
    pub(super) queue: Queue,
    pub(super) health: watch::Sender<Health>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) disk: Arc<Disk>,
    /// Closes when the engine is released: fields are dropped in their order, so keep it behind `engine`.
    pub(super) alive: watch::Sender<()>,
}

impl Shared {
    /// The store is not trusted any more: nothing is accepted until a restart. The first reason stays.
    pub(super) fn fail(&self, error: &StoreError) {
        self.health.send_if_modified(|health| match health {
            Health::Failed(_) => false,
            Health::Healthy | Health::Full { .. } => {
                tracing::error!(%error, "the store failed; no write is acknowledged until a restart");
                *health = Health::Failed(error.clone());
                true
            }
        });
        self.queue.close(error.clone());
    }

    /// As [`fail`](Self::fail), when the writer itself cannot tell those who wait: it is held by a call that does not return.
    pub(super) fn give_up(&self, error: &StoreError) {
        self.fail(error);
        let mut woken = Woken::default();
        while let Some(round) = self.queue.take(usize::MAX) {
            woken.add(round.into_waiters(), &Err(error.clone()));
        }
        woken.wake();
    }

    /// Calls the engine so that others see whether it returns.
    fn call<T>(
        &self,
        call: DiskCall,
        engine: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.disk.begin(call, self.environment.now());
        let outcome = engine();
        self.disk.end(call);
        outcome
    }

    /// Waits while the engine is behind. That is no call that hangs, however long it takes: each look is a call of its own, and a
    /// sync from time to time shows whether the disk still answers.
    fn wait_for_backlog(&self) -> Outcome {
        let mut synced = self.environment.now();
        while self.call(DiskCall::Write, || self.engine.is_behind())? {
            if let Health::Failed(error) = &*self.health.borrow() {
                return Err(error.clone());
            }
            if self.environment.now().duration_since(synced) >= BACKLOG_SYNC_EVERY {
                self.call(DiskCall::Sync, || self.engine.sync())?;
                synced = self.environment.now();
            }
            std::thread::sleep(BACKLOG_POLL);
        }
        Ok(())
    }

    fn announce(&self, news: &Result<(), StoreError>) {
        self.health.send_if_modified(|health| match (news, &*health) {
            (_, Health::Failed(_)) | (Ok(()), Health::Healthy) => false,
            (Ok(()), Health::Full { .. }) => {
                tracing::info!("there is space again; writes continue");
                *health = Health::Healthy;
                true
            }
            (Err(StoreError::Full { free_bytes, needed_bytes, .. }), before) => {
                if before.is_healthy() {
                    tracing::error!(free_bytes, needed_bytes, "no space; writes wait unacknowledged");
                }
                *health = Health::Full { free_bytes: *free_bytes, needed_bytes: *needed_bytes };
                true
            }
            (Err(_), _) => false,
        });
    }
}

/// What a step of the writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing waited.
    Idle,
    /// A round is visible now; somebody may wait for its sync.
    Wrote,
    /// There is no space. The round is kept; try again later.
    Stalled,
}

/// Takes rounds from the queue to the engine. Only one exists per store.
pub(super) struct Writer {
    shared: Arc<Shared>,
    space: Space,
    /// A round that found no space. It is written before all others.
    stalled: Option<Round>,
    /// Whose batch is written and not yet synced.
    unsynced: Vec<Waiter>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let space = Space::new(shared.engine.path(), shared.config.reserve_bytes, &shared.environment);
        Self { shared, space, stalled: None, unsynced: Vec::new() }
    }

    /// Writes one round, without sync.
    pub(super) fn write_next(&mut self) -> (Step, Woken) {
        let round_bytes_max = self.shared.config.round_bytes_max.get();
        let next = self.stalled.take().or_else(|| self.shared.queue.take(round_bytes_max));
        let Some(round) = next else { return (Step::Idle, Woken::default()) };
        let outcome = self.write(&round);
        self.shared.announce(&outcome);
        match outcome {
            Ok(()) => (Step::Wrote, self.written(round)),
            Err(StoreError::Full { .. }) => {
                self.stalled = Some(round);
                (Step::Stalled, Woken::default())
            }
            Err(error) => (Step::Wrote, self.fail(&error, round.into_waiters().collect())),
        }
    }

    fn write(&mut self, round: &Round) -> Outcome {
        if let Health::Failed(error) = &*self.shared.health.borrow() {
            return Err(error.clone());
        }
        if round.batch.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        shared.wait_for_backlog()?;
        shared.call(DiskCall::Write, || {
            self.space.take(round.batch.bytes())?;
            shared.engine.write(&round.batch)
        })
    }

    fn written(&mut self, round: Round) -> Woken {
        let statistics = &self.shared.statistics;
        statistics.writes.fetch_add(1, Relaxed);
        statistics.bytes_written.fetch_add(round.batch.bytes() as u64, Relaxed);
        statistics.applies.fetch_add(round.visible.len() as u64, Relaxed);
        let mut woken = Woken::default();
        woken.add(round.visible, &Ok(()));
        self.unsynced.extend(round.durable);
        woken
    }

    /// Whether somebody waits for a sync.
    pub(super) fn needs_sync(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Syncs if somebody waits for it.
    pub(super) fn sync(&mut self) -> Woken {
        if self.unsynced.is_empty() {
            return Woken::default();
        }
        if let Err(error) = self.sync_timed() {
            return self.fail(&error, Vec::new());
        }
        let mut woken = Woken::default();
        self.shared.statistics.commits.fetch_add(self.unsynced.len() as u64, Relaxed);
        woken.add(self.unsynced.drain(..), &Ok(()));
        woken
    }

    fn sync_timed(&self) -> Outcome {
        if let Health::Failed(error) = &*self.shared.health.borrow() {
            return Err(error.clone());
        }
        let started = self.shared.environment.now();
        self.shared.call(DiskCall::Sync, || self.shared.engine.sync())?;
        self.shared.statistics.record_sync(self.shared.environment.now().duration_since(started));
        Ok(())
    }

    /// Nobody gets anything but `error` from here on.
    fn fail(&mut self, error: &StoreError, waiters: Vec<Waiter>) -> Woken {
        self.shared.fail(error);
        let mut woken = Woken::default();
        woken.add(self.unsynced.drain(..).chain(waiters), &Err(error.clone()));
        while let Some(round) = self.shared.queue.take(usize::MAX) {
            woken.add(round.into_waiters(), &Err(error.clone()));
        }
        woken
    }

    /// A stalled round will not get space any more: its waiters hear that nothing of it was written.
    pub(super) fn give_up_stalled(&mut self) -> Woken {
        let mut woken = Woken::default();
        let reason = || StoreError::Closed { reason: "closed while the volume was full".to_owned() };
        let waiting = || self.shared.queue.take(usize::MAX);
        for round in self.stalled.take().into_iter().chain(std::iter::from_fn(waiting)) {
            woken.add(round.into_waiters(), &Err(reason()));
        }
        woken
    }

    /// Makes durable what was only applied, at the end.
    pub(super) fn finish(&mut self) -> Woken {
        let woken = self.sync();
        if let Err(error) = self.sync_timed() {
            self.shared.fail(&error);
        }
        woken
    }

    /// The life of the writer's thread: until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            let (step, woken) = self.write_next();
            woken.wake();
            match step {
                Step::Wrote => self.sync().wake(),
                Step::Stalled if self.shared.queue.pause(SPACE_RETRY) => self.give_up_stalled().wake(),
                Step::Stalled => (),
                Step::Idle if self.shared.queue.wait(None) => (),
                Step::Idle => break,
            }
        }
        self.finish().wake();
    }
}
