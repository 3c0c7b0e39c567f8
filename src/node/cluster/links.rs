//! Joins what is pushed on the link to the router, and to the processes of other nodes.

use std::sync::Arc;

use parking_lot::Mutex;
use playhouse_cluster::{
    collections::Map,
    peering::{Lane, PushError, Session, ShardFrames, processes::Processes},
};

use crate::{
    process::Distribution,
    router::{Carrier, CarrierError, EntityLane, Remote, Router, Serving},
};

/// What goes over one session.
#[derive(Clone)]
enum End {
    Asking { remote: Remote, lane: EntityLane },
    Answering(Serving),
}

/// Hands frames of shard lanes to the router, and those of the lanes of processes and of mail to them.
pub(in crate::node) struct PushedFrames {
    router: Router,
    processes: Option<Processes>,
    distribution: Option<Distribution>,
    /// How many shard lanes this node dials to each peer.
    lanes: u16,
    ends: Mutex<Map<u64, End>>,
}

struct SessionCarrier(Arc<Session>);

impl Carrier for SessionCarrier {
    fn push(&self, write: &mut dyn FnMut(&mut Vec<u8>)) -> Result<(), CarrierError> {
        self.0.push(write).map_err(|error| match error {
            PushError::Full => CarrierError::Full,
            PushError::Closed => CarrierError::Closed,
            PushError::TooLarge => CarrierError::TooLarge,
        })
    }

    fn close(&self, reason: &str) {
        self.0.close(reason);
    }
}

impl PushedFrames {
    pub(in crate::node) fn new(
        router: Router,
        lanes: u8,
        processes: Option<Processes>,
        distribution: Option<Distribution>,
    ) -> Self {
        Self { router, processes, distribution, lanes: u16::from(lanes), ends: Mutex::default() }
    }

    /// Who takes what is pushed on that lane, if not the router.
    fn other(&self, session: &Session) -> Option<&dyn ShardFrames> {
        match session.lane() {
            Lane::Processes => self.processes.as_ref().map(|processes| processes as &dyn ShardFrames),
            Lane::Mail => self.distribution.as_ref().map(|distribution| distribution as &dyn ShardFrames),
            _ => None,
        }
    }

    fn hear(&self, end: &End, frames: &mut dyn Iterator<Item = &[u8]>) -> Result<(), String> {
        match end {
            End::Asking { remote, lane } => {
                for frame in frames {
                    let heard = self.router.lane_answered(remote, *lane, frame);
                    heard.map_err(|error| error.to_string())?;
                }
                Ok(())
            }
            End::Answering(serving) => serving.hear_all(frames).map_err(|error| error.to_string()),
        }
    }
}

impl ShardFrames for PushedFrames {
    fn opened(&self, session: &Arc<Session>) {
        if let Some(other) = self.other(session) {
            return other.opened(session);
        }
        let carrier = Arc::new(SessionCarrier(Arc::clone(session)));
        let end = match (session.is_dialer(), session.lane()) {
            (true, Lane::Shard(index)) => {
                let lane = EntityLane { index: u16::from(index), count: self.lanes };
                // It broke already, then: `closed` follows.
                let Ok(remote) = self.router.lane_opened(session.peer().raft_id, carrier) else { return };
                End::Asking { remote, lane }
            }
            _ => End::Answering(self.router.serve(carrier)),
        };
        self.ends.lock().insert(session.id(), end);
    }

    fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>) {
        if let Some(other) = self.other(session) {
            return other.frames(session, frames);
        }
        let Some(end) = self.ends.lock().get(&session.id()).cloned() else { return };
        if let Err(error) = self.hear(&end, frames) {
            tracing::error!(peer = session.peer().name, error, "a peer sent what cannot be understood");
            session.close("a frame could not be understood");
        }
    }

    fn closed(&self, session: &Arc<Session>) {
        if let Some(other) = self.other(session) {
            return other.closed(session);
        }
        match self.ends.lock().remove(&session.id()) {
            Some(End::Asking { remote, .. }) => self.router.lane_closed(&remote),
            Some(End::Answering(serving)) => self.router.served(&serving),
            None => {}
        }
    }
}
