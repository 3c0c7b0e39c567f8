//! One connection: takes frames, hands them over, brings back what comes of them.

mod asks;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SplitStream},
};
use prometheus::IntGauge;
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout};
use tokio_tungstenite::tungstenite;

use super::{
    super::{counts::FrameKind, front::Hall, problem::Problem, server::Connection},
    farewell::Farewell,
    frame::{self, Id},
    outbox::Outbox,
    reply,
    subscriptions::{News, Subscriptions},
    writer::write,
};
use crate::protocol::RequestId;

/// How many frames, answers or items are taken before the others get their turn.
const TURN_MAX: usize = 64;
/// How long a client may take to read the last words, and to close.
const GRACE: Duration = Duration::from_secs(2);

/// Serves one connection until either side has had enough.
pub(super) async fn run(hall: Arc<Hall>, connection: Arc<Connection>, socket: WebSocket) {
    let _counted = Counted::new(&hall.options.metrics.websockets);
    let outbox = Outbox::new(&hall.options.websocket);
    let (sink, mut frames) = socket.split();
    let mut writing = pin!(write(sink, &outbox).fuse());
    let conversation = async {
        let farewell = tokio::select! {
            // The writer comes last: what becomes ready in one turn is one write.
            biased;
            farewell = Session::new(&hall, &connection, &outbox).listen(&mut frames) => farewell,
            _ = writing.as_mut() => return,
        };
        if farewell == Farewell::Stalled {
            hall.options.metrics.websocket_overflows.inc();
            outbox.clear();
        }
        outbox.end(farewell.message());
        let goodbye = async {
            let _ = writing.await;
            while let Some(Ok(_)) = frames.next().await {}
        };
        let _ = timeout(GRACE, goodbye).await;
    };
    tokio::select! {
        biased;
        () = conversation => {}
        () = connection.cut.given() => {}
    }
}

/// One in a gauge, for as long as it lives.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Session<'a> {
    hall: &'a Arc<Hall>,
    connection: &'a Connection,
    outbox: &'a Outbox,
    /// Commands under way; each becomes the message that answers it.
    pending: FuturesUnordered<BoxFuture<'static, Message>>,
    subscriptions: Subscriptions,
    last_heard: Instant,
    /// Since when the send queue has been full without one message leaving it.
    full_since: Option<Instant>,
    draining: bool,
}

impl<'a> Session<'a> {
    fn new(hall: &'a Arc<Hall>, connection: &'a Connection, outbox: &'a Outbox) -> Self {
        Self {
            hall,
            connection,
            outbox,
            pending: FuturesUnordered::new(),
            subscriptions: Subscriptions::default(),
            last_heard: hall.environment.now(),
            full_since: None,
            draining: false,
        }
    }

    /// Works until there is a reason to stop.
    async fn listen(mut self, frames: &mut SplitStream<WebSocket>) -> Farewell {
        let mut pings = ping_interval(self.hall.options.websocket.ping_interval);
        let connection = self.connection;
        let mut drain = pin!(connection.drain.given());
        loop {
            if self.draining && self.pending.is_empty() {
                return Farewell::Draining;
            }
            let turn = if self.outbox.has_room() {
                self.full_since = None;
                poll_fn(|context| self.poll_turn(context, frames, &mut pings, drain.as_mut())).await
            } else {
                self.wait_for_room().await
            };
            if let Some(farewell) = turn {
                return farewell;
            }
        }
    }

    /// What is ready while the send queue has room: something of each source, so that none waits for another. Pending when
    /// nothing is.
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        frames: &mut SplitStream<WebSocket>,
        pings: &mut Interval,
        drain: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Option<Farewell>> {
        if !self.draining && drain.poll(context).is_ready() {
            self.drain();
        }
        // Before it is judged how long the client was silent: what this node slept through has arrived.
        let heard = match self.poll_frames(context, frames) {
            Poll::Ready(Some(farewell)) => return Poll::Ready(Some(farewell)),
            frames => frames.is_ready(),
        };
        let is_ping_due = pings.poll_tick(context).is_ready();
        if let Some(farewell) = is_ping_due.then(|| self.ping()).flatten() {
            return Poll::Ready(Some(farewell));
        }
        let (answered, told) = (self.poll_answers(context), self.poll_news(context));
        let is_over = self.draining && self.pending.is_empty();
        if is_ping_due || heard || answered || told || is_over { Poll::Ready(None) } else { Poll::Pending }
    }

    fn poll_frames(
        &mut self,
        context: &mut Context<'_>,
        frames: &mut SplitStream<WebSocket>,
    ) -> Poll<Option<Farewell>> {
        if self.draining {
            return Poll::Pending;
        }
        for taken in 0..TURN_MAX {
            if !self.outbox.has_room() {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = frames.poll_next_unpin(context) else {
                return if taken > 0 { Poll::Ready(None) } else { Poll::Pending };
            };
            if let Some(farewell) = self.hear(frame) {
                return Poll::Ready(Some(farewell));
            }
        }
        Poll::Ready(None)
    }

    /// Whether anything was answered.
    fn poll_answers(&mut self, context: &mut Context<'_>) -> bool {
        let mut taken = 0;
        while taken < TURN_MAX && self.outbox.has_room() {
            let Poll::Ready(Some(answer)) = self.pending.poll_next_unpin(context) else { break };
            self.outbox.push(answer);
            taken += 1;
        }
        taken > 0
    }

    /// Whether anything was told.
    fn poll_news(&mut self, context: &mut Context<'_>) -> bool {
        let mut taken = 0;
        while taken < TURN_MAX && self.outbox.has_room() {
            let Poll::Ready((id, news)) = self.subscriptions.poll_next(context) else { break };
            self.tell(&id, news);
            taken += 1;
        }
        taken > 0
    }

    /// While the send queue is full, nothing is taken: neither frames, nor answers, nor items.
    async fn wait_for_room(&mut self) -> Option<Farewell> {
        let full_since = *self.full_since.get_or_insert_with(|| self.hall.environment.now());
        let give_up = full_since + self.hall.options.websocket.stall_timeout;
        tokio::select! {
            biased;
            () = self.outbox.emptied() => { self.full_since = None; None }
            () = tokio::time::sleep_until(give_up) => Some(Farewell::Stalled),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.subscriptions = Subscriptions::default();
    }

    fn ping(&mut self) -> Option<Farewell> {
        let silence = self.hall.environment.now() - self.last_heard;
        if silence >= self.hall.options.websocket.silence_max {
            return Some(Farewell::Silent);
        }
        // Full, it is judged for how long.
        if self.outbox.has_room() {
            self.outbox.push(Message::Ping(Bytes::new()));
        }
        None
    }

    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Option<Farewell> {
        self.last_heard = self.hall.environment.now();
        match frame {
            None | Some(Ok(Message::Close(_))) => Some(Farewell::Gone),
            Some(Err(error)) => Some(farewell_of(error)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
            Some(Ok(Message::Text(text))) => {
                self.take(&text);
                None
            }
            Some(Ok(Message::Binary(_))) => {
                self.refuse(None, &Problem::invalid_body(".", "send text frames with JSON"));
                None
            }
        }
    }

    fn take(&mut self, text: &str) {
        match frame::parse(text) {
            Ok(frame) => self.ask(frame),
            Err(fault) => {
                self.hall.counts.frame(FrameKind::Invalid);
                self.refuse(fault.id.as_ref(), &Problem::invalid_body(fault.path, fault.message));
            }
        }
    }

    fn tell(&self, id: &Id, news: News) {
        let message = match news {
            News::Subscribed { revision } => reply::subscribed(id, revision),
            News::Published(published) => reply::published(id, &published),
            News::Ended => reply::ended(id, "stopped"),
            News::Refused(error) => return self.refuse(Some(id), &error.into()),
        };
        self.outbox.push(message);
    }

    fn refuse(&self, id: Option<&Id>, problem: &Problem) {
        let request_id = RequestId::random(&self.hall.environment);
        self.outbox.push(reply::problem(id, problem, &request_id));
    }
}

fn ping_interval(every: Duration) -> Interval {
    let mut pings = tokio::time::interval(every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset(); // The first ping comes after one interval, not at once.
    pings
}

fn farewell_of(error: axum::Error) -> Farewell {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Farewell::TooLarge,
        Some(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )) => Farewell::Gone,
        Some(tungstenite::Error::Protocol(_) | tungstenite::Error::Utf8(_)) => Farewell::Garbled,
        _ => Farewell::Gone,
    }
}
