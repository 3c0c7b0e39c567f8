//! A peer that does by hand what it likes.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::super::{
    Config, Cookie, Cookies, Encryption, Lane, Refusal,
    handshake::{Channel, HandshakeError, Parts},
    hello::{self, Hello, Protocols, Reply, Verdict},
    record::Sealer,
};
use super::{Setup, in_time};

const BYTES_MAX: usize = 1024;

pub async fn connect(address: &str, cookie: &Cookie) -> Result<Channel, HandshakeError> {
    let stream = TcpStream::connect(address).await.unwrap();
    in_time(Channel::dial(Box::new(stream), cookie, BYTES_MAX)).await
}

/// What the node of `setup` would say.
pub fn hello_of(setup: &Setup, lane: Lane) -> Hello {
    Hello::of(&setup.local(), setup.cluster_id, lane, (Encryption::On, Config::default().frame_bytes_max))
}

/// Says `hello` and returns the answer.
pub async fn say(channel: &mut Channel, protocols: Protocols, hello: &Hello) -> (Protocols, Reply) {
    channel.send(&hello::encode(protocols, hello)).await.unwrap();
    let bytes = in_time(channel.receive()).await.unwrap();
    let (protocols, body) = hello::split(&bytes).unwrap();
    (protocols, hello::decode_reply(body).unwrap())
}

/// Why `hello` is refused.
pub async fn refusal(address: &str, cookie: &Cookie, hello: &Hello) -> Refusal {
    let mut channel = connect(address, cookie).await.unwrap();
    match say(&mut channel, Protocols::OURS, hello).await.1 {
        Reply::Refused(refusal) => refusal,
        Reply::Welcome(_) => panic!("it should be refused"),
    }
}

/// An open session.
pub async fn enter(address: &str, cookie: &Cookie, hello: &Hello) -> Raw {
    let mut channel = connect(address, cookie).await.unwrap();
    let (_, reply) = say(&mut channel, Protocols::OURS, hello).await;
    assert!(matches!(reply, Reply::Welcome(_)), "{reply:?}");
    channel.send(&crate::codec::encode(&Verdict::Confirmed).unwrap()).await.unwrap();
    Raw::new(channel)
}

/// Answers the next one who connects with `reply`.
pub async fn answer(
    listener: &TcpListener,
    cookies: &Cookies,
    protocols: Protocols,
    reply: &Reply,
) -> Channel {
    let (stream, _) = in_time(listener.accept()).await.unwrap();
    let mut channel = in_time(Channel::accept(Box::new(stream), cookies, BYTES_MAX)).await.unwrap();
    in_time(channel.receive()).await.unwrap();
    channel.send(&hello::encode(protocols, reply)).await.unwrap();
    channel
}

/// An open session, without a reader and a writer.
pub struct Raw {
    parts: Parts,
    sealer: Sealer,
}

impl Raw {
    pub fn new(channel: Channel) -> Self {
        let parts = channel.into_parts();
        let sealer = Sealer::new(std::sync::Arc::clone(&parts.noise), parts.sent);
        Self { parts, sealer }
    }

    /// Seals and sends whatever this is.
    pub async fn send(&mut self, plain: &[u8]) {
        let mut buffer = Vec::new();
        let sealed = self.sealer.seal(plain, &mut buffer).to_vec();
        self.send_unsealed(&sealed).await;
    }

    pub async fn send_unsealed(&mut self, bytes: &[u8]) {
        self.parts.connection.write_all(bytes).await.unwrap();
    }

    /// Reads until the other end closes.
    pub async fn closed(mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = in_time(self.parts.connection.read_to_end(&mut rest)).await;
    }
}
