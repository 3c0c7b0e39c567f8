//! Says in the log what goes wrong again and again, once per change.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Peer, hello::Refusal, hello::RefusalKind};
use crate::{consensus::RaftId, environment::Environment, identity::Incarnation};

/// How many peers are remembered. Past this all are forgotten, and said again.
const PEERS_MAX: usize = 1024;
/// Nothing is known about who does not authenticate, so there it is time that limits the lines.
const PAUSE: Duration = Duration::from_secs(60);
/// What lasted so long held, so that its end is news.
const HELD: Duration = Duration::from_secs(60);

pub(super) struct Notices {
    refused: Mutex<BTreeMap<Option<RaftId>, RefusalKind>>,
    failed: Mutex<Option<Instant>>,
    broken: Mutex<BTreeMap<RaftId, (Incarnation, &'static str)>>,
    environment: Environment,
}

impl Notices {
    pub(super) fn new(environment: Environment) -> Self {
        Self { refused: Mutex::default(), failed: Mutex::default(), broken: Mutex::default(), environment }
    }

    /// An authenticated node was refused. A node that finds itself among its seeds is as it should be, and that there is no such
    /// lane says nothing about the node.
    pub(super) fn refused(&self, who: Option<RaftId>, from: &str, refusal: &Refusal) {
        if matches!(refusal, Refusal::Myself | Refusal::NoSuchLane) {
            return;
        }
        let mut refused = self.refused.lock();
        if refused.len() >= PEERS_MAX {
            refused.clear();
        }
        if refused.insert(who, refusal.kind()) != Some(refusal.kind()) {
            let raft_id = who.map(|id| id.0);
            tracing::warn!(from, raft_id, %refusal, "a peer is refused");
        }
    }

    /// It is let in: another refusal is news again.
    pub(super) fn accepted(&self, who: RaftId) {
        self.refused.lock().remove(&Some(who));
    }

    /// A session with a peer, opened `lived` ago, cannot go on for the reason `why`. Whether that is to be told: it is when
    /// the last one did not end so, or this one has held for a while.
    pub(super) fn broke(&self, peer: &Peer, why: &'static str, lived: Duration) -> bool {
        let mut broken = self.broken.lock();
        if broken.len() >= PEERS_MAX {
            broken.clear();
        }
        let last = broken.insert(peer.raft_id, (peer.incarnation, why));
        lived >= HELD || last != Some((peer.incarnation, why))
    }

    /// Somebody who could not prove to be a peer was turned away.
    pub(super) fn failed(&self, from: &str, error: &(dyn std::error::Error + 'static)) {
        let now = self.environment.now();
        let mut last = self.failed.lock();
        if last.is_none_or(|last| now - last >= PAUSE) {
            *last = Some(now);
            tracing::warn!(
                from,
                error,
                "an incoming connection failed; more of them are only counted for a minute"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or the same real refusal would be news after each of them.
    #[tokio::test]
    async fn a_missing_lane_is_no_news_of_a_peer() {
        let notices = Notices::new(Environment::simulated(1));
        let who = Some(RaftId(1));
        notices.refused(who, "node-1", &Refusal::RaftIdInUse);
        notices.refused(who, "node-1", &Refusal::NoSuchLane);
        assert_eq!(notices.refused.lock().get(&who), Some(&RefusalKind::RaftIdInUse));
    }

    /// A session that failed as soon as it was open was an error in the log ten times a second.
    #[tokio::test]
    async fn what_breaks_again_and_again_is_told_once() {
        let notices = Notices::new(Environment::simulated(1));
        let peer = |incarnation| Peer {
            name: "node-1".to_owned(),
            raft_id: RaftId(1),
            incarnation: Incarnation(incarnation),
            release: String::new(),
            zone: String::new(),
            track: String::new(),
            cluster_id: None,
            protocol: 1,
        };
        let soon = HELD / 2;
        assert!(notices.broke(&peer(1), "starved", soon));
        assert!(!notices.broke(&peer(1), "starved", soon));
        assert!(notices.broke(&peer(1), "overflowed", soon), "another reason");
        assert!(!notices.broke(&peer(1), "overflowed", soon));
        assert!(notices.broke(&peer(1), "overflowed", HELD), "it held meanwhile");
        assert!(notices.broke(&peer(2), "overflowed", soon), "another start");
    }
}
