//! An HTTP/1.1 client that shows every byte.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(in crate::gateway) struct Client {
    pub(in crate::gateway) stream: TcpStream,
    /// Bytes behind the last answer.
    rest: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(in crate::gateway) struct Answer {
    pub(in crate::gateway) status: u16,
    pub(in crate::gateway) headers: BTreeMap<String, String>,
    pub(in crate::gateway) body: String,
}

impl Client {
    pub(in crate::gateway) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), rest: Vec::new() }
    }

    /// `head` is the request line and perhaps more headers, separated by newlines.
    pub(in crate::gateway) async fn ask(&mut self, head: &str, body: &str) -> Answer {
        self.send(head, body).await;
        self.answer().await.expect("the server closed the connection without an answer")
    }

    pub(in crate::gateway) async fn send(&mut self, head: &str, body: &str) {
        let mut lines = head.lines();
        let request_line = lines.next().unwrap();
        let mut text = format!("{request_line} HTTP/1.1\r\nhost: test\r\n");
        for line in lines {
            text.push_str(&format!("{}\r\n", line.trim()));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str(&format!("\r\n{body}"));
        self.send_raw(text.as_bytes()).await;
    }

    pub(in crate::gateway) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer; `None` when the server closed.
    pub(in crate::gateway) async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8(self.rest[..head_end].to_vec()).unwrap();
        let (status, headers) = parse(&head);
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.rest.len() < head_end + 4 + length {
            self.read_more().await?;
        }
        let body = String::from_utf8(self.rest[head_end + 4..head_end + 4 + length].to_vec()).unwrap();
        self.rest.drain(..head_end + 4 + length);
        Some(Answer { status, headers, body })
    }

    /// Waits until the server closes; what it still says is thrown away.
    pub(in crate::gateway) async fn closed(&mut self) {
        while self.read_more().await.is_some() {}
    }

    async fn read_more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.rest).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

impl Answer {
    pub(in crate::gateway) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(in crate::gateway) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Asserts everything that each problem must have.
    #[track_caller]
    pub(in crate::gateway) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, "application/problem+json"),
            "{self:?}"
        );
        let document = self.json();
        assert_eq!((&document["status"], &document["code"]), (&status.into(), &code.into()), "{self:?}");
        assert_eq!(document["type"], "about:blank");
        assert!(
            !document["title"].as_str().unwrap().is_empty()
                && !document["detail"].as_str().unwrap().is_empty()
        );
        assert_eq!(document["request_id"], self.header("request-id"));
        assert_eq!(self.headers.contains_key("retry-after"), status == 503, "{self:?}");
        document
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse(head: &str) -> (u16, BTreeMap<String, String>) {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap_or((line, "")));
    (status, headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
}
