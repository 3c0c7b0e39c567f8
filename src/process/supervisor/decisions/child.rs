//! One child, as its supervisor sees it.

use std::{sync::Arc, time::Duration};

use crate::process::supervisor::spec::ChildRules;

/// A child: its rules, how it is, and what it is.
#[derive(Debug)]
pub(in crate::process::supervisor) struct Child<T> {
    /// Unique among its siblings; dynamic children have none.
    pub(in crate::process::supervisor) id: Option<Arc<str>>,
    pub(in crate::process::supervisor) rules: ChildRules,
    pub(in crate::process::supervisor) state: ChildState,
    /// What it is; never looked at by the decisions.
    pub(in crate::process::supervisor) content: T,
    /// Without a calm time between them.
    pub(super) restarts_in_row: u32,
    /// Which timer counts; those armed before it do not.
    pub(super) attempt: u64,
}

impl<T> Child<T> {
    pub(super) fn new(id: Option<Arc<str>>, rules: ChildRules, content: T) -> Self {
        Self { id, rules, state: ChildState::Stopped, content, restarts_in_row: 0, attempt: 0 }
    }
}

/// How a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process::supervisor) enum ChildState {
    Stopped,
    Starting(Purpose),
    Running {
        since: Duration,
    },
    /// It ended and waits for its next start.
    Restarting,
    Stopping,
}

/// For what a child is started, which decides what it means when it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process::supervisor) enum Purpose {
    /// The supervisor begins: it cannot without this child.
    Boot,
    /// It ended: it is tried again.
    Restart,
    /// An operator added it: it is forgotten.
    NewChild,
    /// An operator started it again: it stays stopped.
    OldChild,
}
