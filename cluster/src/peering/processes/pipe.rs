//! A byte stream over one session of the link, with a window in each direction.
//!
//! Comes in: what the peer pushed, and what the local session writes. Leaves: frames for the peer, and what it may read.
//!
//! ```text
//! data      0 · bytes
//! credit    1 · bytes u32      so many more may be sent; little-endian
//! fence     2 · number u64     to be sent back
//! fenced    3 · number u64     what was being written when that fence came is sent
//! ```
//!
//! The link never waits for who reads here: a peer that sends more than it has credit for loses the session. And nobody
//! waits for ever for a peer that grants nothing: what is queued meanwhile has no bound, and the pings of the link do not tell
//! whether a session reads. So a session that has to wait for credit longer than the link's `stall_timeout` ends.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{framing::Framing, lanes::Way};
use crate::peering::Session;

const DATA: u8 = 0;
const CREDIT: u8 = 1;
pub(super) const FENCE: u8 = 2;
const FENCED: u8 = 3;
/// Larger pieces are cut: whoever waits behind them should not wait for long.
const PIECE_BYTES_MAX: usize = 64 << 10;
/// Whatever a peer grants, no more than this is on the way.
const CREDIT_BYTES_MAX: usize = 4 << 20;
/// A buffer that grew larger than this is given back when it is empty.
const KEEP_BYTES: usize = 16 << 10;

/// See the module.
pub(super) struct Pipe {
    session: Arc<Session>,
    way: Arc<Way>,
    window_bytes_max: usize,
    state: Mutex<State>,
}

struct State {
    incoming: VecDeque<u8>,
    /// What was read and not yet granted again.
    ungranted: usize,
    /// What may still be sent.
    credit: usize,
    /// Runs while the session waits for credit.
    patience: Option<Pin<Box<Sleep>>>,
    framing: Framing,
    /// The session has begun to write what it had, and not finished.
    is_writing: bool,
    /// The last fence that came meanwhile.
    fence: Option<u64>,
    is_closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Why a session ends that says this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PipeError {
    #[error("the peer sent more than its window")]
    Overrun,
    #[error("a frame that is neither data nor credit nor fence")]
    Garbage,
}

impl Pipe {
    /// Grants the peer its first window.
    pub(super) fn open(session: &Arc<Session>, way: &Arc<Way>, window_bytes_max: usize) -> Arc<Self> {
        let state = State {
            incoming: VecDeque::new(),
            ungranted: 0,
            credit: 0,
            patience: None,
            framing: Framing::new(way.frame_bytes_max()),
            is_writing: false,
            fence: None,
            is_closed: false,
            reader: None,
            writer: None,
        };
        let (session, way) = (Arc::clone(session), Arc::clone(way));
        let pipe = Arc::new(Self { session, way, window_bytes_max, state: Mutex::new(state) });
        pipe.grant(window_bytes_max);
        pipe
    }

    /// A frame of the peer.
    pub(super) fn hear(&self, frame: &[u8]) -> Result<(), PipeError> {
        let (kind, body) = frame.split_first().ok_or(PipeError::Garbage)?;
        let waker = match *kind {
            DATA => self.receive(body)?,
            CREDIT => self.allow(body)?,
            FENCE => self.fence(number(body)?),
            FENCED => {
                self.way.fence().hear(number(body)?);
                None
            }
            _ => return Err(PipeError::Garbage),
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// Nothing comes or goes any more. What came is still read.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn receive(&self, bytes: &[u8]) -> Result<Option<Waker>, PipeError> {
        let mut state = self.state.lock();
        if state.incoming.len() + state.ungranted + bytes.len() > self.window_bytes_max {
            return Err(PipeError::Overrun);
        }
        state.incoming.extend(bytes);
        Ok(state.reader.take())
    }

    fn allow(&self, body: &[u8]) -> Result<Option<Waker>, PipeError> {
        let bytes = u32::from_le_bytes(body.try_into().map_err(|_| PipeError::Garbage)?);
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_add(bytes as usize).min(CREDIT_BYTES_MAX);
        state.patience = None;
        Ok(state.writer.take())
    }

    /// Sends it back, at once if nothing is being written.
    fn fence(&self, number: u64) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.is_writing {
            state.fence = Some(number);
        } else {
            drop(state);
            push(&self.session, FENCED, &number.to_le_bytes());
        }
        None
    }

    fn flushed(&self) {
        let mut state = self.state.lock();
        state.is_writing = false;
        let fence = state.fence.take();
        drop(state);
        if let Some(number) = fence {
            push(&self.session, FENCED, &number.to_le_bytes());
        }
    }

    fn grant(&self, bytes: usize) {
        let credit = u32::try_from(bytes).expect("a window has at most 4 MiB").to_le_bytes();
        push(&self.session, CREDIT, &credit);
    }

    fn poll_read(&self, context: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if state.incoming.is_empty() && !state.is_closed {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = state.read(buffer);
        state.ungranted += count;
        if state.ungranted >= self.window_bytes_max / 2 {
            let bytes = std::mem::take(&mut state.ungranted);
            drop(state);
            self.grant(bytes);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if state.is_closed || !self.session.is_open() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // A session writes all that it has as one.
        if bytes.len() > self.way.backlog_bytes_max() {
            drop(state);
            self.way.overflowed(bytes.len());
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        state.is_writing = true;
        let (room, mut output) = (state.credit.min(PIECE_BYTES_MAX), Vec::new());
        let passed = state.framing.pass(bytes, room, &mut output);
        if let Some(length) = passed.excess {
            drop(state);
            self.way.excessive(length);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if passed.taken == 0 && !bytes.is_empty() {
            let waits_for = self.session.stall_timeout;
            if state.poll_patience(context, waits_for).is_pending() {
                return Poll::Pending;
            }
            drop(state);
            self.way.starved(waits_for);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        state.credit -= output.len();
        drop(state);
        if !output.is_empty() {
            push(&self.session, DATA, &output);
        }
        passed.charges.iter().for_each(|charge| self.way.released(*charge));
        passed.dropped.iter().for_each(|bytes| self.way.dropped(*bytes));
        Poll::Ready(Ok(passed.taken))
    }
}

impl State {
    /// Whether it has been waiting for credit for so long. The writer is woken then, or when credit comes.
    fn poll_patience(&mut self, context: &mut Context<'_>, waits_for: Duration) -> Poll<()> {
        self.writer = Some(context.waker().clone());
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(waits_for)));
        patience.as_mut().poll(context)
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> usize {
        let (first, second) = self.incoming.as_slices();
        let from_first = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..from_first]);
        let from_second = second.len().min(buffer.remaining());
        buffer.put_slice(&second[..from_second]);
        self.incoming.drain(..from_first + from_second);
        if self.incoming.is_empty() && self.incoming.capacity() > KEEP_BYTES {
            self.incoming = VecDeque::new();
        }
        from_first + from_second
    }
}

/// The end that a session reads or writes.
pub(super) struct End(pub(super) Arc<Pipe>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(context, buffer)
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes)
    }

    /// Follows on each whole write.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Sends one frame. The send buffer holds whole windows, so that it is full only when something is wrong.
pub(super) fn push(session: &Session, kind: u8, bytes: &[u8]) {
    let pushed = session.push(|buffer| {
        buffer.push(kind);
        buffer.extend_from_slice(bytes);
    });
    if let Err(error) = pushed {
        session.close(&format!("the stream of processes broke: {error}"));
    }
}

fn number(body: &[u8]) -> Result<u64, PipeError> {
    Ok(u64::from_le_bytes(body.try_into().map_err(|_| PipeError::Garbage)?))
}

#[cfg(test)]
mod tests;
