//! Reads what a session receives: fills a large buffer, opens all records in it, hands out all frames in them.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::{
    Lane, RequestError, ServiceId,
    frame::{self, Answer, Frame, FrameError, Frames, Kind, Request, Status},
    link::Link,
    outbox::End,
    record::{Opener, RecordError},
    requests::Charge,
    session::Session,
    window::Window,
};
use crate::environment::ReadEnd;

/// Runs until the session ends. A plain session has no `opener`.
pub(super) async fn run(link: Arc<Link>, session: Arc<Session>, half: ReadEnd, opener: Option<Opener>) {
    let usual = usual_bytes(session.lane());
    let plain = Window::new(if opener.is_some() { usual } else { 0 });
    let reader = Reader { link: Arc::clone(&link), session: Arc::clone(&session), half, opener };
    let mut end = session.outbox.end();
    let outcome = tokio::select! {
        biased;
        // An error would mean that the session is gone, and we hold it.
        _ = end.wait_for(|end| *end != End::Open) => None,
        error = reader.read_all(Window::new(usual), plain) => Some(error),
    };
    if let Some(error) = outcome {
        if count(&link, &error) {
            let (peer, lane) = (&session.peer().name, session.lane());
            tracing::warn!(peer, ?lane, %error, "a peer broke the protocol; its session is closed");
        }
        session.close(&error.to_string());
    }
    link.ended(&session);
}

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the peer closed the connection")]
    ByPeer,
    #[error("could not read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Whether the peer sent what no peer may send. Each costs it the session, so that is said each time.
fn count(link: &Link, error: &ReadError) -> bool {
    let counter = match error {
        ReadError::Frame(FrameError::Oversized { .. }) => &link.statistics.oversized_frames,
        ReadError::Frame(FrameError::Garbage(_)) | ReadError::Record(_) => &link.statistics.garbage_frames,
        ReadError::ByPeer | ReadError::Io(_) => return false,
    };
    counter.increment();
    true
}

/// What is read at once. Control lanes are many and carry little.
fn usual_bytes(lane: Lane) -> usize {
    match lane {
        Lane::Control => 8 << 10,
        Lane::Processes => 16 << 10,
        Lane::Consensus | Lane::Shard(_) | Lane::Bulk | Lane::Mail => 128 << 10,
    }
}

struct Reader {
    link: Arc<Link>,
    session: Arc<Session>,
    half: ReadEnd,
    opener: Option<Opener>,
}

impl Reader {
    async fn read_all(mut self, mut raw: Window, mut plain: Window) -> ReadError {
        loop {
            if let Err(error) = self.read_once(&mut raw, &mut plain).await {
                return error;
            }
        }
    }

    async fn read_once(&mut self, raw: &mut Window, plain: &mut Window) -> Result<(), ReadError> {
        let room = usual_bytes(self.session.lane()) / 4;
        let bytes = self.half.read(raw.space(room)).await?;
        if bytes == 0 {
            return Err(ReadError::ByPeer);
        }
        raw.filled(bytes);
        self.session.pulse.read(self.link.now_ms());
        self.link.traffic(&self.session).bytes_in.add(bytes as u64);
        match &mut self.opener {
            None => self.deliver(raw),
            Some(opener) => {
                // What was opened before a bad record is right, and is delivered first.
                let opened = opener.open(raw, plain);
                self.deliver(plain)?;
                Ok(opened?)
            }
        }
    }

    fn deliver(&self, window: &mut Window) -> Result<(), ReadError> {
        let mut frames = Frames::new(window.bytes(), self.link.config.frame_bytes_max);
        let outcome = self.deliver_all(&mut frames);
        self.link.traffic(&self.session).frames_in.add(frames.taken());
        let consumed = window.bytes().len() - frames.rest().len();
        window.consume(consumed);
        Ok(outcome?)
    }

    fn deliver_all(&self, frames: &mut Frames<'_>) -> Result<(), FrameError> {
        loop {
            self.deliver_pushed(frames);
            match frames.take()? {
                None => return Ok(()),
                Some(frame) => self.deliver_one(frame)?,
            }
        }
    }

    /// All pushed frames that stand together, as one batch.
    fn deliver_pushed(&self, frames: &mut Frames<'_>) {
        if !self.session.lane().is_pushed() {
            return;
        }
        let mut pushed = std::iter::from_fn(|| frames.take_pushed()).peekable();
        if pushed.peek().is_some() {
            self.link.frames.frames(&self.session, &mut pushed);
            pushed.for_each(drop);
        }
    }

    fn deliver_one(&self, frame: Frame<'_>) -> Result<(), FrameError> {
        match (frame.kind, self.session.is_dialer()) {
            (Kind::Request, false) => self.answer(frame::request(frame.body)?),
            (Kind::Answer, true) => self.answered(frame::answer(frame.body)?),
            (Kind::Ping, false) | (Kind::Pong, true) => {
                self.link.heard(&self.session, frame::beat(frame.body)?);
            }
            _ => return Err(FrameError::Garbage("a frame that does not come this way")),
        }
        Ok(())
    }

    fn answered(&self, answer: Answer<'_>) {
        // Nobody waits: the future of the request was dropped.
        let Some(waiting) = self.session.requests.take(answer.id) else { return };
        let text = || String::from_utf8_lossy(answer.body).into_owned();
        // An error means that it was dropped just now.
        let _ = waiting.send(match answer.status {
            Status::Answered => Ok(Bytes::copy_from_slice(answer.body)),
            Status::Refused => Err(RequestError::Refused(text())),
            Status::Full => Err(RequestError::Full),
        });
    }

    fn answer(&self, request: Request<'_>) {
        let id = request.id;
        let Some(charge) = self.session.budget.charge(request.body.len()) else {
            self.link.statistics.requests_refused.increment();
            return self.answer_later(id, Status::Full, Bytes::new(), None);
        };
        let Some(service) = self.link.services.get(&ServiceId(request.service)) else {
            let text = Bytes::from_static(b"there is no such service");
            return self.answer_later(id, Status::Refused, text, Some(charge));
        };
        let answer = service.receive(self.session.peer(), Bytes::copy_from_slice(request.body));
        let session = Arc::clone(&self.session);
        self.link.tasks.spawn_untracked(async move {
            match answer.await {
                Ok(body) => send(session, id, Status::Answered, body).await,
                Err(text) => send(session, id, Status::Refused, text.into()).await,
            }
            drop(charge);
        });
    }

    /// An answer without a service, which is small: if there is no room even for that, the peer asks and does not read, and
    /// loses the session.
    fn answer_later(&self, id: u64, status: Status, body: Bytes, _charge: Option<Charge>) {
        let pushed = self.session.outbox.push(Kind::Answer, |buffer| put(buffer, id, status, &body));
        if pushed.is_err() {
            self.session.close("the peer asks, but does not read the answers");
        }
    }
}

/// Waits for room: the charge for the request is held meanwhile, so this is bounded.
async fn send(session: Arc<Session>, id: u64, status: Status, body: Bytes) {
    let encode = |buffer: &mut Vec<u8>| put(buffer, id, status, &body);
    if session.outbox.push_when_room(Kind::Answer, encode).await == Err(super::PushError::TooLarge) {
        let text = format!("the answer has {} bytes, which is more than a frame may have", body.len());
        let encode = |buffer: &mut Vec<u8>| put(buffer, id, Status::Refused, text.as_bytes());
        // An error means that the session is closed: the peer has heard that instead.
        let _ = session.outbox.push_when_room(Kind::Answer, encode).await;
    }
}

fn put(buffer: &mut Vec<u8>, id: u64, status: Status, body: &[u8]) {
    frame::put_answer(buffer, id, status);
    buffer.extend_from_slice(body);
}
