//! A socket that loses patience: with heads that trickle in, with silence, with peers that do not read.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{super::limits::ServerLimits, connection::Connection, last_words};

/// After the last answer the rest of the request is read and thrown away for so long, and no more bytes than this.
/// Otherwise a client that is still sending would be reset before it has read why it was refused.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the connection is doing, told by the service to the socket. Counts up at each change; the low bits say what.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase(Arc<AtomicU64>);

const WAITING: u64 = 0;
const ANSWERING: u64 = 1;
const UPGRADED: u64 = 2;
const STEP: u64 = 4;

impl Phase {
    /// A request is being answered; the handler bounds how long its body may take.
    pub(super) fn answering(&self) {
        self.change(ANSWERING);
    }

    /// The answer is known; the next request may come.
    pub(super) fn waiting(&self) {
        self.change(WAITING);
    }

    /// It is a WebSocket from now on, which has its own pings.
    pub(super) fn upgraded(&self) {
        self.change(UPGRADED);
    }

    /// Only the connection's own task changes it, so a load and a store do.
    fn change(&self, to: u64) {
        let next = (self.0.load(Ordering::Relaxed) / STEP + 1) * STEP + to;
        self.0.store(next, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the socket waits for from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expecting {
    /// The rest of a head.
    Head,
    /// The first byte of the next request.
    Request,
    /// Whatever the handler wants; it has its own clock.
    Anything,
}

/// A [`TcpStream`] with deadlines. Reading past one is an end of file, writing past one is an error.
pub(super) struct Patient {
    stream: TcpStream,
    phase: Phase,
    seen_phase: u64,
    expecting: Expecting,
    /// When patience with the peer ends.
    read_deadline: Instant,
    /// Wakes the task at some time up to `read_deadline`, while something is expected. It is set seldom, because deadlines move
    /// on with each request and most are met.
    read_alarm: Pin<Box<Sleep>>,
    write_deadline: Pin<Box<Sleep>>,
    write_waits: bool,
    lingered: Option<usize>,
    /// Our words instead of hyper's, still to be written.
    last_words: VecDeque<u8>,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// For the clock, and for the count of cut connections.
    connection: Arc<Connection>,
}

impl Patient {
    pub(super) fn new(
        stream: TcpStream,
        phase: Phase,
        limits: &ServerLimits,
        connection: Arc<Connection>,
    ) -> Self {
        let read_deadline = connection.environment.now() + limits.head_timeout;
        Self {
            stream,
            seen_phase: phase.now(),
            phase,
            expecting: Expecting::Head,
            read_deadline,
            read_alarm: Box::pin(tokio::time::sleep_until(read_deadline)),
            write_deadline: Box::pin(tokio::time::sleep(limits.write_timeout)),
            write_waits: false,
            lingered: None,
            last_words: VecDeque::new(),
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            connection,
        }
    }

    fn observe_phase(&mut self) {
        let phase = self.phase.now();
        if phase == self.seen_phase {
            return;
        }
        self.seen_phase = phase;
        if phase % STEP == WAITING {
            self.expect(Expecting::Request, self.idle_timeout);
        } else {
            self.expecting = Expecting::Anything;
        }
    }

    fn after(&self, duration: Duration) -> Instant {
        self.connection.environment.now() + duration
    }

    fn expect(&mut self, what: Expecting, within: Duration) {
        self.expecting = what;
        self.read_deadline = self.after(within);
    }

    /// Ready when `read_deadline` has passed.
    fn poll_read_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.read_alarm.deadline() > self.read_deadline {
            self.read_alarm.as_mut().reset(self.read_deadline);
        }
        loop {
            ready!(self.read_alarm.as_mut().poll(context));
            if self.read_alarm.deadline() >= self.read_deadline {
                return Poll::Ready(());
            }
            // The deadline has moved on since.
            self.read_alarm.as_mut().reset(self.read_deadline);
        }
    }

    /// Whether the peer has taken too long to send.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reason = match self.expecting {
            Expecting::Anything => return Poll::Pending,
            Expecting::Head => "slow_head",
            Expecting::Request => "idle",
        };
        ready!(self.poll_read_deadline(context));
        self.connection.count_cut(reason);
        Poll::Ready(())
    }

    /// Passes on what a write said, unless it has said `Pending` for too long.
    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_waits = false;
            return written;
        }
        if !self.write_waits {
            self.write_waits = true;
            let deadline = self.after(self.write_timeout);
            self.write_deadline.as_mut().reset(deadline);
        }
        ready!(self.write_deadline.as_mut().poll(context));
        self.connection.count_cut("slow_reader");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }

    /// Writes what replaces hyper's own words, if anything does.
    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.last_words.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, self.last_words.as_slices().0);
            let bytes = ready!(self.poll_written(context, written))?;
            self.last_words.drain(..bytes);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets until the peer closes, or the linger is over.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0u8; 8192];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            let bytes = buffer.filled().len();
            let lingered = self.lingered.get_or_insert(0);
            *lingered += bytes;
            match read {
                Poll::Ready(Ok(())) if bytes > 0 && *lingered < LINGER_BYTES_MAX => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_read_deadline(context),
            }
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.observe_phase();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if this.expecting == Expecting::Request && buffer.filled().len() > before {
                    this.expect(Expecting::Head, this.head_timeout);
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_patience(context).map(Ok),
        }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(ours) = last_words::instead_of(bytes, &self.connection.environment) {
            self.last_words.extend(ours);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_last_words(context))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.poll_written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingered.is_none() {
            ready!(self.poll_last_words(context))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.read_deadline = self.after(LINGER);
        }
        self.poll_linger(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_phase_is_seen_even_back_to_the_same() {
        let phase = Phase::default();
        let first = phase.now();
        phase.answering();
        phase.waiting();
        assert_ne!(phase.now(), first);
        assert_eq!(phase.now() % STEP, first % STEP);
    }
}
