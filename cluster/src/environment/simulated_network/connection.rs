//! The two ends of a connection, as their hosts remember them.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::Arc,
    task::{Context, Waker},
};

use bytes::{Buf, Bytes};
use tokio::{io::ReadBuf, time::Instant};

use super::{WINDOW_BYTES_MAX, packet::Side};

#[derive(Debug)]
pub(super) struct Connection {
    hosts: [Arc<str>; 2],
    ends: [End; 2],
    /// When the latest packet to each end arrives; later ones do not overtake it.
    pub(super) latest: [Instant; 2],
}

impl Connection {
    /// The acceptor does not know of it yet.
    pub(super) fn new(dialer: Arc<str>, acceptor: Arc<str>, now: Instant) -> Self {
        let mut ends = [End::default(), End::default()];
        ends[Side::Dialer as usize].is_held = true;
        Self { hosts: [dialer, acceptor], ends, latest: [now; 2] }
    }

    pub(super) fn host(&self, side: Side) -> &Arc<str> {
        &self.hosts[side as usize]
    }

    pub(super) fn is_between(&self, a: &str, b: &str) -> bool {
        let [dialer, acceptor] = &self.hosts;
        (&**dialer == a && &**acceptor == b) || (&**dialer == b && &**acceptor == a)
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// Nobody can see it any more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.ends.iter().all(|end| !end.is_held)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// The dialer waits for an answer; the acceptor has not heard of it.
    #[default]
    Opening,
    Open,
    /// The host knows nothing of it and answers data with a reset. Whoever holds the stream gets this error.
    Broken(ErrorKind),
}

#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) state: State,
    /// Somebody holds the stream, or it waits to be accepted.
    pub(super) is_held: bool,
    received: VecDeque<Bytes>,
    /// The peer sends nothing more.
    finish_received: bool,
    pub(super) finish_sent: bool,
    /// Bytes sent that the peer has not read.
    unread: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    /// Moves what arrived into `buffer` and says how much; `None` if there is nothing to say yet.
    pub(super) fn read(&mut self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<usize>> {
        if let State::Broken(kind) = self.state {
            return Some(Err(kind.into()));
        }
        let before = buffer.filled().len();
        while let Some(front) = self.received.front_mut().filter(|_| buffer.remaining() > 0) {
            let length = front.len().min(buffer.remaining());
            buffer.put_slice(&front[..length]);
            front.advance(length);
            if front.is_empty() {
                self.received.pop_front();
            }
        }
        let read = buffer.filled().len() - before;
        let is_answer = read > 0 || self.finish_received || buffer.remaining() == 0;
        is_answer.then_some(Ok(read))
    }

    /// How many bytes may be written now; `None` if the window is full.
    pub(super) fn room(&self) -> Option<io::Result<usize>> {
        match self.state {
            State::Broken(kind) => Some(Err(kind.into())),
            _ if self.finish_sent => Some(Err(ErrorKind::BrokenPipe.into())),
            _ => Some(WINDOW_BYTES_MAX.saturating_sub(self.unread)).filter(|room| *room > 0).map(Ok),
        }
    }

    pub(super) fn has_sent(&mut self, bytes: usize) {
        self.unread += bytes;
    }

    pub(super) fn push(&mut self, bytes: Bytes) -> Option<Waker> {
        self.received.push_back(bytes);
        self.reader.take()
    }

    pub(super) fn credit(&mut self, bytes: usize) -> Option<Waker> {
        self.unread = self.unread.saturating_sub(bytes);
        self.writer.take()
    }

    pub(super) fn finish(&mut self) -> Option<Waker> {
        self.finish_received = true;
        self.reader.take()
    }

    pub(super) fn has_unread(&self) -> bool {
        !self.received.is_empty()
    }

    /// The host forgets it, with everything that was not read.
    pub(super) fn break_with(&mut self, kind: ErrorKind) -> [Option<Waker>; 2] {
        self.received.clear();
        self.state = State::Broken(kind);
        self.wakers()
    }

    pub(super) fn wait_to_read(&mut self, context: &Context<'_>) {
        self.reader = Some(context.waker().clone());
    }

    pub(super) fn wait_to_write(&mut self, context: &Context<'_>) {
        self.writer = Some(context.waker().clone());
    }

    pub(super) fn wakers(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }
}
