//! A value that many watch, waking whoever waits in the order in which they began to wait.
//!
//! As tokio's watch channel, which wakes them in a random order that no seed of ours can repeat. The names are the same.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// Where values come in. The channel ends with the last one.
pub struct Sender<T>(Arc<Shared<T>>);

/// Where values are seen.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The newest version that was seen here.
    seen: u64,
}

/// The value, which cannot change as long as this is held. Do not hold it while waiting.
pub struct Ref<'a, T>(MappedRwLockReadGuard<'a, T>);

/// Nobody sends any more, or nobody receives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end of the channel is gone")]
pub struct Closed;

struct Shared<T> {
    current: RwLock<Current<T>>,
    news: Notify,
    abandoned: Notify,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

struct Current<T> {
    value: T,
    version: u64,
}

/// A channel that holds `value`.
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        Ref(RwLockReadGuard::map(self.current.read_recursive(), |current| &current.value))
    }

    /// Waits for another version than `seen`.
    async fn newer_than(&self, seen: u64) -> Result<u64, Closed> {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // From here on no news is missed.
            news.as_mut().enable();
            let has_ended = self.senders.load(Ordering::Acquire) == 0;
            let version = self.current.read_recursive().version;
            if version != seen {
                return Ok(version);
            }
            if has_ended {
                return Err(Closed);
            }
            news.await;
        }
    }

    fn receiver(self: &Arc<Self>, seen: u64) -> Receiver<T> {
        self.receivers.fetch_add(1, Ordering::AcqRel);
        Receiver { shared: Arc::clone(self), seen }
    }
}

impl<T> Sender<T> {
    /// A channel that nobody watches yet.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            current: RwLock::new(Current { value, version: 0 }),
            news: Notify::new(),
            abandoned: Notify::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
        }))
    }

    /// Replaces the value, if anybody watches.
    ///
    /// # Errors
    ///
    /// [`Closed`]: nobody watches; nothing changed.
    pub fn send(&self, value: T) -> Result<(), Closed> {
        if self.is_closed() {
            return Err(Closed);
        }
        self.send_replace(value);
        Ok(())
    }

    /// Replaces the value, also if nobody watches. Returns the old one.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// Changes the value, and tells of it.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|current| {
            modify(current);
            true
        });
    }

    /// Changes the value; tells of it if `modify` says that it did change.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let is_modified = {
            let mut current = self.0.current.write();
            let is_modified = modify(&mut current.value);
            current.version += u64::from(is_modified);
            is_modified
        };
        if is_modified {
            self.0.news.notify_waiters();
        }
        is_modified
    }

    /// The value now.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// One more that watches; it has seen the value of now.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.current.read_recursive().version;
        self.0.receiver(seen)
    }

    /// Whether nobody watches.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many watch.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.receivers.load(Ordering::Acquire)
    }

    /// Returns when nobody watches any more.
    pub async fn closed(&self) {
        loop {
            let mut abandoned = std::pin::pin!(self.0.abandoned.notified());
            abandoned.as_mut().enable();
            if self.is_closed() {
                return;
            }
            abandoned.await;
        }
    }
}

impl<T> Sender<Option<T>> {
    /// Makes this the value if there is none yet.
    pub fn send_first(&self, value: T) {
        self.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(value);
            is_first
        });
    }
}

impl<T> Receiver<T> {
    /// The value now. It does not count as seen.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// The value now, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let current = self.shared.current.read_recursive();
        self.seen = current.version;
        Ref(RwLockReadGuard::map(current, |current| &current.value))
    }

    /// Whether there is a value that was not seen.
    ///
    /// # Errors
    ///
    /// [`Closed`], when nobody sends any more.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        if self.shared.senders.load(Ordering::Acquire) == 0 {
            return Err(Closed);
        }
        Ok(self.shared.current.read_recursive().version != self.seen)
    }

    /// Makes the value of now count as not seen.
    pub fn mark_changed(&mut self) {
        self.seen = self.seen.wrapping_sub(1);
    }

    /// Returns when there is a value that was not seen; it counts as seen then.
    ///
    /// # Errors
    ///
    /// [`Closed`], when nobody sends any more and the last value was seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        self.seen = self.shared.newer_than(self.seen).await?;
        Ok(())
    }

    /// Returns the value when it is as wanted, which may be at once. It counts as seen then.
    ///
    /// # Errors
    ///
    /// [`Closed`], when nobody sends any more and the last value is not as wanted.
    pub async fn wait_for(&mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            {
                let current = self.shared.current.read_recursive();
                self.seen = current.version;
                if is_wanted(&current.value) {
                    return Ok(Ref(RwLockReadGuard::map(current, |current| &current.value)));
                }
            }
            self.shared.newer_than(self.seen).await?;
        }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.news.notify_waiters();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receiver(self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.abandoned.notify_waiters();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receiver").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::environment::Environment;

    #[tokio::test(start_paused = true)]
    async fn whoever_waited_first_is_woken_first() {
        let environment = Environment::simulated(1);
        let (sender, receiver) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let (mut receiver, woken) = (receiver.clone(), woken.clone());
                environment.spawn(async move {
                    receiver.changed().await.unwrap();
                    woken.lock().push(number);
                })
            })
            .collect();
        // Time passes when all of them wait.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        sender.send(1).unwrap();
        futures_util::future::join_all(tasks).await;
        assert_eq!(*woken.lock(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_first_of_several_values_is_told() {
        let (sender, mut receiver) = channel(None);
        sender.send_first(1);
        assert_eq!(*receiver.borrow_and_update(), Some(1));
        sender.send_first(2);
        assert!(!receiver.has_changed().unwrap());
        assert_eq!(*receiver.borrow(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = channel(0);
        sender.send(1).unwrap();
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 1);
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(receiver.wait_for(|value| *value == 1).await.map(|value| *value), Ok(1));
        assert!(receiver.wait_for(|value| *value == 2).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_hears_that_nobody_watches_any_more() {
        let (sender, receiver) = channel(0);
        let other = receiver.clone();
        drop(receiver);
        let late = tokio::time::timeout(std::time::Duration::from_secs(1), sender.closed()).await;
        assert!(late.is_err() && !sender.is_closed());
        drop(other);
        sender.closed().await;
        assert_eq!(sender.send(1), Err(Closed));
        assert_eq!((sender.send_replace(2), *sender.borrow()), (0, 2));
    }
}
