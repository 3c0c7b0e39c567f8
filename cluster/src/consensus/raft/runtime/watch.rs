//! A value that many watch, waking whoever waits in the order in which they began to wait.
//!
//! Tokio's own watch channel wakes them in a random order, which no seed of ours can repeat.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use openraft::async_runtime::{
    RecvError, WatchReceiver, WatchSender,
    watch::{SendError, Watch},
};
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The type family.
pub(crate) struct Watched;

/// Where values come in. The channel ends with the last one.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// Where values are seen.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The newest version that was seen here.
    seen: u64,
}

struct Shared<T> {
    current: RwLock<Current<T>>,
    news: Notify,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

struct Current<T> {
    value: T,
    version: u64,
}

impl<T> Shared<T> {
    fn value(&self) -> MappedRwLockReadGuard<'_, T> {
        RwLockReadGuard::map(self.current.read(), |current| &current.value)
    }

    fn version(&self) -> u64 {
        self.current.read().version
    }

    fn receiver(self: &Arc<Self>, seen: u64) -> Receiver<T> {
        self.receivers.fetch_add(1, Ordering::AcqRel);
        Receiver { shared: Arc::clone(self), seen }
    }
}

impl Watch for Watched {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = MappedRwLockReadGuard<'a, T>;

    fn channel<T: Send + Sync>(value: T) -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Shared {
            current: RwLock::new(Current { value, version: 0 }),
            news: Notify::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
        });
        let receiver = shared.receiver(0);
        (Sender(shared), receiver)
    }
}

impl<T: Send + Sync> WatchSender<Watched, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|current| {
            *current = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
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

    fn borrow_watched(&self) -> MappedRwLockReadGuard<'_, T> {
        self.0.value()
    }

    fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.version();
        self.0.receiver(seen)
    }
}

impl<T: Send + Sync> WatchReceiver<Watched, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        loop {
            let shared = Arc::clone(&self.shared);
            let mut news = std::pin::pin!(shared.news.notified());
            // From here on no news is missed.
            news.as_mut().enable();
            let has_ended = shared.senders.load(Ordering::Acquire) == 0;
            let version = shared.version();
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if has_ended {
                return Err(RecvError(()));
            }
            news.await;
        }
    }

    fn borrow_watched(&self) -> MappedRwLockReadGuard<'_, T> {
        self.shared.value()
    }

    fn borrow_and_update(&mut self) -> MappedRwLockReadGuard<'_, T> {
        let current = self.shared.current.read();
        self.seen = current.version;
        RwLockReadGuard::map(current, |current| &current.value)
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
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receiver").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use openraft::rt::testing::Suite;
    use parking_lot::Mutex;

    use super::{super::Runtime, *};
    use crate::environment::Environment;

    #[test]
    fn openraft_finds_all_that_it_expects_of_a_runtime() {
        Suite::<Runtime>::test_all();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waited_first_is_woken_first() {
        let environment = Environment::simulated(1);
        let (sender, receiver) = Watched::channel(0);
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

    #[tokio::test(start_paused = true)]
    async fn the_last_value_is_seen_before_the_end() {
        let (sender, mut receiver) = Watched::channel(0);
        sender.send(1).unwrap();
        drop(sender);
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow_watched(), 1);
        assert!(receiver.changed().await.is_err());
    }
}
