//! Where other nodes may be: a list that never changes ([`StaticList`]), or what name servers tell ([`Dns`]).
//!
//! Comes in: names. Leaves: a set of addresses that others may watch. An address is a proposal, nothing more: who is
//! there is found out by connecting, and a failed lookup takes no address away.

mod dns;
mod name_servers;
mod resolve;
mod static_list;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::environment::watch;

pub use dns::{Dns, DnsConfig};
pub use name_servers::NameServers;
pub use resolve::{Resolve, ResolveError, ServiceTarget};
pub use static_list::StaticList;

/// Tells addresses that are worth dialing. They may be wrong, dead, or our own.
pub trait Discovery: Send + Sync {
    /// The candidates of now, each as `host:port`. The current value is always there.
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>>;
}

impl Discovery for watch::Sender<BTreeSet<String>> {
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>> {
        self.subscribe()
    }
}
