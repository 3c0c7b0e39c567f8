//! Two pipes whose frames a test carries from one to the other.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::*;
use crate::{
    consensus::RaftId,
    environment::Environment,
    identity::Incarnation,
    peering::{
        Config, Lane, Peer,
        frame::Frames,
        processes::{self, lanes::Lanes},
        requests::Budget,
        session::Opening,
    },
};

const WINDOW: usize = 4 << 10;
const FRAME_MAX: usize = 64 << 10;
/// Longer than any claim takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a session may wait for credit.
const STALL: Duration = Duration::from_secs(7);
/// Shorter than anything that is waited for.
const SOON: Duration = Duration::from_millis(100);

fn session() -> Arc<Session> {
    let peer = Peer {
        name: "node-1".to_owned(),
        raft_id: RaftId(1),
        incarnation: Incarnation(1),
        release: String::new(),
        zone: String::new(),
        track: String::new(),
        cluster_id: None,
        protocol: 1,
    };
    let opening = Opening {
        id: 1,
        lane: Lane::Processes,
        is_dialer: true,
        peer,
        secret: None,
        peer_frame_bytes_max: u32::MAX,
        budget: Arc::new(Budget::new(0)),
        now_ms: 0,
    };
    Arc::new(Session::new(opening, &Config { stall_timeout: STALL, ..Config::default() }))
}

fn config() -> processes::Config {
    processes::Config {
        window_bytes_max: WINDOW,
        frame_bytes_max: FRAME_MAX,
        answers_bytes_max: FRAME_MAX,
        ..processes::Config::default()
    }
}

fn lanes() -> Lanes {
    let runtime = tokio::runtime::Handle::current();
    Lanes::new(config(), Environment::real(runtime.clone(), runtime))
}

fn pipe() -> Arc<Pipe> {
    lanes().opened(&session())
}

/// Carries frames, and counts the bytes of data.
async fn carry(from: &Pipe, to: &Pipe, data: &Mutex<usize>) {
    let mut buffer = Vec::new();
    while from.session.outbox.take(&mut buffer, false).await.is_some() {
        let mut frames = Frames::new(&buffer, FRAME_MAX);
        while let Some(frame) = frames.take_pushed() {
            *data.lock() += if frame[0] == DATA { frame.len() - 1 } else { 0 };
            to.hear(frame).unwrap();
        }
        buffer.clear();
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u64).to_be_bytes()[..], body].concat()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_whole_and_in_order_through_a_small_window() {
    let (one, other) = (pipe(), pipe());
    let frames: Vec<u8> = (0..50_u8).flat_map(|number| frame(&vec![number; 3000])).collect();
    let (mut writer, mut reader) = (End(Arc::clone(&one)), End(Arc::clone(&other)));
    let mut read = vec![0; frames.len()];
    let (there, back) = (Mutex::default(), Mutex::default());
    let pass = async {
        let (written, arrived) = tokio::join!(writer.write_all(&frames), reader.read_exact(&mut read));
        written.and(arrived.map(drop))
    };
    let passed = tokio::select! {
        biased;
        passed = timeout(PATIENCE, pass) => passed,
        () = carry(&one, &other, &there) => panic!("it is not closed"),
        () = carry(&other, &one, &back) => panic!("it is not closed"),
    };
    passed.expect("it is not stuck").unwrap();
    assert!(read == frames);
    assert_eq!((*there.lock(), *back.lock()), (frames.len(), 0));
}

/// It was stuck for ever, and what was queued behind it grew without a bound: the peer answers pings, whoever reads there.
#[tokio::test(start_paused = true)]
async fn who_is_not_read_may_send_one_window_and_ends_soon() {
    let lanes = lanes();
    let (session, other) = (session(), pipe());
    let one = lanes.opened(&session);
    let mut writer = End(Arc::clone(&one));
    let (there, back) = (Mutex::default(), Mutex::default());
    let (frames, begun) = (frame(&vec![7; 10 * WINDOW]), Instant::now());
    let ended = tokio::select! {
        biased;
        ended = timeout(PATIENCE, writer.write_all(&frames)) => ended.expect("it does not wait for ever"),
        () = carry(&one, &other, &there) => panic!("it is not closed"),
        () = carry(&other, &one, &back) => panic!("it is not closed"),
    };
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(*there.lock(), WINDOW);
    let waited = begun.elapsed();
    assert!((STALL..STALL + SOON).contains(&waited), "{waited:?}");
    assert!(!session.is_open());
    assert_eq!(lanes.counts().overflows.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// It is the time without any credit that counts, however long the whole takes.
#[tokio::test(start_paused = true)]
async fn who_is_read_slowly_goes_on() {
    let (session, lanes) = (session(), lanes());
    let pipe = lanes.opened(&session);
    let grant = |bytes: u32| pipe.hear(&[vec![CREDIT], bytes.to_le_bytes().to_vec()].concat()).unwrap();
    let (mut writer, body) = (End(Arc::clone(&pipe)), frame(&[7; 1000]));
    let mut write = Box::pin(writer.write_all(&body));
    for _ in 0..10 {
        assert!(timeout(STALL - SOON, &mut write).await.is_err());
        grant(100);
    }
    assert!(timeout(STALL - SOON, &mut write).await.is_err(), "eight bytes are missing");
    grant(100);
    write.await.unwrap();
    // Nobody waits, so nobody is late.
    tokio::time::sleep(2 * STALL).await;
    assert!(session.is_open());
    let mut write = Box::pin(writer.write_all(&body));
    assert!(timeout(STALL - SOON, &mut write).await.is_err());
    write.await.unwrap_err();
    assert!(!session.is_open());
}

#[tokio::test]
async fn who_sends_more_than_a_window_is_an_error() {
    let pipe = pipe();
    let data = |bytes| [vec![DATA], vec![7; bytes]].concat();
    pipe.hear(&data(WINDOW)).unwrap();
    assert_eq!(pipe.hear(&data(1)), Err(PipeError::Overrun));
    // What was read and not granted again is no room either.
    End(Arc::clone(&pipe)).read_exact(&mut [0; WINDOW / 4]).await.unwrap();
    assert_eq!(pipe.hear(&data(1)), Err(PipeError::Overrun));
    for garbage in [&[][..], &[2], &[CREDIT, 1, 0, 0]] {
        assert_eq!(pipe.hear(garbage), Err(PipeError::Garbage));
    }
}

#[tokio::test]
async fn a_closed_stream_ends_after_what_came() {
    let pipe = pipe();
    pipe.hear(&[DATA, 1, 2, 3]).unwrap();
    pipe.close();
    let mut rest = Vec::new();
    End(Arc::clone(&pipe)).read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [1, 2, 3]);
    let written = End(pipe).write_all(&frame(b"late")).await;
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// The frames that a pipe has sent, as long as it is there.
async fn sent(pipe: &Pipe) -> Vec<Vec<u8>> {
    let (mut buffer, mut sent) = (Vec::new(), Vec::new());
    pipe.session.outbox.take(&mut buffer, false).await.unwrap();
    let mut frames = Frames::new(&buffer, FRAME_MAX);
    while let Some(frame) = frames.take_pushed() {
        sent.push(frame.to_vec());
    }
    sent
}

#[tokio::test]
async fn a_fence_comes_back_when_what_was_being_written_is_sent() {
    let (pipe, body) = (pipe(), frame(&vec![7; 2 * WINDOW]));
    let fence = |number: u64| [vec![FENCE], number.to_le_bytes().to_vec()].concat();
    let fenced = |number: u64| [vec![FENCED], number.to_le_bytes().to_vec()].concat();
    let grant = || pipe.hear(&[vec![CREDIT], (WINDOW as u32).to_le_bytes().to_vec()].concat()).unwrap();
    pipe.hear(&fence(1)).unwrap();
    assert!(sent(&pipe).await.contains(&fenced(1)), "nothing is being written");

    let mut writer = End(Arc::clone(&pipe));
    let write = async {
        writer.write_all(&body).await.unwrap();
        writer.flush().await.unwrap();
    };
    let mut write = Box::pin(write);
    grant();
    assert!((&mut write).now_or_never().is_none());
    pipe.hear(&fence(2)).unwrap();
    assert!(!sent(&pipe).await.contains(&fenced(2)));
    (0..2).for_each(|_| grant());
    write.await;
    assert_eq!(sent(&pipe).await.last(), Some(&fenced(2)));
}

/// Nothing else bounds what a session keeps for a peer that reads too slowly.
#[tokio::test]
async fn a_session_that_has_too_much_to_write_ends() {
    let lanes = lanes();
    let (session, most) = (session(), config().backlog_bytes_max());
    let pipe = lanes.opened(&session);
    let mut writer = End(pipe);
    let batch = vec![0; most + 1];
    assert!(writer.write_all(&batch[..most]).now_or_never().is_none(), "it waits for credit");
    assert!(session.is_open());
    let ended = writer.write_all(&batch).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::BrokenPipe);
    assert!(!session.is_open());
    assert_eq!(lanes.counts().overflows.load(std::sync::atomic::Ordering::Relaxed), 1);
}
