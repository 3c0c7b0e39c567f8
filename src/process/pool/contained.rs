//! A value of the user's, on its way: where it is dropped, a panic of its `Drop` hurts nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::process::ExitReason;

/// Holds a job or an answer.
pub(super) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Takes it out. From now on its end is the matter of who has it.
    pub(super) fn release(mut self) -> T {
        self.0.take().expect("it is taken out once")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            contain(|| drop(value));
        }
    }
}

/// Does what may drop a value of the user's.
pub(super) fn contain(part: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(part)) {
        let reason = ExitReason::of_panic(panic.as_ref());
        // What it panicked with may be of the same kind.
        std::mem::forget(panic);
        tracing::error!(%reason, "a job or an answer of a pool panicked when it was dropped");
    }
}
