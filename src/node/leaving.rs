//! How a node ends: it hands its leaderships over, answers what is under way, stops everything in order and gives its volume back;
//! or, when its store failed, it ends what can be ended.

use std::time::Duration;

use playhouse_cluster::{
    consensus::{Group, GroupId, Leadership, RaftGroup},
    membership::{Command, Member},
};
use tokio::time::Instant;

use super::{
    Node, Unfit,
    cluster::{control, council::SubmitError},
    disk,
};

/// How long links may take to close when nothing else can be ended.
const LINKS_WITHIN: Duration = Duration::from_secs(1);

/// How long executors may take to notice that the node stopped.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

impl Node {
    /// Hands all leaderships to other nodes, at most for `budget`. Requests go on all the time. A node without peers keeps
    /// them.
    pub async fn hand_over(&self, budget: Duration) {
        if !self.has_heirs() || self.has_left() {
            return;
        }
        self.draining.send_replace(true);
        let deadline = self.environment.now() + budget;
        let (raft_id, incarnation) = (self.identity.raft_id(), self.identity.incarnation());
        let drain = Command::Drain { raft_id, incarnation };
        match self.council.submit(&drain, budget.mul_f64(0.3)).await {
            Ok(_) => {}
            // It has left and was not told in time, or the others have given it up: they expect nothing of it.
            Err(SubmitError::Refused(refusal)) => {
                tracing::info!(%refusal, "the cluster does not count on this node any more");
            }
            Err(error) => tracing::warn!(%error, "the cluster does not know that this node drains"),
        }
        while self.leads_movable() && self.has_heirs() && self.environment.now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Not what the router knows: executors end a moment after their leadership.
        let left = self.groups.all().iter().filter(|(_, group)| leads(group)).count();
        if left > 0 && self.has_heirs() {
            tracing::warn!(
                left,
                "leaderships that nobody took over; they move by election when this node is gone"
            );
        }
    }

    /// Whether another member could lead. In a cluster that stops as a whole, or is gone, nobody can.
    fn has_heirs(&self) -> bool {
        let Some(peering) = &self.council.peering else { return false };
        let known = self.council.system.known().borrow().clone();
        let can_lead = |it: &Member| it.is_available() && control::hears(peering, it.raft_id, it.incarnation);
        known.is_some_and(|state| state.members().values().any(can_lead))
    }

    /// Whether the cluster has let this node go for good: then it has nothing to hand over.
    fn has_left(&self) -> bool {
        self.standing().check_member() == Err(Unfit::Left)
    }

    /// Whether this node leads a group that has other voters.
    fn leads_movable(&self) -> bool {
        let movable =
            |(_, group): (GroupId, RaftGroup)| leads(&group) && group.replicas().borrow().voters.len() > 1;
        self.groups.all().into_iter().any(movable)
    }

    /// The end of a node that [lost its store](Self::has_lost_store): what waits for that has no end, so nothing is waited for.
    /// But others hear at once that this node is gone, although its process may hang in its disk for long.
    async fn abandon(self) {
        self.router.drain();
        self.stop.tell();
        if let Some(peering) = &self.council.peering {
            drop(tokio::time::timeout(LINKS_WITHIN, peering.stop()).await);
        }
    }

    /// Stops the programs of processes, the last one first; what takes longer than this is killed. [`stop`](Self::stop) does it, too.
    pub async fn stop_applications(&self, budget: Duration) {
        self.applications.stop(budget).await;
    }

    /// Stops its programs of processes in at most half of `budget`, takes no more requests, waits for those under way at most for what is left
    /// of it, then stops everything in order.
    /// Another node may use the volume when it returns, unless a handler runs on for ever, or the store fails.
    pub async fn stop(self, budget: Duration) {
        let health = self.store.health();
        let deadline = self.environment.now() + budget;
        let finish = async {
            self.stop_applications(budget / 2).await;
            self.router.drain();
            self.answer_all(deadline).await;
        };
        let is_lost = tokio::select! {
            biased;
            _ = disk::failed(health.clone()) => true,
            () = finish => false,
        };
        if is_lost {
            return self.abandon().await;
        }
        // Before anything of the node is dropped: its tasks end by this.
        self.stop.tell();
        let peering = self.council.peering.clone();
        tokio::select! {
            biased;
            () = self.stop_in_order() => {}
            _ = disk::failed(health) => {
                tracing::warn!("the store failed while the node stopped; what waits for it is left alone");
                if let Some(peering) = peering {
                    drop(tokio::time::timeout(LINKS_WITHIN, peering.stop()).await);
                }
            }
        }
    }

    /// Waits for the requests under way.
    async fn answer_all(&self, deadline: Instant) {
        while self.router.unanswered() > 0 && self.environment.now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = self.router.unanswered();
        if left > 0 {
            tracing::warn!(left, "the drain budget is over; these requests get no answer");
        }
    }

    async fn stop_in_order(self) {
        for task in self.tasks {
            drop(task.await);
        }
        self.over.control.clear();
        self.over.copies.clear();
        self.groups.clear();
        self.operator.clear();
        self.council.system.group().shutdown().await;
        if let Some(peering) = &self.council.peering {
            peering.stop().await;
        }
        if let Some(processes) = &self.processes {
            processes.stop().await;
        }
        if let Some(distribution) = &self.distribution {
            distribution.stop();
        }
        drop((self.groups, self.council, self.over));
        // Executors that were asked to end may hold the store a moment longer.
        let released = tokio::time::timeout(RELEASED_WITHIN, self.store.release()).await;
        if released.is_err() {
            tracing::warn!("a handler does not return; the files stay open until the process ends");
        }
    }
}

fn leads(group: &RaftGroup) -> bool {
    matches!(*group.leadership().borrow(), Leadership::Leader { .. })
}
