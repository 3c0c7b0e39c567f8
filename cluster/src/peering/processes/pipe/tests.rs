//! Two pipes whose frames a test carries from one to the other.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::{
    consensus::RaftId,
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
    Arc::new(Session::new(opening, &Config::default()))
}

fn pipe() -> Arc<Pipe> {
    let config = processes::Config {
        window_bytes_max: WINDOW,
        frame_bytes_max: FRAME_MAX,
        ..processes::Config::default()
    };
    Lanes::new(config).opened(&session())
}

/// Carries frames, and counts the bytes of data.
async fn carry(from: &Pipe, to: &Pipe, data: &Mutex<usize>) {
    let mut buffer = Vec::new();
    while from.session.outbox.take(&mut buffer).await.is_some() {
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

#[tokio::test(start_paused = true)]
async fn who_is_not_read_may_send_one_window() {
    let (one, other) = (pipe(), pipe());
    let mut writer = End(Arc::clone(&one));
    let (there, back) = (Mutex::default(), Mutex::default());
    let frames = frame(&vec![7; 10 * WINDOW]);
    let stuck = tokio::select! {
        biased;
        stuck = timeout(PATIENCE, writer.write_all(&frames)) => stuck.is_err(),
        () = carry(&one, &other, &there) => false,
        () = carry(&other, &one, &back) => false,
    };
    assert!(stuck);
    assert_eq!(*there.lock(), WINDOW);
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
