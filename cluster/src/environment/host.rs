//! The machine that a simulated node runs on, with a switch: it can stand still, go on, and die.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};

/// The switch of one simulated node: of all tasks that were started through its environment, whoever started them.
///
/// Timers go on while the host stands still, so what was due meanwhile is late. Threads know nothing of the switch.
#[derive(Clone, Debug, Default)]
pub struct Host {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    power: Power,
    started: u64,
    /// Those that did not end yet, in the order of their start. `None` for a moment, while a task is started.
    tasks: BTreeMap<u64, Option<AbortHandle>>,
    /// Those that would have run while the host stood still.
    late: BTreeMap<u64, Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    Frozen,
    Off,
}

impl Host {
    /// Nothing runs until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        let mut state = self.state.lock();
        if state.power == Power::On {
            state.power = Power::Frozen;
        }
    }

    /// Everything goes on. Does nothing after a crash.
    pub fn thaw(&self) {
        let late = {
            let mut state = self.state.lock();
            if state.power != Power::Frozen {
                return;
            }
            state.power = Power::On;
            std::mem::take(&mut state.late)
        };
        late.into_values().for_each(Waker::wake);
    }

    /// Nothing runs any more; all tasks are dropped where they stand, when the runtime gets to them. A node that
    /// starts again does so on another host.
    pub fn crash(&self) {
        let tasks = {
            let mut state = self.state.lock();
            state.power = Power::Off;
            state.late.clear();
            std::mem::take(&mut state.tasks)
        };
        tasks.into_values().flatten().for_each(|task| task.abort());
    }

    /// How many tasks did not end yet.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.state.lock().tasks.len()
    }

    pub(super) fn spawn<F>(&self, on: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let number = self.enter();
        let task = on.spawn(Hosted { host: self.clone(), number, future: Box::pin(future) });
        self.entered(number, task.abort_handle());
        task
    }

    fn enter(&self) -> u64 {
        let mut state = self.state.lock();
        state.started += 1;
        let number = state.started;
        state.tasks.insert(number, None);
        number
    }

    /// On a runtime with several threads the task may have ended already.
    fn entered(&self, number: u64, task: AbortHandle) {
        let mut state = self.state.lock();
        if state.power == Power::Off {
            state.tasks.remove(&number);
            drop(state);
            task.abort();
        } else if let Some(entry) = state.tasks.get_mut(&number) {
            *entry = Some(task);
        }
    }
}

/// A task that runs while its host does.
struct Hosted<F> {
    host: Host,
    number: u64,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Hosted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let number = self.number;
        {
            let mut state = self.host.state.lock();
            match state.power {
                Power::On => {}
                Power::Frozen => {
                    state.late.insert(number, context.waker().clone());
                    return Poll::Pending;
                }
                Power::Off => return Poll::Pending,
            }
        }
        self.future.as_mut().poll(context)
    }
}

impl<F> Drop for Hosted<F> {
    fn drop(&mut self) {
        let mut state = self.host.state.lock();
        state.tasks.remove(&self.number);
        // A waker may hold the last handle of another task, whose end comes here too.
        let late = state.late.remove(&self.number);
        drop(state);
        drop(late);
    }
}
