//! One open lane of mail to one start of another node, and what is under way on it.
//!
//! Comes in: frames from the peer; messages and signals to it. Leaves: messages in mailboxes, answers to callers, the ends of
//! mirrors. When it closes, every call that waits fails and every mirror ends, once, with `noconnection`.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use parking_lot::{Mutex, ReentrantMutex};
use playhouse_cluster::{codec, environment::Environment, peering::PushError};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Config, Shared,
    answer::{Asked, Awaited, Calls, Slot},
    exports::Arrived,
    frame::{Frame, Order, Refusal},
    line::{Line, LineError},
    mirror::Mirror,
    travel::Trip,
    watched::Watched,
    wire::Wire,
};
use crate::process::{
    CallError, CastError, ExitReason, Home, ProcessId, Reply,
    call::Answered,
    link::{self, Peer},
};

/// What a frame with an answer has beside that, at most: which frame it is, two numbers.
const ANSWER_BYTES: usize = 1 + 10 + 10;

/// Why a frame of a peer was not taken. The connection must end, since the two do not understand each other.
#[derive(Debug, thiserror::Error)]
pub(super) enum HearError {
    #[error("it cannot be decoded: {0}")]
    Decode(#[from] codec::DecodeError),
    #[error("it tells of more members of groups, or of longer names, than there may be")]
    Groups,
}

pub(in crate::process) struct Connection {
    session: u64,
    /// Who is at the other end.
    home: Home,
    name: String,
    shared: Weak<Shared>,
    environment: Environment,
    config: Config,
    wire: Box<dyn Wire>,
    line: Line,
    calls: Calls,
    asked: Asked,
    /// `None`: it is closed.
    watched: Mutex<Option<Watched>>,
    is_open: AtomicBool,
    /// Held while a frame is taken. Reentrant: what people wrote may end connections in there.
    hearing: ReentrantMutex<()>,
}

impl Connection {
    pub(super) fn open(
        shared: &Arc<Shared>,
        session: u64,
        home: Home,
        name: &str,
        wire: Box<dyn Wire>,
    ) -> Arc<Self> {
        let config = shared.config.clone();
        let connection = Arc::new(Self {
            session,
            home,
            name: name.to_owned(),
            shared: Arc::downgrade(shared),
            environment: shared.environment.clone(),
            wire,
            line: Line::new(config.waiting_bytes_max, config.signals_bytes_max),
            calls: Calls::new(config.calls_max),
            asked: Asked::default(),
            watched: Mutex::new(Some(Watched::new())),
            is_open: AtomicBool::new(true),
            hearing: ReentrantMutex::new(()),
            config,
        });
        shared.environment.spawn(send_all(Arc::clone(&connection)));
        connection
    }

    /// A number that no other connection of this node has or had.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    pub(super) fn home(&self) -> Home {
        self.home
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(SeqCst)
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// A place for an answer that is not in a message: its number, what gives it back when nobody waits any more, the answer.
    pub(super) fn ask<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
    ) -> Result<(u64, Awaited, Answered<T>), CastError> {
        let (reply, answered) = Reply::new();
        let call = self.calls.open(Slot::new(reply)).ok_or_else(|| self.no_call())?;
        Ok((call, Awaited { connection: Arc::clone(self), calls: vec![call] }, answered))
    }

    /// Why there is no place for another call.
    pub(super) fn no_call(&self) -> CastError {
        if self.is_open() { CastError::Full } else { CastError::NoConnection }
    }

    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }

    /// No frame of the peer is taken any more. Returns when the last one has been.
    pub(super) fn stop_hearing(&self) {
        if self.is_open.swap(false, SeqCst) {
            drop(self.hearing.lock());
        }
    }

    /// It is over: everybody who waits for something hears so. Whether it was open.
    pub(super) fn close(&self, reason: &str) -> bool {
        self.is_open.store(false, SeqCst);
        let Some(watched) = self.watched.lock().take() else { return false };
        self.wire.close(reason);
        self.line.close();
        self.calls.close();
        let (mirrors, own) = watched.close();
        for (peer, notice) in own {
            peer.life().unwatch(notice);
        }
        mirrors.iter().for_each(|mirror| mirror.lose());
        true
    }

    /// How large what is refused without harm may be: a larger frame would end the lane.
    fn frame_bytes_max(&self) -> usize {
        self.config.message_bytes_max.min(self.wire.frame_bytes_max())
    }

    /// Sends a frame that may be refused.
    pub(super) fn message(&self, frame: &Frame<'_>) -> Result<(), CastError> {
        let frame = codec::encode_into(frame, Vec::new()).map_err(|_| CastError::NotPortable)?;
        if frame.len() > self.frame_bytes_max() {
            return Err(CastError::TooLarge);
        }
        self.line.message(frame).map_err(|error| match error {
            LineError::Full => CastError::Full,
            LineError::Closed => CastError::NoConnection,
        })
    }

    /// Sends a frame that must not be lost. Whether the connection is open.
    pub(super) fn signal(&self, frame: &Frame<'_>) -> bool {
        let frame =
            codec::encode_into(frame, Vec::new()).expect("frames have nothing that cannot be encoded");
        match self.line.signal(frame) {
            Ok(()) => true,
            Err(LineError::Closed) => false,
            Err(LineError::Full) => {
                self.give_up("too much that must not be lost waits to be sent");
                false
            }
        }
    }

    /// The lane is closed; the end of this follows from that, outside of any lock of ours.
    fn give_up(&self, reason: &str) {
        tracing::error!(peer = self.name, reason, "the connection between processes is closed");
        self.wire.close(reason);
    }

    /// Sends an answer. Whether the connection is open.
    pub(super) fn answer<T: Serialize>(self: &Arc<Self>, call: u64, answer: &T) -> bool {
        let Some(shared) = self.shared() else { return false };
        let refused = |why| Frame::Refused { call, why };
        match Trip::new(&shared, Some(self)).pack(answer) {
            Err(_) => self.signal(&refused(Refusal::NotPortable)),
            Ok((body, calls)) if body.len() + ANSWER_BYTES > self.frame_bytes_max() => {
                self.calls.forget(&calls);
                self.signal(&refused(Refusal::TooLarge))
            }
            Ok((body, _)) => self.signal(&Frame::Answer { call, body: &body }),
        }
    }

    /// Whether the connection is open.
    pub(super) fn order(&self, yours: u64, order: &Order) -> bool {
        let Some(shared) = self.shared() else { return false };
        let order = match order {
            Order::Stop(reason) => Order::Stop(reason.for_the_way()),
            Order::Kill => Order::Kill,
            Order::Drain => Order::Drain,
            Order::Link(other) => Order::Link(shared.with_home(*other)),
            Order::Unlink(other) => Order::Unlink(shared.with_home(*other)),
        };
        self.signal(&Frame::Order { yours, order })
    }

    /// What is known here of a process of the peer; it is watched from now on. `None`: the connection is closed.
    pub(super) fn mirror(&self, id: ProcessId) -> Option<Arc<Mirror>> {
        let mut locked = self.watched.lock();
        let watched = locked.as_mut()?;
        if let Some(mirror) = watched.mirror(id.number()) {
            return Some(mirror);
        }
        for yours in watched.sweep() {
            self.signal(&Frame::Unwatch { yours });
        }
        if watched.mirrors_len() >= self.config.watched_max {
            self.give_up("too many processes of the peer are watched");
            return None;
        }
        self.signal(&Frame::Watch { yours: id.number() });
        Some(watched.reflect(id))
    }

    /// A process of this node is linked with one of the peer.
    pub(super) fn link(self: &Arc<Self>, one: &Arc<dyn Peer>, other: ProcessId) {
        let Some(mirror) = self.mirror(other) else {
            return one.exit_signal(other, &ExitReason::NoConnection);
        };
        let mine = one.id().number();
        // The peer will ask for it by its number.
        let noted = self.shared().map(|shared| shared.exports.note(&shared, one));
        if let Some(Err(reason)) = noted {
            return one.exit_signal(other, &ExitReason::crashed(reason));
        }
        self.signal(&Frame::Link { mine, yours: other.number() });
        self.be_watched(mine, one);
        let mirror: Arc<dyn Peer> = mirror;
        link::link(one, &mirror);
    }

    pub(super) fn unlink(&self, one: &dyn Peer, other: ProcessId) {
        self.signal(&Frame::Unlink { mine: one.id().number(), yours: other.number() });
        self.unlink_here(one, other.number());
    }

    fn unlink_here(&self, one: &dyn Peer, other: u64) {
        let mirror = self.watched.lock().as_ref().and_then(|watched| watched.mirror(other));
        if let Some(mirror) = mirror {
            link::unlink(one, &*mirror);
        }
    }

    /// The peer will be told when this process of ours ends.
    fn be_watched(self: &Arc<Self>, number: u64, peer: &Arc<dyn Peer>) {
        let is_new = {
            let mut locked = self.watched.lock();
            let Some(watched) = locked.as_mut() else { return };
            let is_new = watched.begin(number, peer);
            if is_new && watched.own_len() > self.config.watched_max {
                return self.give_up("the peer watches too many processes");
            }
            is_new
        };
        if !is_new {
            return;
        }
        let connection = Arc::downgrade(self);
        let tell = move |reason: &ExitReason| {
            if let Some(connection) = connection.upgrade() {
                connection.tell_ended(number, Some(reason));
            }
        };
        match peer.life().watch(Box::new(tell)) {
            Some(notice) => {
                let unneeded = match self.watched.lock().as_mut() {
                    Some(watched) => watched.began(number, notice),
                    None => Some(notice),
                };
                if let Some(notice) = unneeded {
                    peer.life().unwatch(notice);
                }
            }
            None => self.tell_ended(number, None),
        }
    }

    fn tell_ended(&self, number: u64, reason: Option<&ExitReason>) {
        let watched = self.watched.lock().as_mut().and_then(|watched| watched.end(number));
        drop(watched);
        self.signal(&Frame::Ended { mine: number, reason: reason.map(ExitReason::for_the_way) });
    }

    /// Takes a frame of the peer, unless the connection is over.
    pub(super) fn hear(self: &Arc<Self>, frame: &[u8]) -> Result<(), HearError> {
        // Dropped after the lock: what is last of its node closes the connections.
        let Some(shared) = self.shared() else { return Ok(()) };
        let _hearing = self.hearing.lock();
        if self.is_open() { self.take(&shared, frame) } else { Ok(()) }
    }

    fn take(self: &Arc<Self>, shared: &Arc<Shared>, frame: &[u8]) -> Result<(), HearError> {
        match codec::decode::<Frame<'_>>(frame)? {
            Frame::Message { yours, name, calls, body } => self.deliver(shared, yours, name, &calls, body),
            Frame::Refused { call, why } => self.fail(call, why.into()),
            Frame::Answer { call, body } => self.answered(shared, call, body),
            Frame::Forget { call } => self.asked.abandon(call),
            Frame::NoAnswer { call, reason } => {
                self.fail(call, reason.map_or(CallError::NoReply, CallError::Died));
            }
            Frame::Watch { yours } => self.watch(shared, yours),
            Frame::Unwatch { yours } => {
                let watched = self.watched.lock().as_mut().and_then(|watched| watched.end(yours));
                if let Some((peer, notice)) = watched {
                    peer.life().unwatch(notice);
                }
            }
            Frame::Ended { mine, reason } => {
                let mirror = self.watched.lock().as_mut().and_then(|watched| watched.ended(mine));
                mirror.into_iter().for_each(|mirror| mirror.end(reason.clone()));
            }
            Frame::Link { mine, yours } => self.be_linked(shared, mine, yours),
            Frame::Unlink { mine, yours } => {
                let own = shared.exports.peer(yours);
                own.into_iter().for_each(|own| self.unlink_here(&*own, mine));
            }
            Frame::Order { yours, order } => match (shared.exports.find(yours), order) {
                (Some(own), order) => own.obey(order, shared),
                (None, Order::Link(other)) => shared.link_with_nobody(yours, other),
                (None, _) => {}
            },
            Frame::IsAlive { call, yours } => {
                self.answer(call, &shared.exports.peer(yours).is_some());
            }
            Frame::Spawn { call, kind, arguments } => shared.spawners.spawn(self, call, kind, arguments),
            Frame::Joined { group, mine } => {
                if !shared.groups.peer_joined(self, group, &mine) {
                    return Err(HearError::Groups);
                }
            }
            Frame::Left { group, mine } => shared.groups.peer_left(self, group, &mine),
        }
        Ok(())
    }

    fn deliver(self: &Arc<Self>, shared: &Shared, yours: u64, name: u64, calls: &[u64], body: &[u8]) {
        let arrived = Arrived { name, body, has_calls: !calls.is_empty() };
        let taken = match shared.exports.find(yours) {
            Some(own) => own.take(self, &arrived),
            None => Err(Refusal::NoProc),
        };
        if let Err(why) = taken {
            shared.count_undelivered(why);
            for call in calls {
                self.signal(&Frame::Refused { call: *call, why });
            }
        }
    }

    fn answered(self: &Arc<Self>, shared: &Arc<Shared>, call: u64, body: &[u8]) {
        if let Some(slot) = self.calls.take(call) {
            slot.answer(Trip::new(shared, Some(self)), body);
        }
    }

    fn fail(&self, call: u64, why: CallError) {
        if let Some(slot) = self.calls.take(call) {
            slot.fail(why);
        }
    }

    fn watch(self: &Arc<Self>, shared: &Shared, yours: u64) {
        match shared.exports.peer(yours) {
            Some(own) => self.be_watched(yours, &own),
            None => {
                self.signal(&Frame::Ended { mine: yours, reason: None });
            }
        }
    }

    fn be_linked(self: &Arc<Self>, shared: &Shared, mine: u64, yours: u64) {
        // If it has ended, the peer hears so, because it watches it.
        let Some(own) = shared.exports.peer(yours) else { return };
        if let Some(mirror) = self.mirror(ProcessId::there(self.home, mine)) {
            let mirror: Arc<dyn Peer> = mirror;
            link::link(&own, &mirror);
        }
    }
}

/// The one task that sends.
async fn send_all(connection: Arc<Connection>) {
    while let Some(frame) = connection.line.next().await {
        let sent = match connection.wire.push(&frame) {
            Err(PushError::Full) => connection.wire.push_when_room(&frame).await,
            sent => sent,
        };
        match sent {
            Ok(()) => {}
            Err(PushError::TooLarge) => connection.give_up("a frame is larger than the link allows"),
            Err(PushError::Closed | PushError::Full) => return,
        }
    }
}
