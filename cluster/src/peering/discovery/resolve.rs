//! What discovery asks name servers.

use std::net::IpAddr;

use futures_util::future::BoxFuture;

/// Answers questions about names. No answer and no such name are different things: the second is an empty list.
pub trait Resolve: Send + Sync + 'static {
    /// The SRV records of `name`.
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<ServiceTarget>, ResolveError>>;

    /// The A and AAAA records of `name`.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceTarget {
    /// A name, without the dot at its end.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// A question has no answer. Nothing that was known before is wrong because of it; ask again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer about {name}: {reason}")]
pub struct ResolveError {
    /// What was asked about.
    pub name: String,
    /// Why there is no answer.
    pub reason: String,
}
