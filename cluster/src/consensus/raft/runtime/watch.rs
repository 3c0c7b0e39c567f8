//! Watch channels as openraft wants them: those of the environment, which wake whoever waits in a certain order.

use openraft::async_runtime::{
    RecvError, WatchReceiver, WatchSender,
    watch::{SendError, Watch},
};

use crate::environment::watch::{self, Receiver, Ref, Sender};

/// The type family.
pub(crate) struct Watched;

impl Watch for Watched {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Ref<'a, T>;

    fn channel<T: Send + Sync>(value: T) -> (Sender<T>, Receiver<T>) {
        watch::channel(value)
    }
}

impl<T: Send + Sync> WatchSender<Watched, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        Self::send_if_modified(self, modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Self::subscribe(self)
    }
}

impl<T: Send + Sync> WatchReceiver<Watched, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        Self::changed(self).await.map_err(|_| RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        Self::borrow_and_update(self)
    }
}

#[cfg(test)]
mod tests {
    use openraft::rt::testing::Suite;

    use super::super::Runtime;

    #[test]
    fn openraft_finds_all_that_it_expects_of_a_runtime() {
        Suite::<Runtime>::test_all();
    }
}
