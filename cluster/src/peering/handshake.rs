//! Proves both ends to each other: Noise `NNpsk0` with the cookie as pre-shared key.
//!
//! Comes in: a fresh connection. Leaves: a [`Channel`] that carries sealed messages, to exchange hellos.
//!
//! ```text
//! message   length u16, big-endian · Noise message
//! ```
//!
//! **The first message can be replayed by anybody who recorded it**, so an acceptor that read only that knows nothing: the
//! dialer is proved by its first sealed message, and nothing may happen before.

use std::{io, sync::Arc};

use snow::{Builder, HandshakeState, StatelessTransportState, params::NoiseParams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Cookie, Cookies, hello::HelloError, hello::Refusal};
use crate::environment::Connection;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"playhouse link 1";
/// What Noise adds to each message.
pub(super) const TAG_BYTES: usize = 16;

/// Why a connection did not become a session. Nothing is open, and no other session was touched.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection failed or ended.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer has none of our cookies.
    #[error("authentication failed: the cookies differ")]
    Unauthenticated,
    /// The peer closed the connection instead of answering: the cookies differ, or it is busy.
    #[error("no answer: the cookies differ, or the peer has too many connections")]
    Unanswered,
    /// The beginning was right, but the peer could not go on: a replay, or a node that went away.
    #[error("the handshake was begun but not continued")]
    Unproven,
    /// Longer than a message of the handshake may be.
    #[error("a handshake message of {0} bytes")]
    TooLong(usize),
    /// The peer is authenticated, but makes no sense.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// This node refused the peer.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The peer refused this node.
    #[error("refused by the peer: {0}")]
    RefusedByPeer(Refusal),
    /// It took too long.
    #[error("no end within the time for a handshake")]
    Timeout,
}

/// A connection whose ends know the same cookie.
pub struct Channel {
    cookie: Cookie,
    connection: Box<dyn Connection>,
    noise: StatelessTransportState,
    sent: u64,
    received: u64,
    bytes_max: usize,
}

/// What is left of a [`Channel`] when the session begins.
pub struct Parts {
    pub(super) connection: Box<dyn Connection>,
    pub(super) noise: Arc<StatelessTransportState>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Channel {
    /// Proves both ends, as the one who connected.
    pub(super) async fn dial(
        mut connection: Box<dyn Connection>,
        cookie: &Cookie,
        bytes_max: usize,
    ) -> Result<Self, HandshakeError> {
        let mut noise = builder(cookie).build_initiator().expect("the pattern needs no more");
        let mut first = [0; 128];
        let length = noise.write_message(&[], &mut first).expect("it fits");
        send(&mut connection, &first[..length]).await?;
        let second = receive(&mut connection, bytes_max).await.map_err(|error| match error {
            HandshakeError::Io(_) => HandshakeError::Unanswered,
            other => other,
        })?;
        noise.read_message(&second, &mut vec![0; bytes_max]).map_err(|_| HandshakeError::Unauthenticated)?;
        Ok(Self::new(connection, cookie.clone(), noise, bytes_max))
    }

    /// Answers the first message, as the one who was connected to. **Proves nothing yet**: the first [`receive`] does.
    ///
    /// [`receive`]: Self::receive
    pub(super) async fn accept(
        mut connection: Box<dyn Connection>,
        cookies: &Cookies,
        bytes_max: usize,
    ) -> Result<Self, HandshakeError> {
        let first = receive(&mut connection, bytes_max).await?;
        let (cookie, mut noise) = cookies
            .iter()
            .find_map(|cookie| Some((cookie, responder(cookie, &first, bytes_max)?)))
            .ok_or(HandshakeError::Unauthenticated)?;
        let mut second = [0; 128];
        let length = noise.write_message(&[], &mut second).expect("it fits");
        send(&mut connection, &second[..length]).await?;
        Ok(Self::new(connection, cookie.clone(), noise, bytes_max))
    }

    fn new(connection: Box<dyn Connection>, cookie: Cookie, noise: HandshakeState, bytes_max: usize) -> Self {
        let noise = noise.into_stateless_transport_mode().expect("both messages have passed");
        Self { cookie, connection, noise, sent: 0, received: 0, bytes_max }
    }

    /// The cookie that both ends know.
    pub(super) fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// Sends one sealed message.
    pub(super) async fn send(&mut self, plain: &[u8]) -> Result<(), HandshakeError> {
        let mut sealed = vec![0; plain.len() + TAG_BYTES];
        let length = self.noise.write_message(self.sent, plain, &mut sealed);
        let length = length.map_err(|_| HandshakeError::TooLong(plain.len()))?;
        self.sent += 1;
        Ok(send(&mut self.connection, &sealed[..length]).await?)
    }

    /// Receives one sealed message. Whatever goes wrong means that the peer is not proved.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, HandshakeError> {
        let sealed = receive(&mut self.connection, self.bytes_max + TAG_BYTES).await;
        let sealed = sealed.map_err(|error| match error {
            HandshakeError::Io(_) if self.received == 0 => HandshakeError::Unproven,
            other => other,
        })?;
        let mut plain = vec![0; sealed.len()];
        let length = self.noise.read_message(self.received, &sealed, &mut plain);
        let length = length.map_err(|_| HandshakeError::Unproven)?;
        self.received += 1;
        plain.truncate(length);
        Ok(plain)
    }

    /// For the session that follows.
    pub(super) fn into_parts(self) -> Parts {
        let Self { connection, noise, sent, received, .. } = self;
        Parts { connection, noise: Arc::new(noise), sent, received }
    }
}

/// Ephemeral keys come from the operating system: the random numbers of the environment are not for secrets, and no decision
/// depends on the bytes of a key.
fn builder(cookie: &Cookie) -> Builder<'_> {
    let params: NoiseParams = PATTERN.parse().expect("the pattern is one that `snow` knows");
    let builder = Builder::new(params).psk(0, cookie.key()).expect("there is a place for one key");
    builder.prologue(PROLOGUE).expect("it is set once")
}

/// The state after `first`, if it was made with `cookie`.
fn responder(cookie: &Cookie, first: &[u8], bytes_max: usize) -> Option<HandshakeState> {
    let mut noise = builder(cookie).build_responder().expect("the pattern needs no more");
    noise.read_message(first, &mut vec![0; bytes_max]).ok()?;
    Some(noise)
}

async fn send(connection: &mut Box<dyn Connection>, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let framed = [&length.to_be_bytes(), message].concat();
    connection.write_all(&framed).await?;
    connection.flush().await
}

async fn receive(connection: &mut Box<dyn Connection>, bytes_max: usize) -> Result<Vec<u8>, HandshakeError> {
    let mut length = [0; 2];
    connection.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > bytes_max {
        return Err(HandshakeError::TooLong(length));
    }
    let mut message = vec![0; length];
    connection.read_exact(&mut message).await?;
    Ok(message)
}
