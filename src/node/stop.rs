//! The end of tasks: told, or when whoever would tell is gone.

use playhouse_cluster::environment::watch;

/// Becomes `true` when tasks are to end, at the latest when this is dropped: a loop that waits for a word that nobody can say any
/// more would never end, and never yield either.
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    /// Nothing ends yet.
    pub(super) fn new() -> (Self, watch::Receiver<bool>) {
        let (told, stopped) = watch::channel(false);
        (Self(told), stopped)
    }

    /// Everything that watches ends.
    pub(super) fn tell(&self) {
        self.0.send_replace(true);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.tell();
    }
}
