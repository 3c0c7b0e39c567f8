//! The second port of a node: probes, metrics, and what operators ask.
//!
//! Comes in: an address. Leaves: what the node says of itself there.

use std::{io, net::SocketAddr, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Who asks. Nobody but this machine reaches the nodes of the bench, so it may be known.
pub(crate) const TOKEN: &str = "an-operator-of-the-bench";

/// How long a node may take to say anything, before it is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The second port of a node.
#[derive(Clone, Copy, Debug)]
pub struct Ops {
    address: SocketAddr,
}

/// What operators see of a shard.
#[derive(Debug, Deserialize)]
pub(crate) struct Shard {
    /// The name of the node that leads it, if one does.
    pub(crate) leader: Option<String>,
    replicas: Vec<Replica>,
    #[serde(rename = "move")]
    moves: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Replica {
    votes: bool,
}

#[derive(Deserialize)]
struct Shards {
    shards: Vec<Shard>,
}

impl Shard {
    /// Whether so many replicas vote, and none is to come or to go.
    pub(crate) fn is_whole(&self, voters: usize) -> bool {
        self.moves.is_none() && self.replicas.iter().filter(|replica| replica.votes).count() == voters
    }
}

impl Ops {
    /// Of the node that listens there.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// What the readiness probe says.
    pub async fn is_ready(self) -> bool {
        self.ask("GET /readyz").await.is_ok_and(|answer| content(&answer).is_some())
    }

    /// All metrics, as Prometheus reads them.
    ///
    /// # Panics
    ///
    /// When the node does not show them.
    pub async fn metrics(self) -> String {
        let answer = self.ask("GET /metrics").await.expect("the node answers");
        content(&answer).unwrap_or_else(|| panic!("metrics can be read: {answer}")).to_owned()
    }

    /// One metric that has no labels.
    ///
    /// # Panics
    ///
    /// When the node does not show it.
    pub async fn metric(self, name: &str) -> f64 {
        let page = self.metrics().await;
        value_of(&page, name).unwrap_or_else(|| panic!("the node counts {name}: {page}"))
    }

    /// What an operator sees of all shards; `None` while the node cannot say it.
    ///
    /// # Panics
    ///
    /// When it refuses to.
    pub(crate) async fn shards(self) -> Option<Vec<Shard>> {
        let answer = self.ask("POST /admin/v1/shards").await.ok()?;
        assert!(!answer.starts_with("HTTP/1.1 4"), "the node tells operators of its shards: {answer}");
        let shards = serde_json::from_str::<Shards>(content(&answer)?);
        Some(shards.expect("the node says what operators are told").shards)
    }

    async fn ask(self, what: &str) -> io::Result<String> {
        tokio::time::timeout(ANSWER_WITHIN, self.ask_for_ever(what)).await?
    }

    async fn ask_for_ever(self, what: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "{what} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// What a good answer says.
fn content(answer: &str) -> Option<&str> {
    let (head, content) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then_some(content)
}

fn value_of(page: &str, name: &str) -> Option<f64> {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_content() {
        assert_eq!(content("HTTP/1.1 200 OK\r\na: b\r\n\r\nready"), Some("ready"));
        assert_eq!(content("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready"), None);
        assert_eq!(content(""), None);
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# TYPE one counter\none_more 1\none{kind=\"a\"} 2\none 3\n";
        assert_eq!(value_of(page, "one"), Some(3.0));
        assert_eq!(value_of(page, "on"), None);
    }

    #[test]
    fn a_shard_that_moves_or_lacks_a_voter_is_not_whole() {
        let read = |text: &str| serde_json::from_str::<Shard>(text).unwrap();
        let two = r#""leader": "a", "replicas": [{"votes": true}, {"votes": true}, {"votes": false}]"#;
        let still = read(&format!(r#"{{{two}, "move": null}}"#));
        assert!(still.is_whole(2) && !still.is_whole(3));
        assert!(!read(&format!(r#"{{{two}, "move": {{"to": []}}}}"#)).is_whole(2));
    }
}
