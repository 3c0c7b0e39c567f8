//! What all tasks of the link share, and how a proved connection becomes a session.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

use super::{
    Config, Cookie, CookieSource, Lane, Local, Service, ServiceId, Session, ShardFrames, Statistics, Traffic,
    frame::{Beat, Kind},
    handshake::{Channel, HandshakeError, Parts},
    hello::{self, Hello, Protocols, Refusal, Reply, Verdict},
    notice::Notices,
    processes, reader,
    record::{Opener, Sealer},
    requests::Budget,
    session::Opening,
    table::{Table, Wish},
    tasks::Tasks,
    writer,
};
use crate::{consensus::RaftId, environment::Environment};

pub(super) struct Link {
    pub(super) config: Config,
    pub(super) local: Local,
    pub(super) protocols: Protocols,
    pub(super) cookies: Arc<dyn CookieSource>,
    pub(super) services: BTreeMap<ServiceId, Arc<dyn Service>>,
    pub(super) frames: Arc<dyn ShardFrames>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) environment: Environment,
    pub(super) tasks: Tasks,
    pub(super) table: Table,
    pub(super) notices: Notices,
    /// A new peer reached us: whoever pauses before dialing again may find it.
    pub(super) redial: Notify,
    pub(super) origin: Instant,
    pub(super) sessions: AtomicU64,
    /// What the requests of each peer may hold, as long as any session or request uses it.
    pub(super) budgets: Mutex<BTreeMap<(RaftId, Lane), Weak<Budget>>>,
}

/// Who is at the other end of a channel, before the session opens.
struct Met {
    hello: Hello,
    protocol: u16,
}

impl Link {
    /// Milliseconds since the link was started.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from((self.environment.now() - self.origin).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn traffic(&self, session: &Session) -> &Traffic {
        self.statistics.traffic(session.lane().class())
    }

    /// What this node says about itself on `lane`.
    pub(super) fn hello(&self, lane: Lane) -> Hello {
        let limits = (self.config.encryption, self.config.frame_bytes_max);
        Hello::of(&self.local, self.table.cluster_id(), lane, limits)
    }

    /// Exchanges hellos with who was dialed, and opens the session. `expected`: who must answer there, if it is known.
    pub(super) async fn introduce(
        self: &Arc<Self>,
        mut channel: Channel,
        lane: Lane,
        address: &str,
        expected: Option<&Session>,
    ) -> Result<Arc<Session>, HandshakeError> {
        channel.send(&hello::encode(self.protocols, &self.hello(lane))).await?;
        let bytes = channel.receive().await?;
        let (protocols, body) = hello::split(&bytes)?;
        let Some(protocol) = self.protocols.agree(protocols) else {
            let Protocols { oldest, newest } = protocols;
            return Err(self.refused_by_peer(Refusal::NoCommonProtocol { oldest, newest }));
        };
        let met = match hello::decode_reply(body)? {
            Reply::Refused(refusal) => return Err(self.refused_by_peer(refusal)),
            Reply::Welcome(hello) => Met { hello, protocol },
        };
        if let Err(refusal) = self.judge(&met.hello, lane, address).and_then(|()| same(&met.hello, expected))
        {
            channel.send(&encoded(&Verdict::Refused(refusal.clone()))).await?;
            return Err(self.refuse(refusal));
        }
        channel.send(&encoded(&Verdict::Confirmed)).await?;
        self.open(channel, met, lane, Some(address)).map_err(|refusal| self.refuse(refusal))
    }

    /// Exchanges hellos with who connected, and opens the session.
    pub(super) async fn welcome(
        self: &Arc<Self>,
        mut channel: Channel,
        from: &str,
    ) -> Result<Arc<Session>, HandshakeError> {
        // Until this is received the dialer may be a replay.
        let bytes = channel.receive().await?;
        let met = match self.meet(&bytes)? {
            Ok(met) => met,
            Err((refusal, who)) => {
                channel.send(&hello::encode(self.protocols, &Reply::Refused(refusal.clone()))).await?;
                self.notices.refused(who, from, &refusal);
                return Err(self.refuse(refusal));
            }
        };
        let lane = met.hello.lane;
        channel.send(&hello::encode(self.protocols, &Reply::Welcome(self.hello(lane)))).await?;
        match hello::decode_verdict(&channel.receive().await?)? {
            Verdict::Refused(refusal) => Err(self.refused_by_peer(refusal)),
            Verdict::Confirmed => self.open(channel, met, lane, None).map_err(|refusal| self.refuse(refusal)),
        }
    }

    /// Who says this hello, or why it is refused (and who it is, if that can be known).
    #[allow(clippy::type_complexity)] // Welcome, or a reason and perhaps a name.
    fn meet(&self, bytes: &[u8]) -> Result<Result<Met, (Refusal, Option<RaftId>)>, HandshakeError> {
        let (protocols, body) = hello::split(bytes)?;
        let Some(protocol) = self.protocols.agree(protocols) else {
            let Protocols { oldest, newest } = self.protocols;
            return Ok(Err((Refusal::NoCommonProtocol { oldest, newest }, None)));
        };
        let hello = hello::decode_hello(body)?;
        Ok(match self.judge(&hello, hello.lane, "") {
            Ok(()) => Ok(Met { hello, protocol }),
            Err(refusal) => Err((refusal, Some(hello.raft_id))),
        })
    }

    /// Whether this node talks to who says `hello`. `address` is empty when it connected.
    fn judge(&self, hello: &Hello, lane: Lane, address: &str) -> Result<(), Refusal> {
        if hello.raft_id == self.local.raft_id {
            let is_me = hello.incarnation == self.local.incarnation;
            return Err(if is_me { Refusal::Myself } else { Refusal::RaftIdInUse });
        }
        if hello.shards != self.local.shards {
            return Err(Refusal::OtherShards { here: self.local.shards, there: hello.shards });
        }
        let is_accepted = address.is_empty();
        if lane.is_shared() && is_accepted && !self.takes_from(lane, hello.raft_id) {
            return Err(Refusal::NoSuchLane);
        }
        self.table.admit(&Wish {
            raft_id: hello.raft_id,
            incarnation: hello.incarnation,
            cluster_id: hello.cluster_id,
            lane,
            is_dialer: !address.is_empty(),
            address,
        })
    }

    /// One end of each pair dials a lane that both share, so that there are never two.
    fn takes_from(&self, lane: Lane, peer: RaftId) -> bool {
        self.has(lane) && peer < self.local.raft_id
    }

    /// Which lanes this node dials for itself and `peer`.
    pub(super) fn shared_lanes_to(&self, peer: RaftId) -> impl Iterator<Item = Lane> {
        let is_dialed = move |lane: &Lane| self.has(*lane) && self.local.raft_id < peer;
        [Lane::Processes, Lane::Mail].into_iter().filter(is_dialed)
    }

    fn has(&self, lane: Lane) -> bool {
        match lane {
            Lane::Processes => self.config.processes,
            Lane::Mail => self.config.mail,
            Lane::Control | Lane::Consensus | Lane::Shard(_) | Lane::Bulk => true,
        }
    }

    fn refuse(&self, refusal: Refusal) -> HandshakeError {
        self.statistics.refused(refusal.kind()).increment();
        HandshakeError::Refused(refusal)
    }

    fn refused_by_peer(&self, refusal: Refusal) -> HandshakeError {
        self.statistics.refused_by_peer(refusal.kind()).increment();
        HandshakeError::RefusedByPeer(refusal)
    }

    fn open(
        self: &Arc<Self>,
        channel: Channel,
        met: Met,
        lane: Lane,
        address: Option<&str>,
    ) -> Result<Arc<Session>, Refusal> {
        let is_encrypted = met.hello.is_encrypted || self.hello(lane).is_encrypted;
        let session = Arc::new(self.session(&met, channel.cookie(), lane, address.is_some()));
        if lane.is_pushed() {
            self.frames.opened(&session);
        }
        let registered = match self.table.register(&session, address.unwrap_or_default()) {
            Ok(registered) => registered,
            Err(refusal) => {
                session.close(&refusal.to_string());
                self.tell_closed(&session);
                return Err(refusal);
            }
        };
        self.statistics.sessions_opened.increment();
        close_all(registered.doomed, "a newer connection replaced it");
        self.start(&session, channel.into_parts(), is_encrypted);
        self.greet(&session, registered.is_new);
        Ok(session)
    }

    fn session(&self, met: &Met, cookie: &Cookie, lane: Lane, is_dialer: bool) -> Session {
        let opening = Opening {
            secret: (lane == Lane::Processes).then(|| cookie.derive_other(processes::COOKIE_CONTEXT)),
            id: self.sessions.fetch_add(1, Relaxed),
            lane,
            is_dialer,
            peer: met.hello.peer(met.protocol),
            peer_frame_bytes_max: met.hello.frame_bytes_max,
            budget: self.budget(met.hello.raft_id, lane),
            now_ms: self.now_ms(),
        };
        Session::new(opening, &self.config)
    }

    /// The budget outlives the session as long as a request of it is not answered, so connecting again gives no more room.
    fn budget(&self, of: RaftId, lane: Lane) -> Arc<Budget> {
        let mut budgets = self.budgets.lock();
        if let Some(budget) = budgets.get(&(of, lane)).and_then(Weak::upgrade) {
            return budget;
        }
        budgets.retain(|_, budget| budget.strong_count() > 0);
        let budget = Arc::new(Budget::new(self.config.requests_bytes_max));
        budgets.insert((of, lane), Arc::downgrade(&budget));
        budget
    }

    fn start(self: &Arc<Self>, session: &Arc<Session>, parts: Parts, is_encrypted: bool) {
        let Parts { connection, noise, sent, received } = parts;
        let (read_half, write_half) = connection.into_ends();
        let opener = is_encrypted.then(|| Opener::new(Arc::clone(&noise), received));
        let sealer = is_encrypted.then(|| Sealer::new(noise, sent));
        self.tasks.spawn(reader::run(Arc::clone(self), Arc::clone(session), read_half, opener));
        self.tasks.spawn(writer::run(Arc::clone(self), Arc::clone(session), write_half, sealer));
    }

    fn greet(&self, session: &Arc<Session>, is_new: bool) {
        let peer = session.peer();
        if session.lane() == Lane::Control {
            self.notices.accepted(peer.raft_id);
            let (name, raft_id, incarnation) = (&peer.name, peer.raft_id.0, peer.incarnation.0);
            tracing::info!(peer = %name, raft_id, incarnation, is_dialer = session.is_dialer(), "peer connected");
            if !is_new && session.is_dialer() {
                self.statistics.reconnects.increment();
            }
        }
        if session.is_dialer() {
            self.ping(session);
        } else if session.lane() == Lane::Control {
            self.redial.notify_waiters();
        }
    }

    /// Asks the acceptor of `session` whether it is there.
    pub(super) fn ping(&self, session: &Session) {
        let now_ms = self.now_ms();
        session.beat(Kind::Ping, &self.table.beat(session.peer().raft_id, now_ms), now_ms);
    }

    /// A ping or pong came.
    pub(super) fn heard(&self, session: &Arc<Session>, beat: Beat) {
        let now_ms = self.now_ms();
        let is_first = session.pulse.heard(now_ms);
        if session.lane() == Lane::Control {
            let (doomed, refusal) = self.table.heard(session, beat, now_ms);
            if let Some(refusal) = refusal {
                self.notices.refused(Some(session.peer().raft_id), &session.peer().name, &refusal);
                self.refuse(refusal);
            }
            close_all(doomed, "the peer joined another cluster");
        }
        if !session.is_dialer() {
            session.beat(Kind::Pong, &self.table.beat(session.peer().raft_id, now_ms), now_ms);
        } else if is_first && session.lane() == Lane::Control {
            // Only now we can say that we hear it, and it should not have to wait for that.
            self.ping(session);
        }
    }

    /// The reader of a session is done.
    pub(super) fn ended(&self, session: &Arc<Session>) {
        self.statistics.sessions_closed.increment();
        let reason = session.reason();
        if session.lane() == Lane::Control {
            let (name, is_dialer) = (&session.peer().name, session.is_dialer());
            tracing::info!(peer = %name, is_dialer, reason, "peer disconnected");
        }
        let doomed = self.table.unregister(session, self.now_ms());
        close_all(doomed, &format!("the control lane ended: {reason}"));
        self.tell_closed(session);
    }

    fn tell_closed(&self, session: &Arc<Session>) {
        if session.lane().is_pushed() {
            self.frames.closed(session);
        }
    }
}

/// Closes what the table took out.
pub(super) fn close_all(doomed: Vec<Arc<Session>>, reason: &str) {
    doomed.iter().for_each(|session| session.close(reason));
}

/// A lane must lead to whom the control lane leads.
fn same(hello: &Hello, expected: Option<&Session>) -> Result<(), Refusal> {
    let is_same = expected.is_none_or(|control| {
        control.peer().raft_id == hello.raft_id && control.peer().incarnation == hello.incarnation
    });
    is_same.then_some(()).ok_or(Refusal::OtherPeer)
}

fn encoded<T: Serialize>(message: &T) -> Vec<u8> {
    crate::codec::encode(message).expect("messages of the handshake can be encoded")
}
