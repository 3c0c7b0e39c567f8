//! One open, authenticated connection of one lane.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::environment::watch;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::{
    Config, Cookie, Lane, Peer, PushError, RequestError, ServiceId,
    frame::{self, Beat, Kind},
    outbox::Outbox,
    requests::{Budget, Requests},
};

/// One open, authenticated connection of one lane. It ends once and never opens again; the next one is another session.
pub struct Session {
    id: u64,
    lane: Lane,
    is_dialer: bool,
    peer: Arc<Peer>,
    /// Both ends know it, and nobody else: on the lane of processes.
    pub(super) secret: Option<Cookie>,
    pub(super) outbox: Outbox,
    pub(super) requests: Requests,
    pub(super) budget: Arc<Budget>,
    pub(super) pulse: Pulse,
    /// How long whoever writes on it may wait for the other end.
    pub(super) stall_timeout: Duration,
    /// Why it ended; the first reason counts.
    reason: Mutex<Option<String>>,
}

/// When what happened on a session, in milliseconds since the link was started.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) opened_ms: u64,
    /// The last pong of who was dialed, or the last ping of who dialed.
    heard_ms: AtomicU64,
    /// The first ping without a pong.
    asked_ms: AtomicU64,
    read_ms: AtomicU64,
    written_ms: AtomicU64,
    /// Whether anything was heard.
    answered: watch::Sender<bool>,
}

const NEVER: u64 = u64::MAX;

/// What a session is made of.
pub(super) struct Opening {
    pub(super) id: u64,
    pub(super) lane: Lane,
    pub(super) is_dialer: bool,
    pub(super) peer: Peer,
    pub(super) secret: Option<Cookie>,
    /// The larger frames of ours the peer does not read.
    pub(super) peer_frame_bytes_max: u32,
    pub(super) budget: Arc<Budget>,
    pub(super) now_ms: u64,
}

impl Session {
    pub(super) fn new(opening: Opening, config: &Config) -> Self {
        let body_bytes_max = config.frame_bytes_max.min(opening.peer_frame_bytes_max as usize);
        Self {
            id: opening.id,
            lane: opening.lane,
            is_dialer: opening.is_dialer,
            peer: Arc::new(opening.peer),
            secret: opening.secret,
            outbox: Outbox::new(config.send_bytes_max, body_bytes_max),
            requests: Requests::new(config.requests_max),
            budget: opening.budget,
            pulse: Pulse::new(opening.now_ms),
            stall_timeout: config.stall_timeout,
            reason: Mutex::new(None),
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether this node opened the connection.
    #[must_use]
    pub fn is_dialer(&self) -> bool {
        self.is_dialer
    }

    /// Which lane it is.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// A number that no other session of this [`Peering`](super::Peering) has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether frames are still taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.outbox.is_open()
    }

    /// The largest frame that both ends take.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        self.outbox.body_bytes_max()
    }

    /// Sends one frame, which `encode` appends to the send buffer (and does nothing else to it: other frames stand
    /// before). Frames of a session arrive in order and at most once.
    ///
    /// `encode` runs under the lock of the buffer, so it must be short and must not push.
    ///
    /// # Errors
    ///
    /// When the buffer is full, the session is closed, or the frame is larger than `frame_bytes_max` here or there. Nothing
    /// of the frame is sent then.
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), PushError> {
        self.outbox.push(Kind::Pushed, encode)
    }

    /// As [`push`](Self::push), but waits while the buffer is full: for one sender at a time, or their order is not known.
    ///
    /// # Errors
    ///
    /// When the session is closed, or the frame is larger than `frame_bytes_max` here or there.
    pub async fn push_when_room(&self, encode: impl Fn(&mut Vec<u8>)) -> Result<(), PushError> {
        self.outbox.push_when_room(Kind::Pushed, encode).await
    }

    /// Sends a request now; the future is the answer.
    pub(super) fn request(
        self: &Arc<Self>,
        service: ServiceId,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<BoxFuture<'static, Result<Bytes, RequestError>>, RequestError> {
        let open = self.requests.open().map_err(|_| self.unreachable())?;
        let (id, receiver) = open.ok_or(RequestError::Full)?;
        let waiting = Forget { session: Arc::clone(self), id };
        let pushed = self.outbox.push(Kind::Request, |buffer| {
            frame::put_request(buffer, id, service.0);
            encode(buffer);
        });
        pushed.map_err(|error| self.request_error(error))?;
        Ok(Box::pin(async move {
            let answer = receiver.await;
            answer.unwrap_or_else(|_| Err(waiting.session.unreachable()))
        }))
    }

    fn request_error(&self, error: PushError) -> RequestError {
        match error {
            PushError::Full => RequestError::Full,
            PushError::Closed => self.unreachable(),
            PushError::TooLarge => {
                RequestError::Refused("the request is larger than a frame may be".to_owned())
            }
        }
    }

    fn unreachable(&self) -> RequestError {
        RequestError::Unreachable { to: self.peer.raft_id, reason: self.reason() }
    }

    /// Says something about this node. When the buffer is full the peer is not there anyway.
    pub(super) fn beat(&self, kind: Kind, beat: &Beat, now_ms: u64) {
        let encoded = crate::codec::encode(beat).expect("a beat can be encoded");
        if self.outbox.push(kind, |buffer| buffer.extend(&encoded)).is_ok() && kind == Kind::Ping {
            self.pulse.asked(now_ms);
        }
    }

    /// Ends it; everybody who waits for an answer hears so. Again: nothing.
    pub fn close(&self, reason: &str) {
        self.end(reason, false);
    }

    /// Ends it, but writes what waits.
    pub(super) fn flush_and_close(&self, reason: &str) {
        self.end(reason, true);
    }

    fn end(&self, reason: &str, is_flushed: bool) {
        self.reason.lock().get_or_insert_with(|| reason.to_owned());
        self.outbox.close(is_flushed);
        self.requests.close(self.peer.raft_id, &self.reason());
    }

    /// Why it ended.
    pub(super) fn reason(&self) -> String {
        self.reason.lock().clone().unwrap_or_else(|| "the session is closed".to_owned())
    }

    /// Returns when it was closed.
    pub(super) async fn closed(&self) {
        // An error would mean that the sender is gone, and it is a field of this.
        let _ = self.outbox.end().wait_for(|end| *end != super::outbox::End::Open).await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, lane, is_dialer, peer, .. } = self;
        let mut shown = formatter.debug_struct("Session");
        shown.field("id", id).field("lane", lane).field("is_dialer", is_dialer).field("peer", &peer.name);
        shown.finish_non_exhaustive()
    }
}

/// A request whose future was dropped waits no more.
struct Forget {
    session: Arc<Session>,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.session.requests.take(self.id);
    }
}

impl Pulse {
    fn new(now_ms: u64) -> Self {
        Self {
            opened_ms: now_ms,
            heard_ms: AtomicU64::new(NEVER),
            asked_ms: AtomicU64::new(NEVER),
            read_ms: AtomicU64::new(now_ms),
            written_ms: AtomicU64::new(now_ms),
            answered: watch::Sender::new(false),
        }
    }

    /// Something was read.
    pub(super) fn read(&self, now_ms: u64) {
        self.read_ms.store(now_ms, Relaxed);
    }

    /// Something was written.
    pub(super) fn written(&self, now_ms: u64) {
        self.written_ms.store(now_ms, Relaxed);
    }

    /// A ping leaves.
    fn asked(&self, now_ms: u64) {
        // An error means that an earlier one has no pong yet: that is the one that counts.
        let _ = self.asked_ms.compare_exchange(NEVER, now_ms, Relaxed, Relaxed);
    }

    /// A ping or pong came. Returns whether it was the first.
    pub(super) fn heard(&self, now_ms: u64) -> bool {
        self.asked_ms.store(NEVER, Relaxed);
        self.heard_ms.store(now_ms, Relaxed);
        self.answered.send_if_modified(|answered| !std::mem::replace(answered, true))
    }

    /// How long nothing was heard; `None` when nothing ever was.
    pub(super) fn silent_ms(&self, now_ms: u64) -> Option<u64> {
        let heard_ms = self.heard_ms.load(Relaxed);
        (heard_ms != NEVER).then(|| now_ms.saturating_sub(heard_ms))
    }

    /// Whether a ping has no pong yet.
    pub(super) fn is_asked(&self) -> bool {
        self.asked_ms.load(Relaxed) != NEVER
    }

    /// Whether an unanswered ping shows that this leads nowhere: either nothing moved for `timeout_ms`, or what we write goes
    /// somewhere (into buffers of the system, for all we know), but nothing came back for much longer.
    pub(super) fn is_stalled(&self, now_ms: u64, timeout_ms: u64) -> bool {
        const PATIENCE: u64 = 6;
        let asked_ms = self.asked_ms.load(Relaxed);
        let unread = now_ms.saturating_sub(self.read_ms.load(Relaxed).max(asked_ms));
        let unwritten = now_ms.saturating_sub(self.written_ms.load(Relaxed));
        self.is_asked() && unread > timeout_ms && (unwritten > timeout_ms || unread > PATIENCE * timeout_ms)
    }

    /// Returns when something was heard.
    pub(super) async fn answered(&self) {
        // An error would mean that the sender is gone, and it is a field of this.
        let _ = self.answered.subscribe().wait_for(|answered| *answered).await;
    }
}
