//! HTTP/1.1 over one connection, with as little work as it takes: a request is bytes that are written, an answer is found by
//! its length.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{
    super::key,
    load::{self, Measured, Tally, Times, Window},
};
use crate::child::Child;

/// How many bytes an answer may have.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const LENGTH: &str = "content-length: ";

/// What each call says to its entity.
pub(in crate::rows) const COMMAND: &str = r#"{"Note":7}"#;

/// A call of the entity `key`.
pub(in crate::rows) fn request(key: &str, command: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/entities/sink/{key}/call HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{command}",
        command.len()
    );
    head.into_bytes()
}

/// So many connections, each to an entity of its own.
pub(in crate::rows) fn measure(at: SocketAddr, server: &Child, connections: usize, times: Times) -> Measured {
    let runtime = crate::node::small_runtime();
    load::measure(&runtime, server, connections, times, |number, window| talk(at, number, window))
}

async fn talk(at: SocketAddr, number: usize, window: Window) -> Tally {
    let (mut asker, request) = (Asker::open(at).await, request(&key(number), COMMAND));
    let (mut tally, mut began) = (Tally::new(window), Instant::now());
    while !window.is_over(began) {
        asker.ask(&request).await;
        let now = Instant::now();
        tally.note(began, now);
        began = now;
    }
    tally
}

/// One connection.
pub(in crate::rows) struct Asker {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Asker {
    /// Connects.
    pub(in crate::rows) async fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a TCP connection");
        Self { stream, buffer: vec![0; ANSWER_BYTES_MAX] }
    }

    /// The body of the answer. Whatever is not 200 ends the measurement.
    pub(in crate::rows) async fn ask(&mut self, request: &[u8]) -> &str {
        self.stream.write_all(request).await.expect("the server takes requests");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("the server answers");
            assert!(read > 0, "the server answers instead of closing");
            filled += read;
            if let Some((begin, end)) = body(&self.buffer[..filled]) {
                assert_eq!(end, filled, "there is one answer to one request");
                return std::str::from_utf8(&self.buffer[begin..end]).expect("answers are text");
            }
        }
    }
}

/// From where to where the body of an answer goes, once all of it is here.
fn body(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD)?;
    let text = std::str::from_utf8(&bytes[..head]).expect("heads are text");
    assert!(text.starts_with("HTTP/1.1 200 "), "every call is answered: {}", String::from_utf8_lossy(bytes));
    let length = text.split("\r\n").find_map(|line| line.strip_prefix(LENGTH));
    let length: usize = length.and_then(|length| length.parse().ok()).expect("an answer says how long it is");
    let begin = head + END_OF_HEAD.len();
    (bytes.len() >= begin + length).then_some((begin, begin + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n17";
        assert_eq!(body(answer), Some((answer.len() - 2, answer.len())));
        assert_eq!(body(&answer[..answer.len() - 1]), None);
        assert_eq!(body(&answer[..20]), None);
    }

    #[test]
    #[should_panic(expected = "every call is answered")]
    fn a_refusal_ends_the_measurement() {
        body(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    }
}
