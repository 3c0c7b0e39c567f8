//! Runs what is due: the one task of a simulated network.

use std::{
    sync::{Arc, Weak},
    task::Waker,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{super::Environment, world::World};

/// The world, and how the clock hears that something is due earlier than it thought.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    earlier: Arc<Notify>,
}

impl Shared {
    pub(super) fn start(world: World, environment: &Environment) -> Arc<Self> {
        let earlier = Arc::new(Notify::new());
        let shared = Arc::new(Self { world: Mutex::new(world), earlier: earlier.clone() });
        environment.spawn(run(Arc::downgrade(&shared), earlier));
        shared
    }

    /// Does something with the world. Who became able to go on is woken after it, in order and outside the lock.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let (result, ready, earlier) = {
            let mut world = self.world.lock();
            let before = world.next_due();
            let result = work(&mut world);
            let earlier = world.next_due().is_some_and(|next| before.is_none_or(|before| next < before));
            (result, world.take_ready(), earlier)
        };
        ready.into_iter().for_each(Waker::wake);
        if earlier {
            self.earlier.notify_one();
        }
        result
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.earlier.notify_one();
    }
}

/// Ends when nobody holds the network any more.
async fn run(shared: Weak<Shared>, earlier: Arc<Notify>) {
    while let Some(shared) = shared.upgrade() {
        let next = shared.with(World::run_due);
        drop(shared);
        tokio::select! {
            biased;
            () = earlier.notified() => {}
            () = wait(next) => {}
        }
    }
}

async fn wait(next: Option<Instant>) {
    match next {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
