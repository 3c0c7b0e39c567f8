//! Settings of the link.

use std::{num::NonZeroU8, time::Duration};

use super::PeeringError;

/// Whether frames are encrypted after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody on the way can read or change a frame.
    On,
    /// The handshake still proves the cookie, but frames are plain afterwards: whoever is on the way can read **and
    /// change** them. For trusted networks and measurements. A link is encrypted unless both ends say `Off`.
    Off,
}

/// How the link behaves. [`Default`] is good for a cluster in one region.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, as `host:port`. Port 0 lets the system choose, for tests.
    pub listen: String,
    /// Whether frames are encrypted after the handshake.
    pub encryption: Encryption,
    /// How many [`Lane::Shard`](super::Lane::Shard) connections are dialed to each peer. More of them spread the work of
    /// encryption over more cores; peers may have different numbers.
    pub shard_lanes: NonZeroU8,
    /// Whether there is a [`Lane::Processes`](super::Lane::Processes) to each peer that has it, too. Not for several nodes in
    /// one process: see [`processes`](super::processes).
    pub processes: bool,
    /// Whether there is a [`Lane::Mail`](super::Lane::Mail) to each peer that has it, too.
    pub mail: bool,

    /// How long a connection may take to be opened and to prove itself.
    pub handshake_timeout: Duration,
    /// The longest message of a handshake, before and just after authentication. Names, release, zone and track of this
    /// node must fit in it.
    pub hello_bytes_max: usize,
    /// How many incoming connections may be in their handshake. Past this a new one is closed at once, and counted.
    pub half_open_max: usize,
    /// How many sessions may be open, in each direction. Past this a peer is refused and told so.
    pub sessions_max: usize,
    /// How many peers are remembered. Past this a new one is refused and told so.
    pub peers_max: usize,
    /// How many discovered addresses are dialed. Those past it are not, and counted.
    pub addresses_max: usize,

    /// How many bytes may wait in the send buffer of one session; as many again may be on their way out. Past this the
    /// sender receives `Full`. One frame always fits in an empty buffer.
    pub send_bytes_max: usize,
    /// The largest frame that is accepted. A peer is told in the hello, so that its sender receives `TooLarge`; one that
    /// sends it nevertheless loses the session.
    pub frame_bytes_max: usize,
    /// How many bytes of requests from one peer on one lane may be unanswered; each counts some overhead. Past this a
    /// request is answered with `Full`.
    pub requests_bytes_max: usize,
    /// How many of our requests on one session may be unanswered. Past this the caller receives `Full`.
    pub requests_max: usize,

    /// How often the other end is asked whether it is there.
    pub ping_every: Duration,
    /// A peer that was not heard for so long is [`Suspect`](super::Liveness::Suspect). Keep it above three times
    /// `ping_every`.
    pub suspect_after: Duration,
    /// A control lane that was not heard for so long is closed, with all other lanes of that peer. Keep it above
    /// `suspect_after`.
    pub close_after: Duration,
    /// A lane on which nothing was written or answered for so long, although something waits, is closed.
    pub stall_timeout: Duration,
    /// The first pause before an address is dialed again. It doubles, with jitter, up to `redial_max`.
    pub redial_min: Duration,
    /// The longest pause before an address is dialed again.
    pub redial_max: Duration,
    /// A peer that is unreachable for so long, and whose address is not discovered any more, is forgotten.
    pub forget_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:4370".to_owned(),
            encryption: Encryption::On,
            shard_lanes: NonZeroU8::new(2).expect("two is not zero"),
            processes: false,
            mail: false,
            handshake_timeout: Duration::from_secs(5),
            hello_bytes_max: 1024,
            half_open_max: 128,
            sessions_max: 4096,
            peers_max: 1024,
            addresses_max: 1024,
            send_bytes_max: 16 << 20,
            frame_bytes_max: 16 << 20,
            requests_bytes_max: 64 << 20,
            requests_max: 65_536,
            ping_every: Duration::from_millis(500),
            suspect_after: Duration::from_secs(2),
            close_after: Duration::from_secs(4),
            stall_timeout: Duration::from_secs(10),
            redial_min: Duration::from_millis(100),
            redial_max: Duration::from_secs(5),
            forget_after: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Settings that contradict each other are refused before anything is opened.
    pub(super) fn check(&self) -> Result<(), PeeringError> {
        let rules = [
            (self.ping_every > Duration::ZERO, "ping_every must not be zero"),
            (self.suspect_after > self.ping_every, "suspect_after must be longer than ping_every"),
            (self.close_after >= self.suspect_after, "close_after must not be shorter than suspect_after"),
            (self.stall_timeout > self.ping_every, "stall_timeout must be longer than ping_every"),
            (self.redial_min > Duration::ZERO, "redial_min must not be zero"),
            (self.redial_max >= self.redial_min, "redial_max must not be shorter than redial_min"),
            (self.handshake_timeout > Duration::ZERO, "handshake_timeout must not be zero"),
            ((256..=16_384).contains(&self.hello_bytes_max), "hello_bytes_max must be 256 to 16,384"),
            (self.half_open_max > 0, "half_open_max must not be zero"),
            (self.frame_bytes_max >= 1024, "frame_bytes_max must be at least 1,024"),
            (u32::try_from(self.frame_bytes_max).is_ok(), "frame_bytes_max must be below 4 GiB"),
            (self.send_bytes_max > 0, "send_bytes_max must not be zero"),
        ];
        match rules.iter().find(|(is_kept, _)| !is_kept) {
            None => Ok(()),
            Some((_, rule)) => Err(PeeringError::Config(rule)),
        }
    }
}
