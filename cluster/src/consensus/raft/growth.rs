//! How much was applied since the log was last cut.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts entries and bytes, and tells when they reach their bounds.
#[derive(Debug)]
pub(crate) struct Growth {
    entries: AtomicU64,
    bytes: AtomicU64,
    entries_max: u64,
    bytes_max: u64,
    has_ended: AtomicBool,
    news: Notify,
}

impl Growth {
    pub(crate) fn new(entries_max: u64, bytes_max: u64) -> Self {
        Self {
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            entries_max,
            bytes_max,
            has_ended: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    pub(crate) fn add(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.is_over(1) {
            self.news.notify_one();
        }
    }

    /// Nothing will be applied any more.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Returns with `true` when a bound was reached, with `false` at the end. For one waiter.
    pub(crate) async fn reached(&self) -> bool {
        self.news.notified().await;
        !self.has_ended.load(Ordering::Acquire)
    }

    /// Whether a bound was reached `times` times over.
    pub(crate) fn is_over(&self, times: u64) -> bool {
        let is_over =
            |count: &AtomicU64, max: u64| count.load(Ordering::Relaxed) >= max.saturating_mul(times);
        is_over(&self.entries, self.entries_max) || is_over(&self.bytes, self.bytes_max)
    }

    /// Begins to count from 0.
    pub(crate) fn restart(&self) {
        self.entries.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}
