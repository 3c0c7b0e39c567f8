//! Entity lanes that open and break, and what the router does about it.

use std::{sync::Arc, time::Duration};

use playhouse_cluster::{
    codec::DecodeError,
    consensus::{RaftId, Term},
};

use super::{
    Router,
    remote::{Carrier, CarrierError, Executors, News, Remote, Serving},
    route::Route,
};
use crate::{protocol::ShardId, shard::Mailbox};

/// How often lanes and waiting requests are looked after.
const TICK: Duration = Duration::from_millis(100);

/// Which of the entity lanes to a peer. Each shard has one lane, so that its messages keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityLane {
    /// Counts from 0.
    pub index: u16,
    /// How many there are.
    pub count: u16,
}

impl EntityLane {
    fn carries(self, shard: ShardId) -> bool {
        shard.0 % self.count.max(1) == self.index
    }
}

struct Here(std::sync::Weak<super::Inner>);

impl Executors for Here {
    fn executor(&self, shard: ShardId) -> Option<(Term, Mailbox)> {
        self.0.upgrade()?.routes.get(usize::from(shard.0))?.executor()
    }

    fn led(&self) -> Vec<(ShardId, Term)> {
        let Some(inner) = self.0.upgrade() else { return Vec::new() };
        let routes = inner.routes.iter().zip(0u16..);
        routes.filter_map(|(route, shard)| Some((ShardId(shard), route.term_here()?))).collect()
    }

    fn shards(&self) -> u16 {
        self.0.upgrade().map_or(0, |inner| inner.shards.get())
    }
}

impl Router {
    /// An entity lane that this node dialed is open.
    ///
    /// # Errors
    ///
    /// [`CarrierError`], when it broke already.
    pub fn lane_opened(&self, peer: RaftId, carrier: Arc<dyn Carrier>) -> Result<Remote, CarrierError> {
        let remote = Remote::open(peer, carrier, &self.inner.kinds, self.inner.environment.clone())?;
        self.inner.remotes.lock().push(remote.clone());
        Ok(remote)
    }

    /// A frame came back on a lane that this node dialed.
    ///
    /// # Errors
    ///
    /// When it is none: close the lane.
    pub fn lane_answered(&self, remote: &Remote, lane: EntityLane, frame: &[u8]) -> Result<(), DecodeError> {
        match remote.hear(frame)? {
            None => {}
            Some(News::Lead(shard, term)) => self.learn(remote, lane, shard, term),
            Some(News::Leads(leads)) => {
                for shard in (0..self.inner.shards.get()).map(ShardId) {
                    let term = leads.iter().find(|(led, _)| *led == shard).map(|(_, term)| *term);
                    self.learn(remote, lane, shard, term);
                }
            }
        }
        Ok(())
    }

    fn learn(&self, remote: &Remote, lane: EntityLane, shard: ShardId, term: Option<Term>) {
        let route: Option<&Route> = self.inner.routes.get(usize::from(shard.0));
        if let Some(route) = route.filter(|_| lane.carries(shard)) {
            route.set_there(remote, term, self.inner.environment.now());
        }
    }

    /// A lane that this node dialed broke: who waits for answers hears that the outcome is unknown, and streams send
    /// again when they know where to.
    pub fn lane_closed(&self, remote: &Remote) {
        self.inner.remotes.lock().retain(|known| !known.is(remote));
        // First the answers, then the new way: what is sent again must not meet its own unknown outcome.
        remote.close();
        let now = self.inner.environment.now();
        self.inner.routes.iter().for_each(|route| route.set_there(remote, None, now));
    }

    /// A peer dialed an entity lane.
    pub fn serve(&self, carrier: Arc<dyn Carrier>) -> Serving {
        let executors = Arc::new(Here(Arc::downgrade(&self.inner)));
        let (kinds, environment) = (Arc::clone(&self.inner.kinds), self.inner.environment.clone());
        let mut servings = self.inner.servings.lock();
        // Under the lock: a leadership that begins now is either in the first list or told afterwards.
        let serving = Serving::open(carrier, executors, kinds, environment);
        servings.push(serving.clone());
        serving
    }

    /// A lane that a peer dialed broke.
    pub fn served(&self, serving: &Serving) {
        self.inner.servings.lock().retain(|known| !known.is(serving));
        serving.close();
    }

    /// Looks after lanes and waiting requests, until the router is gone. Run it beside the router.
    pub fn look_after(&self, wait_for_leader: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (inner, environment) = (Arc::downgrade(&self.inner), self.inner.environment.clone());
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                let Some(inner) = inner.upgrade() else { return };
                let remotes = inner.remotes.lock().clone();
                // Under the lock: a leadership that begins now is either in the list or told after it.
                inner.servings.lock().iter().for_each(Serving::catch_up);
                remotes.iter().for_each(Remote::sweep);
                let waits_too_long = |route: &&Route| {
                    route.leaderless_since().is_some_and(|since| since + wait_for_leader <= environment.now())
                };
                inner.routes.iter().filter(waits_too_long).for_each(|route| route.requests.refuse_unsent());
            }
        }
    }
}
