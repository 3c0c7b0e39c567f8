//! Where the leader of the system group decides.
//!
//! Comes in: commands, as they are asked for. Leaves: one proposal for those that wait, and an answer to each when that is
//! applied.
//!
//! A proposal costs a disk sync on a majority, and the whole configuration is written with it. The leaders of a thousand shards
//! that get their replicas report two thousand times; one proposal for each made that take minutes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use playhouse_cluster::{
    consensus::{Group, Leadership, Observer, Progress, ProposeError, Term},
    membership::{ClusterState, Command, Refusal},
    store::Batch,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{ExecuteError, Inner, KEY, System};
use crate::node::StartError;

/// How many commands may wait. Past this whoever asks is told to ask again.
pub(super) const WAITING_MAX: usize = 4_096;
/// How many commands one proposal carries out.
pub(super) const COMMANDS_MAX: usize = 256;
/// How long anybody waits for an answer: other nodes leave a little later, and are not seen to.
pub(super) const ASKED_WITHIN: Duration = Duration::from_secs(6);
/// How long a proposal may take to be committed.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// A command that is not decided yet.
pub(super) struct Waiting {
    pub(super) command: Command,
    /// Past this nobody waits for it: whoever asked asks again.
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<Result<u64, ExecuteError>>,
}

/// What was proposed in the current term.
#[derive(Default)]
pub(super) struct Desk {
    term: Term,
    last: u64,
    /// A proposal of this term was lost, so no other of it can be committed.
    is_broken: bool,
}

impl Desk {
    /// What was lost may still be committed: nothing can be decided before another term shows what came of it.
    fn sit_down(&mut self, term: Term) -> Result<(), ExecuteError> {
        if self.term != term {
            *self = Self { term, ..Self::default() };
        }
        if self.is_broken {
            return Err(ExecuteError::Unknown("a proposal before it was lost".to_owned()));
        }
        Ok(())
    }
}

/// Decides what waits, as long as anybody has the replica. It is a task of its own because whoever asks may leave at any time,
/// and a proposal that nobody waits for is lost for the whole term.
pub(super) async fn run(inner: Weak<Inner>, mut commands: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    while commands.recv_many(&mut waiting, COMMANDS_MAX).await > 0 {
        let Some(inner) = inner.upgrade() else { return };
        System { inner }.serve(std::mem::take(&mut waiting)).await;
    }
}

impl System {
    /// Carries out what is still asked for, and tells each what came of it.
    async fn serve(&self, waiting: Vec<Waiting>) {
        let now = self.inner.environment.now();
        let (waiting, late): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| now < one.until);
        late.into_iter().for_each(|one| drop(one.answer.send(Err(ExecuteError::Busy))));
        let waiting = waiting.into_iter().filter(|one| !one.answer.is_closed());
        let (commands, answers): (Vec<_>, Vec<_>) = waiting.map(|one| (one.command, one.answer)).unzip();
        if commands.is_empty() {
            return;
        }
        match self.decide(&commands).await {
            Ok(decided) => {
                for (answer, decided) in answers.into_iter().zip(decided) {
                    drop(answer.send(decided.map_err(ExecuteError::Refused)));
                }
            }
            Err(error) => {
                // Before the term is ended, which may take longer than anybody waits.
                answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone()))));
                let desk = self.inner.desk.lock().await;
                self.end_broken_term(&desk).await;
            }
        }
    }

    /// Commits what comes of all of `commands` at once. An error is the error of each of them: a refusal, too, may be for the
    /// sake of one before it that was not committed.
    async fn decide(&self, commands: &[Command]) -> Result<Vec<Result<u64, Refusal>>, ExecuteError> {
        let mut desk = self.inner.desk.lock().await;
        let leadership = *self.inner.group.leadership().borrow();
        let term = match leadership {
            Leadership::Leader { term } => term,
            Leadership::Follower { leader } => return Err(ExecuteError::NotLeader { leader }),
            Leadership::Stopped => return Err(ExecuteError::NotLeader { leader: None }),
        };
        desk.sit_down(term)?;
        let state = self.read().map_err(unreadable)?;
        let state = state.ok_or(ExecuteError::NotLeader { leader: None })?;
        let decided = state.decide_all(commands, self.inner.environment.wall_ms());
        match decided.next {
            // A leader that was deposed and does not know it would answer from an old configuration.
            None => self.confirm(term).await?,
            Some(next) => self.replace(&mut desk, term, &Arc::new(next)).await?,
        }
        Ok(decided.answers)
    }

    /// Makes sure that this node led until now.
    async fn confirm(&self, term: Term) -> Result<(), ExecuteError> {
        let confirmed = tokio::time::timeout(COMMIT_WITHIN, self.inner.group.read_barrier(term)).await;
        match confirmed {
            Ok(Ok(())) => Ok(()),
            _ => Err(ExecuteError::NotLeader { leader: None }),
        }
    }

    /// Makes `state` what the group holds.
    pub(super) async fn replace(
        &self,
        desk: &mut Desk,
        term: Term,
        state: &Arc<ClusterState>,
    ) -> Result<(), ExecuteError> {
        desk.sit_down(term)?;
        let encoded = state.encode().map_err(|error| ExecuteError::Unknown(error.to_string()))?;
        let encoded = Bytes::from(encoded);
        // This node need not read what it wrote.
        *self.inner.last_read.lock() = Some((encoded.clone(), Arc::clone(state)));
        let mut batch = Batch::new();
        batch.put(KEY, encoded);
        desk.last += 1;
        // Until it is known to be applied: whoever waits for it may be gone before.
        desk.is_broken = true;
        let (tell, applied) = oneshot::channel();
        let proposed = async {
            self.inner.group.propose(term, desk.last, batch, Box::new(Applied(Some(tell)))).await;
            applied.await
        };
        match tokio::time::timeout(COMMIT_WITHIN, proposed).await {
            Ok(Ok(Ok(()))) => {
                desk.is_broken = false;
                // Whoever asked looks at it next.
                self.read().map(drop).map_err(unreadable)
            }
            Ok(Ok(Err(ProposeError::NotCommitted))) => Err(ExecuteError::NotLeader { leader: None }),
            Ok(Ok(Err(ProposeError::Unknown)) | Err(_)) => {
                Err(ExecuteError::Unknown("leadership was lost".to_owned()))
            }
            Err(_) => Err(ExecuteError::Unknown("no majority answered in time".to_owned())),
        }
    }

    /// Only another term can go on behind a proposal that was lost. A replica whose disk hangs cannot even say so.
    pub(super) async fn end_broken_term(&self, desk: &Desk) {
        if desk.is_broken {
            drop(tokio::time::timeout(COMMIT_WITHIN, self.inner.group.elect()).await);
        }
    }
}

fn unreadable(error: StartError) -> ExecuteError {
    ExecuteError::Unknown(error.to_string())
}

/// Waits until a proposal is applied.
struct Applied(Option<oneshot::Sender<Result<(), ProposeError>>>);

impl Observer for Applied {
    fn progress(&mut self, progress: Progress) {
        let outcome = match progress {
            Progress::Committed => return,
            Progress::Applied => Ok(()),
            Progress::Failed(error) => Err(error),
        };
        if let Some(tell) = self.0.take() {
            drop(tell.send(outcome));
        }
    }
}
