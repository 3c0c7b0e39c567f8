//! Entries for the fuzz targets: what is done with bytes of a peer, without a peer.

use super::{
    frame::{self, Frames, Kind},
    hello,
};
use crate::codec;

/// Small enough that a fuzzer finds the bound.
const BODY_BYTES_MAX: usize = 64;

/// Decodes a stream of frames, and what is in them.
///
/// # Panics
///
/// When the decoder contradicts itself.
pub fn frames(bytes: &[u8]) {
    let mut frames = Frames::new(bytes, BODY_BYTES_MAX);
    let mut written = Vec::new();
    loop {
        if let Some(body) = frames.take_pushed() {
            put(&mut written, Kind::Pushed, body);
            continue;
        }
        let Ok(Some(taken)) = frames.take() else { break };
        assert_ne!(taken.kind, Kind::Pushed, "pushed frames are taken before");
        put(&mut written, taken.kind, taken.body);
        body(taken);
    }
    assert_eq!([&written, frames.rest()].concat(), bytes, "nothing is lost, nothing is invented");
}

/// Decodes each message of the exchange of hellos.
///
/// # Panics
///
/// When the decoder contradicts itself.
pub fn hello(bytes: &[u8]) {
    if let Ok((protocols, body)) = hello::split(bytes) {
        if let Ok(hello) = hello::decode_hello(body) {
            let again = hello::encode(protocols, &hello);
            let (same, body) = hello::split(&again).expect("what was written can be read");
            assert_eq!((same, hello::decode_hello(body)), (protocols, Ok(hello)));
        }
        // Only whether it panics.
        let _ = hello::decode_reply(body);
    }
    let _ = hello::decode_verdict(bytes);
}

fn put(buffer: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    assert!(body.len() <= BODY_BYTES_MAX);
    let start = buffer.len();
    frame::begin(buffer, kind);
    buffer.extend_from_slice(body);
    frame::finish(buffer, start);
}

fn body(taken: frame::Frame<'_>) {
    match taken.kind {
        Kind::Request => {
            if let Ok(request) = frame::request(taken.body) {
                let mut again = Vec::new();
                frame::put_request(&mut again, request.id, request.service);
                assert_eq!([&again, request.body].concat(), taken.body);
            }
        }
        Kind::Answer => {
            if let Ok(answer) = frame::answer(taken.body) {
                let mut again = Vec::new();
                frame::put_answer(&mut again, answer.id, answer.status);
                assert_eq!([&again, answer.body].concat(), taken.body);
            }
        }
        Kind::Ping | Kind::Pong => {
            if let Ok(beat) = frame::beat(taken.body) {
                let again = codec::encode(&beat).expect("a beat can be encoded");
                assert_eq!(frame::beat(&again), Ok(beat));
            }
        }
        Kind::Pushed => {}
    }
}
