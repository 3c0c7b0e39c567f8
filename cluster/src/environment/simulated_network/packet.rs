//! What travels between two hosts.

use bytes::Bytes;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndId {
    pub(super) connection: u64,
    pub(super) side: Side,
}

impl EndId {
    pub(super) fn peer(self) -> Self {
        let side = match self.side {
            Side::Dialer => Side::Acceptor,
            Side::Acceptor => Side::Dialer,
        };
        Self { side, ..self }
    }
}

/// Who connected, and who accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialer = 0,
    Acceptor = 1,
}

/// Something on its way to an end.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) to: EndId,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    /// Somebody wants to connect to this port.
    Open(u16),
    /// Somebody listens there.
    Accepted,
    /// Nobody listens there.
    Refused,
    Data(Bytes),
    /// Data without bytes: asks whether the end still exists when the window leaves room for no more.
    Probe,
    /// So many bytes were read; the window opens by them.
    Credit(usize),
    /// No data will follow.
    Finish,
    /// The connection does not exist.
    Reset,
}

impl Body {
    /// A number for its kind and one for its size, for the fingerprint. What bytes say does not count: an encrypted link
    /// draws its keys from the operating system.
    pub(super) fn digest(&self) -> [u64; 2] {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        match self {
            Self::Open(port) => [1, u64::from(*port)],
            Self::Accepted => [2, 0],
            Self::Refused => [3, 0],
            Self::Data(bytes) => [4, number(bytes.len())],
            Self::Probe => [5, 0],
            Self::Credit(bytes) => [6, number(*bytes)],
            Self::Finish => [7, 0],
            Self::Reset => [8, 0],
        }
    }
}
