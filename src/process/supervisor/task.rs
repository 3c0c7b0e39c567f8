//! The task that a child runs in, and what can be left when it has ended: the tasks below a supervisor that was killed.
//!
//! Comes in: the task of each child. Leaves: the moment when the last of a child is gone, and of all that was below it.
//!
//! A supervisor that ends in good order has waited for its children. One that is killed, or whose start is broken off, is dropped
//! where it stands. What it has not waited for is then left to the supervisor above, which waits in its place.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// What a supervisor has left behind: at most its children and the one that it was starting, of which `children_max` is the bound.
#[derive(Default)]
pub struct Leftovers {
    remains: Mutex<Vec<Remains>>,
}

impl Leftovers {
    /// A task that ends, and leaves here what it has not waited for, is waited for, too.
    pub(in crate::process) fn add(&self, task: JoinHandle<()>) {
        self.remains.lock().push(Remains { task: Some(task), ..Remains::default() });
    }

    fn is_empty(&self) -> bool {
        self.remains.lock().is_empty()
    }

    /// Nothing is taken out before it is gone, so whoever stops waiting loses nothing.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut remains = self.remains.lock();
        while let Some(last) = remains.last_mut() {
            ready!(last.poll_gone(cx));
            remains.pop();
        }
        Poll::Ready(())
    }
}

/// What is there of a child.
#[derive(Default)]
struct Remains {
    /// `None`: it does not run yet, or has ended.
    task: Option<JoinHandle<()>>,
    /// What it leaves behind, if it is a supervisor: all that it ever will, when its task has ended.
    below: Arc<Leftovers>,
}

impl Remains {
    fn is_gone(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished) && self.below.is_empty()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(task) = &mut self.task {
            // An error means that the runtime took the task away.
            let _ = ready!(Pin::new(task).poll(cx));
            self.task = None;
        }
        self.below.poll_gone(cx)
    }
}

/// A child from when it is being started until the last of it is gone. Whoever drops it before that leaves it to the heir.
pub(super) struct ChildTask {
    remains: Remains,
    heir: Arc<Leftovers>,
}

impl ChildTask {
    /// The heir is what the supervisor of this child leaves behind.
    pub(super) fn new(heir: &Arc<Leftovers>) -> Self {
        Self { remains: Remains::default(), heir: Arc::clone(heir) }
    }

    /// What the child leaves behind.
    pub(super) fn below(&self) -> Arc<Leftovers> {
        Arc::clone(&self.remains.below)
    }

    /// It has started, and runs in this task.
    pub(super) fn runs_in(&mut self, task: JoinHandle<()>) {
        self.remains.task = Some(task);
    }

    /// Waits until the last of it is gone, and of all that was below it. May be broken off and begun again.
    pub(super) async fn gone(&mut self) {
        poll_fn(|cx| self.remains.poll_gone(cx)).await;
    }
}

impl Drop for ChildTask {
    fn drop(&mut self) {
        if !self.remains.is_gone() {
            self.heir.remains.lock().push(std::mem::take(&mut self.remains));
        }
    }
}
