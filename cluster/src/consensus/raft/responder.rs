//! Tells the proposer how its proposal goes.

use openraft::{alias::LogIdOf, error::ClientWriteError};

use super::types::Types;
use crate::consensus::{Observer, Progress, ProposeError};

type WriteResult = openraft::raft::ClientWriteResult<Types>;

/// Called by openraft once with the commit and once with the end; silence means an unknown outcome.
pub(crate) struct Responder<T> {
    observer: Option<Box<dyn Observer>>,
    interpret: fn(&T) -> Progress,
}

impl Responder<WriteResult> {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Self {
        Self { observer: Some(observer), interpret }
    }
}

fn interpret(result: &WriteResult) -> Progress {
    match result {
        Ok(_) => Progress::Applied,
        // Refused before the entry was appended.
        Err(ClientWriteError::ForwardToLeader(_)) => Progress::Failed(ProposeError::NotCommitted),
        Err(_) => Progress::Failed(ProposeError::Unknown),
    }
}

impl<T: Send + 'static> openraft::raft::responder::Responder<Types, T> for Responder<T> {
    fn on_commit(&mut self, _: LogIdOf<Types>) {
        if let Some(observer) = &mut self.observer {
            observer.progress(Progress::Committed);
        }
    }

    fn on_complete(mut self, result: T) {
        if let Some(mut observer) = self.observer.take() {
            observer.progress((self.interpret)(&result));
        }
    }
}

impl<T> Drop for Responder<T> {
    fn drop(&mut self) {
        if let Some(mut observer) = self.observer.take() {
            observer.progress(Progress::Failed(ProposeError::Unknown));
        }
    }
}
