//! WebSocket with as little work as it takes: frames are made once, and found by their length.

use std::{net::SocketAddr, ops::Range};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{
    super::key,
    http::COMMAND,
    load::{self, Measured, Tally, Times, Window},
};
use crate::child::Child;

const BUFFER_BYTES: usize = 64 << 10;
const FINAL_TEXT: u8 = 0x81;
const FINAL_PING: u8 = 0x89;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x5a, 0x11, 0xc3, 0x7e];
/// In one byte of a frame; more have two bytes of their own.
const SHORT_MAX: usize = 125;

/// What follows the id in an answer of a node.
pub(super) const REPLY: &str = r#""reply":"#;
/// What follows the id in an answer of an echo.
pub(super) const ECHO: &str = r#""call":"#;

/// Calls on many connections, each to an entity of its own.
pub(super) struct Load {
    pub(super) connections: usize,
    /// Per connection.
    pub(super) in_flight: usize,
    pub(super) times: Times,
}

impl Load {
    /// `expected` is what follows the id in every answer.
    pub(super) fn measure(
        &self,
        at: SocketAddr,
        server: &Child,
        path: &'static str,
        expected: &'static str,
    ) -> Measured {
        let (runtime, in_flight) = (crate::node::small_runtime(), self.in_flight);
        load::measure(&runtime, server, self.connections, self.times, |number, window| async move {
            let stream = open(at, path).await;
            Socket { stream, requests: requests(number, in_flight), expected }.talk(window).await
        })
    }
}

fn requests(number: usize, in_flight: usize) -> Vec<Vec<u8>> {
    let key = key(number);
    let text = |id| format!(r#"{{"id":{id},"call":{{"kind":"sink","key":"{key}","command":{COMMAND}}}}}"#);
    (0..in_flight).map(|id| frame(&text(id))).collect()
}

struct Socket {
    stream: TcpStream,
    /// One for each call in flight.
    requests: Vec<Vec<u8>>,
    expected: &'static str,
}

impl Socket {
    async fn talk(mut self, window: Window) -> Tally {
        let (mut tally, mut unanswered) = (Tally::new(window), self.requests.len());
        let mut began = vec![Instant::now(); unanswered];
        let (mut out, mut buffer, mut filled) = (self.requests.concat(), vec![0; BUFFER_BYTES], 0);
        while unanswered > 0 {
            self.stream.write_all(&out).await.expect("the server takes frames");
            out.clear();
            let read = self.stream.read(&mut buffer[filled..]).await.expect("the server answers");
            assert!(read > 0, "the server answers instead of closing");
            filled += read;
            let (now, mut at) = (Instant::now(), 0);
            while let Some((kind, payload)) = whole(&buffer[at..filled]) {
                if kind != FINAL_PING {
                    assert_eq!(kind, FINAL_TEXT, "the server answers in text");
                    let id = self.answered(&buffer[at..][payload.clone()]);
                    tally.note(began[id], now);
                    began[id] = now;
                    if window.is_over(now) {
                        unanswered -= 1;
                    } else {
                        out.extend_from_slice(&self.requests[id]);
                    }
                }
                at += payload.end;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
        }
        tally
    }

    /// Which call it answers.
    fn answered(&self, answer: &[u8]) -> usize {
        let text = std::str::from_utf8(answer).expect("answers are text");
        let (id, rest) = text.strip_prefix(r#"{"id":"#).and_then(|rest| rest.split_once(',')).expect("an id");
        assert!(rest.starts_with(self.expected), "every call is answered: {text}");
        id.parse().expect("an id of ours")
    }
}

async fn open(at: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.expect("the server listens");
    stream.set_nodelay(true).expect("it is a TCP connection");
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server takes requests");
    let mut head = Vec::new();
    // Byte by byte: what follows is for somebody else.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the server answers"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "it speaks WebSocket: {}", String::from_utf8_lossy(&head));
    stream
}

/// A text, as clients send it.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("frames of the bench are small");
    let mut frame = vec![FINAL_TEXT];
    match u8::try_from(length) {
        Ok(short) if usize::from(short) <= SHORT_MAX => frame.push(MASKED | short),
        _ => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(text.bytes().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The kind and the payload of the frame of a server that begins here, if all of it is here.
fn whole(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let [kind, length, rest @ ..] = bytes else { return None };
    let (begin, length) = match length {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => panic!("answers of the bench are small"),
        short => (2, usize::from(*short)),
    };
    (bytes.len() >= begin + length).then_some((*kind, begin..begin + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_when_its_payload_is() {
        assert_eq!(whole(b"\x81\x02ok\x81"), Some((FINAL_TEXT, 2..4)));
        assert_eq!(whole(b"\x81\x02o"), None);
        let mut long = vec![FINAL_TEXT, 126, 1, 0];
        assert_eq!(whole(&long), None);
        long.extend([b'x'; 256]);
        assert_eq!(whole(&long), Some((FINAL_TEXT, 4..260)));
    }

    #[test]
    fn frames_are_masked_and_say_their_length() {
        let short = frame("hello");
        assert_eq!(short[..6], [FINAL_TEXT, MASKED | 5, 0x5a, 0x11, 0xc3, 0x7e]);
        assert_eq!(short[6] ^ MASK[0], b'h');
        assert_eq!(frame(&"x".repeat(200))[..4], [FINAL_TEXT, MASKED | 126, 0, 200]);
    }
}
