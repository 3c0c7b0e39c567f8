//! Runs an executor whenever this node leads a shard.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse_cluster::environment::watch;
use playhouse_cluster::{
    consensus::{Group, Leadership, RaftGroup, Term},
    store::StoreError,
};

use crate::{
    protocol::ShardId,
    router::Router,
    shard::{self, Executor, Handover, Mailbox, MailboxConfig, ShardServices, ShardStatistics},
    telemetry::Metrics,
};

/// Watches the leadership of one shard.
pub(super) struct Supervisor {
    pub(super) shard: ShardId,
    pub(super) group: RaftGroup,
    pub(super) router: Router,
    pub(super) services: ShardServices,
    pub(super) mailbox: MailboxConfig,
    pub(super) statistics: watch::Sender<ShardStatistics>,
    pub(super) metrics: Metrics,
    pub(super) fatal: watch::Sender<Option<String>>,
    pub(super) handover: CurrentHandover,
}

/// How to pause the executor of the current term. A cheap handle; both ends hold one.
#[derive(Clone, Default)]
pub(super) struct CurrentHandover(Arc<Mutex<Handover>>);

impl CurrentHandover {
    fn begin(&self) -> Handover {
        let handover = Handover::default();
        *self.0.lock() = handover.clone();
        handover
    }

    /// How to pause the executor that runs now.
    pub(super) fn get(&self) -> Handover {
        self.0.lock().clone()
    }
}

/// How long a replica waits before it gives a term up again, when its executor failed.
const FAILED_AGAIN: Duration = Duration::from_millis(200);

impl Supervisor {
    /// Runs until the node stops or the replica is gone. No executor runs any more when it returns.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut leadership = self.group.leadership();
        while !*stopped.borrow() {
            let now = *leadership.borrow_and_update();
            match now {
                Leadership::Leader { term } => self.lead(term, &stopped).await,
                Leadership::Follower { .. } => tokio::select! {
                    biased;
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    _ = leadership.changed() => {}
                },
                Leadership::Stopped => {
                    self.fail(&format!("the Raft group of shard {} stopped", self.shard));
                    break;
                }
            }
        }
        self.router.set_executor(self.shard, None);
    }

    async fn lead(&self, term: Term, stopped: &watch::Receiver<bool>) {
        let mailbox = Mailbox::new(self.mailbox);
        let executor = Executor {
            shard: self.shard,
            term,
            group: Arc::new(self.group.clone()),
            mailbox: mailbox.clone(),
            statistics: self.statistics.clone(),
            stopped: stopped.clone(),
            handover: self.handover.begin(),
        };
        // Before the executor runs: what it sends at once must find the way back.
        self.router.set_executor(self.shard, Some((term, mailbox.clone())));
        let (services, hasher) = (self.services.clone(), self.services.environment.hasher());
        let environment = &self.services.environment;
        let run = environment.spawn_executor(async move { shard::run(executor, services, &hasher).await });
        self.metrics.leadership_changes.with_label_values(&["gained"]).inc();
        let ended = run.await;
        drop(mailbox.close());
        self.router.set_executor(self.shard, None);
        self.metrics.leadership_changes.with_label_values(&["lost"]).inc();
        match ended {
            Ok(Ok(())) => tracing::debug!(shard = self.shard.0, ?term, "a term is over"),
            Ok(Err(error)) => self.unreadable(&error),
            // Its threads are shut down: the process ends, and nobody leads any more.
            Err(error) if error.is_cancelled() => return std::future::pending().await,
            Err(panic) => {
                tracing::error!(shard = self.shard.0, %panic, "an executor panicked; this is a bug")
            }
        }
        self.leave(term, stopped).await;
    }

    /// What an executor had in flight is unknown, so the next one needs another term.
    async fn leave(&self, term: Term, stopped: &watch::Receiver<bool>) {
        let mut leadership = self.group.leadership();
        while !*stopped.borrow() && *leadership.borrow_and_update() == (Leadership::Leader { term }) {
            if let Err(error) = self.group.elect().await {
                self.fail(&error.to_string());
                return;
            }
            drop(tokio::time::timeout(FAILED_AGAIN, leadership.changed()).await);
        }
    }

    fn unreadable(&self, error: &StoreError) {
        self.fail(&format!("shard {} cannot read its store: {error}", self.shard));
    }

    fn fail(&self, reason: &str) {
        tracing::error!(shard = self.shard.0, reason, "the node cannot serve this shard");
        self.fatal.send_first(reason.to_owned());
    }
}
