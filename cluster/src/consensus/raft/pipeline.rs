//! Entries that are sent ahead of the answers.
//!
//! A follower answers when entries are on its disk. Whoever waits for one answer before sending the next request
//! pays a round trip and a sync for each. So requests go out as they come, in order, up to a bound; answers are
//! told in the order of the requests. The first one that is not a plain success ends the stream: openraft then
//! looks for the place where the logs agree and begins another.
//!
//! A request without entries tells a follower that entries are committed, nothing else. The next entries tell it, too, so it
//! waits for them for a while. With one proposal of a group on its way at a time that is half of all requests.

use std::{collections::VecDeque, future::Future, pin::Pin, time::Duration};

use crate::environment::{aligned_here, watch};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream, FuturesOrdered},
};
use openraft::{
    AnyError,
    entry::RaftEntry,
    error::{NetworkError, RPCError},
    network::RPCTypes,
    raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult},
};
use tokio::time::{Instant, Sleep};

use super::{
    network::Question,
    types::{LogId, Types, encode_within, weight},
    way::Way,
};
use crate::consensus::Lane;

/// How many requests are sent ahead at most.
const REQUESTS_MAX: usize = 64;
/// How many bytes are sent ahead at most, plus one request.
const BYTES_MAX: usize = 8 << 20;
/// About how long a request without entries is.
const REQUEST_BYTES: usize = 64;
/// The groups of a node send what was held together.
const HELD_STEP: Duration = Duration::from_millis(40);

type Item = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// The requests of one stream to one follower.
pub(crate) struct Pipeline<S> {
    way: Way,
    /// `None` when there are no more requests.
    requests: Option<S>,
    answers: FuturesOrdered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    /// What is on its way, in order.
    sent: VecDeque<Sent>,
    bytes: usize,
    /// A request without entries that is not sent yet: the newest one.
    held: Option<AppendEntriesRequest<Types>>,
    /// Fires when it was held for long enough.
    hold: Pin<Box<Sleep>>,
    /// Fires when no answer came for too long.
    patience: Pin<Box<Sleep>>,
    /// Entries below this index are about to be removed.
    floor: watch::Receiver<u64>,
}

type Answered = Result<AppendEntriesResponse<Types>, RPCError<Types>>;

struct Sent {
    before: Option<LogId>,
    last: Option<LogId>,
    bytes: usize,
}

enum Event {
    Answer(Answered),
    Request(Option<AppendEntriesRequest<Types>>),
    Held,
    Silence,
    Floor,
}

impl<S> Pipeline<S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    pub(crate) fn new(way: Way, requests: S) -> Self {
        let floor = way.network.floor.clone();
        let patience = Box::pin(tokio::time::sleep(way.network.patience));
        let (answers, sent) = (FuturesOrdered::new(), VecDeque::new());
        let hold = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { way, requests: Some(requests), answers, sent, bytes: 0, held: None, hold, patience, floor }
    }

    /// What came of the requests.
    pub(crate) fn into_stream(self) -> BoxStream<'static, Item> {
        let stream = stream::unfold(Some(self), |pipeline| async move {
            let mut pipeline = pipeline?;
            let item = pipeline.next().await?;
            let goes_on = matches!(item, (Ok(Ok(_)), true));
            Some((item.0, goes_on.then_some(pipeline)))
        });
        Box::pin(stream)
    }

    /// The next result, and whether another may follow.
    async fn next(&mut self) -> Option<(Item, bool)> {
        loop {
            if self.requests.is_none() && self.held.is_none() && self.sent.is_empty() {
                return None;
            }
            if self.is_below_floor() {
                return Some((Err(left_behind()), false));
            }
            match self.event().await {
                Event::Answer(answer) => return Some(self.finish(answer)),
                Event::Request(Some(request)) => self.accept(request),
                Event::Request(None) => {
                    self.requests = None;
                    self.send_held();
                }
                Event::Held => self.send_held(),
                Event::Silence => return Some((Err(self.timed_out()), false)),
                Event::Floor => {}
            }
        }
    }

    async fn event(&mut self) -> Event {
        let is_waiting = !self.sent.is_empty();
        let has_room = self.sent.len() < REQUESTS_MAX && self.bytes < BYTES_MAX;
        let requests = async {
            match &mut self.requests {
                Some(requests) if has_room => requests.next().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(answer) = self.answers.next(), if is_waiting => Event::Answer(answer),
            Ok(()) = self.floor.changed() => Event::Floor,
            () = self.patience.as_mut(), if is_waiting => Event::Silence,
            request = requests => Event::Request(request),
            () = self.hold.as_mut(), if self.held.is_some() => Event::Held,
        }
    }

    /// Sends a request, or holds it back. What was held is older: what it would tell, this one does.
    fn accept(&mut self, request: AppendEntriesRequest<Types>) {
        let after = self.way.network.commits_held;
        let was_held = self.held.take().is_some();
        if !request.entries.is_empty() || after.is_zero() {
            return self.send(request);
        }
        if !was_held {
            self.hold.as_mut().reset(Instant::now() + aligned_here(after, HELD_STEP));
        }
        self.held = Some(request);
    }

    fn send_held(&mut self) {
        if let Some(request) = self.held.take() {
            self.send(request);
        }
    }

    /// Puts a request on the wire.
    fn send(&mut self, request: AppendEntriesRequest<Types>) {
        if self.sent.is_empty() {
            self.be_patient();
        }
        let before = request.prev_log_id;
        let last = request.entries.last().map(RaftEntry::log_id).or(before);
        let bytes = weight(&request.entries) + REQUEST_BYTES;
        let question = encode_within(&Question::Append(request), bytes);
        self.sent.push_back(Sent { before, last, bytes: question.len() });
        self.bytes += question.len();
        let answer = self.way.send(Lane::Consensus, question);
        self.answers.push_back(Box::pin(async move { answer.await.map_err(RPCError::from) }));
    }

    /// Tells the answer to the oldest request. A success that leaves entries out ends the stream, too.
    fn finish(&mut self, answer: Answered) -> (Item, bool) {
        self.be_patient();
        let sent = self.sent.pop_front().expect("answers come in the order of the requests, one for each");
        self.bytes -= sent.bytes;
        let is_whole = match &answer {
            Ok(AppendEntriesResponse::PartialSuccess(last)) => *last == sent.last,
            _ => true,
        };
        (answer.map(|answer| answer.into_stream_result(sent.before, sent.last)), is_whole)
    }

    fn be_patient(&mut self) {
        self.patience.as_mut().reset(Instant::now() + self.way.network.patience);
    }

    /// Whether the follower still needs an entry that is about to be removed.
    fn is_below_floor(&self) -> bool {
        let floor = *self.floor.borrow();
        // Heartbeats need no entries.
        let oldest = self.sent.iter().find(|sent| sent.before < sent.last);
        oldest.is_some_and(|sent| sent.before.map_or(0, |before| before.index() + 1) < floor)
    }

    fn timed_out(&self) -> RPCError<Types> {
        RPCError::Timeout(self.way.timed_out(RPCTypes::AppendEntries, self.way.network.patience))
    }
}

fn left_behind() -> RPCError<Types> {
    NetworkError::new(&AnyError::error("the follower is too far behind the log; it gets a snapshot")).into()
}
