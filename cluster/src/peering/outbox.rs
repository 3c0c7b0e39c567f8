//! The send buffer of a session: senders append frames, one writer takes all that is there.
//!
//! A frame is encoded straight into the buffer, under its lock; the writer swaps the buffer against an empty one. The writer is
//! woken only if it sleeps.

use crate::environment::watch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    PushError,
    frame::{self, Kind},
};

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Frames go.
    Open,
    /// No more frames are taken, but those that wait are still written.
    Flushing,
    /// Nothing goes any more.
    Closed,
}

#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    bytes_max: usize,
    /// Bytes of a body, at most.
    body_bytes_max: usize,
    work: Notify,
    room: Notify,
    end: watch::Sender<End>,
}

#[derive(Debug)]
struct State {
    buffer: Vec<u8>,
    frames: u64,
    is_open: bool,
    /// The writer sleeps.
    is_parked: bool,
    /// Somebody waits for room.
    is_awaited: bool,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize, body_bytes_max: usize) -> Self {
        let state =
            State { buffer: Vec::new(), frames: 0, is_open: true, is_parked: false, is_awaited: false };
        Self {
            state: Mutex::new(state),
            bytes_max,
            body_bytes_max,
            work: Notify::new(),
            room: Notify::new(),
            end: watch::Sender::new(End::Open),
        }
    }

    pub(super) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Appends one frame, whose body `encode` appends to the buffer.
    pub(super) fn push(&self, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if !state.is_open {
            return Err(PushError::Closed);
        }
        self.append(&mut state.buffer, kind, encode)?;
        state.frames += 1;
        if std::mem::take(&mut state.is_parked) {
            drop(state);
            self.work.notify_one();
        }
        Ok(())
    }

    /// As [`push`](Self::push), but waits while the buffer is full.
    pub(super) async fn push_when_room(
        &self,
        kind: Kind,
        encode: impl Fn(&mut Vec<u8>),
    ) -> Result<(), PushError> {
        loop {
            match self.push(kind, &encode) {
                Err(PushError::Full) => {}
                done => return done,
            }
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            self.state.lock().is_awaited = true;
            // Again: room may have come before anybody knew that it is awaited.
            match self.push(kind, &encode) {
                Err(PushError::Full) => room.await,
                done => return done,
            }
        }
    }

    fn append(
        &self,
        buffer: &mut Vec<u8>,
        kind: Kind,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PushError> {
        let start = buffer.len();
        if start >= self.bytes_max {
            return Err(PushError::Full);
        }
        let frame = Unfinished::begin(buffer, kind);
        encode(frame.buffer);
        let bytes = frame.buffer.len() - start;
        if bytes > frame::HEAD_BYTES + self.body_bytes_max {
            return Err(PushError::TooLarge);
        }
        if start > 0 && start + bytes > self.bytes_max {
            return Err(PushError::Full);
        }
        frame.finish();
        Ok(())
    }

    /// Swaps all that waits into `empty` and tells how many frames it is; `None` when nothing will come any more.
    ///
    /// If `gathers`, the first frame after a pause waits until other tasks that can run had their turn: what they send then
    /// shares its write. A thread without other work goes on at once.
    pub(super) async fn take(&self, empty: &mut Vec<u8>, gathers: bool) -> Option<u64> {
        loop {
            if let Some(frames) = self.take_now(empty) {
                return (frames > 0).then_some(frames);
            }
            self.work.notified().await;
            if gathers {
                tokio::task::yield_now().await;
            }
        }
    }

    /// `Some(0)` when nothing will come any more, `None` when nothing is there yet.
    fn take_now(&self, empty: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.state.lock();
        if state.buffer.is_empty() {
            state.is_parked = true;
            return (!state.is_open).then_some(0);
        }
        std::mem::swap(&mut state.buffer, empty);
        let frames = std::mem::take(&mut state.frames);
        if std::mem::take(&mut state.is_awaited) {
            self.room.notify_waiters();
        }
        Some(frames)
    }

    /// Takes no more frames. Those that wait are written if `is_flushed`, else forgotten.
    pub(super) fn close(&self, is_flushed: bool) {
        let mut state = self.state.lock();
        state.is_open = false;
        if !is_flushed {
            (state.buffer, state.frames) = (Vec::new(), 0);
        }
        let end = if is_flushed { End::Flushing } else { End::Closed };
        self.end.send_if_modified(|old| std::mem::replace(old, (*old).max_with(end)) != end);
        self.room.notify_waiters();
        self.work.notify_one();
    }

    pub(super) fn is_open(&self) -> bool {
        *self.end.borrow() == End::Open
    }

    /// News of the end.
    pub(super) fn end(&self) -> watch::Receiver<End> {
        self.end.subscribe()
    }
}

impl End {
    /// An end never goes back.
    fn max_with(self, other: Self) -> Self {
        if self == Self::Closed { self } else { other }
    }
}

/// A frame whose encoding is not over: whatever happens, half a frame never stays in the buffer.
struct Unfinished<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    is_finished: bool,
}

impl<'a> Unfinished<'a> {
    fn begin(buffer: &'a mut Vec<u8>, kind: Kind) -> Self {
        let start = buffer.len();
        frame::begin(buffer, kind);
        Self { buffer, start, is_finished: false }
    }

    fn finish(mut self) {
        frame::finish(self.buffer, self.start);
        self.is_finished = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.buffer.truncate(self.start);
        }
    }
}
