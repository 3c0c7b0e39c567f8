//! What a client is told once.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use crate::{Address, AddressError, Backoff, Token};

/// How a client reaches its cluster. Every field has a default but the addresses.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateways, at least one. Any of them reaches any entity; requests go round among those that answer.
    pub addresses: Vec<Address>,

    /// Sent as `Authorization: Bearer`, when the nodes have a token file.
    pub token: Option<Token>,

    /// How long an operation may take, with all its retries. Default 10 s.
    pub timeout: Duration,

    /// How long one attempt may take before another gateway is tried. Default 5 s.
    ///
    /// Keep it below `timeout`, or a gateway that hangs costs the whole operation.
    pub attempt_timeout: Duration,

    /// How long opening a TCP connection may take. Default 2 s.
    pub connect_timeout: Duration,

    /// From which address of this machine connections are opened; the operating system chooses if `None`.
    ///
    /// One address has about 28,000 ports for one gateway: a program with more connections uses several clients, each with
    /// an address of its own.
    pub local_address: Option<IpAddr>,

    /// How long to wait between attempts, when the server does not say it with `Retry-After`.
    pub backoff: Backoff,

    /// How many idle HTTP connections are kept per gateway. Default 64: set it to the number of concurrent callers.
    pub idle_connections_max: usize,

    /// How long an idle HTTP connection is kept. Default 30 s: keep it below what proxies on the way allow.
    pub idle_timeout: Duration,

    /// The largest answer that is accepted, in bytes. Default 4 MiB; the server's own limit for a reply is 1 MiB.
    pub response_bytes_max: usize,

    /// How many calls and casts of one WebSocket connection may be unanswered. Default 1024; past it the next one
    /// waits, until its timeout.
    pub in_flight_max: NonZeroUsize,

    /// How many subscriptions one WebSocket connection may have. Default 256; past it
    /// [`SubscribeError::TooMany`](crate::SubscribeError::TooMany).
    pub subscriptions_max: usize,

    /// How many notices of one subscription may wait for the program to take them. Default 256; past it the
    /// subscription ends with [`SubscriptionEnd::TooSlow`](crate::SubscriptionEnd::TooSlow).
    pub notices_max: NonZeroUsize,

    /// How long a WebSocket connection may be silent before it is taken for dead. Default 45 s: the server pings
    /// every 20 s.
    pub silence_max: Duration,
}

impl Config {
    /// The defaults for these gateways.
    ///
    /// # Errors
    ///
    /// When one of them is not an address such as `http://127.0.0.1:8080`.
    ///
    /// ```
    /// use playhouse_client::Config;
    ///
    /// let config = Config::new(["http://127.0.0.1:8080", "http://127.0.0.1:8081"]).unwrap();
    /// assert_eq!(config.addresses.len(), 2);
    /// ```
    pub fn new<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Result<Self, AddressError> {
        let addresses = addresses.into_iter().map(|address| address.as_ref().parse());
        Ok(Self::for_addresses(addresses.collect::<Result<_, _>>()?))
    }

    /// The defaults for these gateways, already parsed.
    #[must_use]
    pub fn for_addresses(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            token: None,
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            local_address: None,
            backoff: Backoff::default(),
            idle_connections_max: 64,
            idle_timeout: Duration::from_secs(30),
            response_bytes_max: 4 << 20,
            in_flight_max: NonZeroUsize::new(1024).expect("1024 is not 0"),
            subscriptions_max: 256,
            notices_max: NonZeroUsize::new(256).expect("256 is not 0"),
            silence_max: Duration::from_secs(45),
        }
    }
}
