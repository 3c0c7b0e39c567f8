//! The way to one shard: who executes it, as far as this node knows.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use playhouse_cluster::{
    consensus::{RaftId, Term},
    environment::{Environment, watch},
};
use tokio::time::Instant;

use super::{
    outgoing::CastStream,
    remote::Remote,
    stream::{Destination, Stream},
};
use crate::{
    protocol::ShardId,
    shard::{Mailbox, StreamId},
};

/// The way to one shard.
pub(super) struct Route {
    /// Who executes it.
    pub(super) destination: watch::Sender<Option<Destination>>,
    /// What clients of this node send there.
    pub(super) requests: Arc<Stream>,
    /// What outboxes of shards that this node leads send there, by their shard.
    pub(super) casts: Mutex<BTreeMap<ShardId, CastStream>>,
    known: Mutex<Known>,
}

/// Who says that it executes the shard.
struct Known {
    here: Option<(Term, Mailbox)>,
    there: BTreeMap<RaftId, (Term, Remote)>,
    /// Since when nobody says so.
    leaderless_since: Option<Instant>,
}

impl Known {
    /// The newest term wins: an older leader cannot commit anything any more.
    fn best(&self) -> Option<Destination> {
        let there = self.there.values().max_by_key(|(term, _)| *term);
        match (&self.here, there) {
            (Some((term, mailbox)), there) if there.is_none_or(|(other, _)| other <= term) => {
                Some(Destination::Here { term: *term, mailbox: mailbox.clone() })
            }
            (_, there) => {
                there.map(|(term, remote)| Destination::There { term: *term, remote: remote.clone() })
            }
        }
    }
}

impl Route {
    pub(super) fn new(shard: ShardId, id: StreamId, environment: Environment) -> Self {
        let leaderless_since = Some(environment.now());
        Self {
            destination: watch::channel(None).0,
            requests: Stream::new(id, shard, 0, environment),
            casts: Mutex::default(),
            known: Mutex::new(Known { here: None, there: BTreeMap::new(), leaderless_since }),
        }
    }

    /// The shard is executed on this node from now on, or no longer.
    pub(super) fn set_here(&self, here: Option<(Term, Mailbox)>, now: Instant) {
        self.change(now, |known| known.here = here);
    }

    /// A peer says that it executes the shard, or does no longer.
    pub(super) fn set_there(&self, remote: &Remote, term: Option<Term>, now: Instant) {
        self.change(now, |known| match term {
            Some(term) => drop(known.there.insert(remote.peer(), (term, remote.clone()))),
            // A newer lane to the same peer may have spoken already.
            None if known.there.get(&remote.peer()).is_some_and(|(_, known)| known.is(remote)) => {
                drop(known.there.remove(&remote.peer()));
            }
            None => {}
        });
    }

    /// Streams hear of a change in the order of the changes, because the lock is held until they did.
    fn change(&self, now: Instant, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock();
        change(&mut known);
        let best = known.best();
        known.leaderless_since = match (&best, known.leaderless_since) {
            (Some(_), _) => None,
            (None, since) => Some(since.unwrap_or(now)),
        };
        let is_same = match (&*self.destination.borrow(), &best) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is(other),
            _ => false,
        };
        if is_same {
            return;
        }
        self.destination.send_replace(best.clone());
        self.requests.redirect(best.clone());
        let casts: Vec<_> = self.casts.lock().values().map(|cast| Arc::clone(&cast.stream)).collect();
        casts.into_iter().for_each(|stream| stream.redirect(best.clone()));
    }

    /// The executor on this node.
    pub(super) fn executor(&self) -> Option<(Term, Mailbox)> {
        self.known.lock().here.clone()
    }

    /// Where the executor on this node takes messages.
    pub(super) fn mailbox(&self) -> Option<Mailbox> {
        self.executor().map(|(_, mailbox)| mailbox)
    }

    /// In which term it is executed on this node.
    pub(super) fn term_here(&self) -> Option<Term> {
        self.known.lock().here.as_ref().map(|(term, _)| *term)
    }

    /// Which peer executes it, or this node (`None`), if anybody does.
    pub(super) fn leader(&self) -> Option<Option<RaftId>> {
        self.destination.borrow().as_ref().map(|destination| match destination {
            Destination::Here { .. } => None,
            Destination::There { remote, .. } => Some(remote.peer()),
        })
    }

    /// Since when nobody is known who executes it.
    pub(super) fn leaderless_since(&self) -> Option<Instant> {
        self.known.lock().leaderless_since
    }
}
