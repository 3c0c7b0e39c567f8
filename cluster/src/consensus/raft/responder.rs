//! Tells the proposer how its proposal goes.

use std::sync::Arc;

use openraft::{alias::LogIdOf, error::ClientWriteError};

use super::{
    sequence::{Outcome, Refusals},
    types::Types,
};
use crate::consensus::{Observer, Progress, ProposeError};

type WriteResult = openraft::raft::ClientWriteResult<Types>;

/// Called by openraft once with the commit and once with the end; silence means an unknown outcome.
pub(crate) struct Responder<T> {
    observer: Option<Box<dyn Observer>>,
    term: u64,
    refusals: Arc<Refusals>,
    told_commit: bool,
    interpret: fn(&T) -> Result<(), ProposeError>,
}

impl Responder<WriteResult> {
    pub(crate) fn new(term: u64, refusals: Arc<Refusals>, observer: Box<dyn Observer>) -> Self {
        Self { observer: Some(observer), term, refusals, told_commit: false, interpret }
    }
}

fn interpret(result: &WriteResult) -> Result<(), ProposeError> {
    match result {
        Ok(response) => match response.data {
            Outcome::Applied => Ok(()),
            Outcome::Skipped => Err(ProposeError::NotCommitted),
        },
        // Refused before the entry was appended.
        Err(ClientWriteError::ForwardToLeader(_)) => Err(ProposeError::NotCommitted),
        Err(_) => Err(ProposeError::Unknown),
    }
}

impl<T> Responder<T> {
    /// The proposal was never handed over.
    pub(crate) fn refuse(mut self) {
        self.end(Err(ProposeError::NotCommitted));
    }

    fn tell_commit(&mut self) {
        if let Some(observer) = &mut self.observer
            && !std::mem::replace(&mut self.told_commit, true)
        {
            observer.progress(Progress::Committed);
        }
    }

    fn end(&mut self, result: Result<(), ProposeError>) {
        match &result {
            Ok(()) => self.tell_commit(),
            Err(_) => self.refusals.note(self.term),
        }
        if let Some(mut observer) = self.observer.take() {
            observer.progress(result.map_or_else(Progress::Failed, |()| Progress::Applied));
        }
    }
}

impl<T: Send + 'static> openraft::raft::responder::Responder<Types, T> for Responder<T> {
    fn on_commit(&mut self, _: LogIdOf<Types>) {
        if !self.refusals.may_skip(self.term) {
            self.tell_commit();
        }
    }

    fn on_complete(mut self, result: T) {
        self.end((self.interpret)(&result));
    }
}

impl<T> Drop for Responder<T> {
    fn drop(&mut self) {
        if self.observer.is_some() {
            self.end(Err(ProposeError::Unknown));
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::{error::ForwardToLeader, raft::ClientWriteResponse, raft::responder::Responder as _};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::{super::log::tests::log_id, *};

    struct Teller(UnboundedSender<Progress>);

    impl Observer for Teller {
        fn progress(&mut self, progress: Progress) {
            self.0.send(progress).unwrap();
        }
    }

    fn responder(refusals: &Arc<Refusals>) -> (Responder<WriteResult>, UnboundedReceiver<Progress>) {
        let (sender, receiver) = unbounded_channel();
        (Responder::new(1, Arc::clone(refusals), Box::new(Teller(sender))), receiver)
    }

    fn heard(mut receiver: UnboundedReceiver<Progress>) -> Vec<Progress> {
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    fn done(data: Outcome) -> WriteResult {
        Ok(ClientWriteResponse { log_id: log_id(5), data, membership: None })
    }

    #[test]
    fn a_commit_is_told_once_and_early_when_nothing_was_refused() {
        let (mut responder, mut news) = responder(&Arc::default());
        responder.on_commit(log_id(5));
        assert_eq!(news.try_recv(), Ok(Progress::Committed));
        responder.on_complete(done(Outcome::Applied));
        assert_eq!(heard(news), [Progress::Applied]);
    }

    #[test]
    fn behind_a_refusal_a_commit_is_told_only_when_it_took_effect() {
        let refusals = Arc::default();
        let (first, first_news) = responder(&refusals);
        let (mut second, second_news) = responder(&refusals);
        let (mut earlier, earlier_news) = responder(&refusals);
        first.on_complete(Err(ClientWriteError::ForwardToLeader(ForwardToLeader::empty())));
        assert_eq!(heard(first_news), [Progress::Failed(ProposeError::NotCommitted)]);
        second.on_commit(log_id(6));
        second.on_complete(done(Outcome::Skipped));
        assert_eq!(heard(second_news), [Progress::Failed(ProposeError::NotCommitted)]);
        earlier.on_commit(log_id(5));
        earlier.on_complete(done(Outcome::Applied));
        assert_eq!(heard(earlier_news), [Progress::Committed, Progress::Applied]);
    }

    #[test]
    fn a_dropped_proposal_is_unknown_and_makes_the_next_ones_doubtful() {
        let refusals = Arc::default();
        let (first, news) = responder(&refusals);
        drop(first);
        assert_eq!(heard(news), [Progress::Failed(ProposeError::Unknown)]);
        assert!(refusals.may_skip(1));
    }
}
