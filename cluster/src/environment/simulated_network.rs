//! A network inside the process: every delay and every fault comes from a seed or from the test.
//!
//! Comes in: what nodes connect, listen at and write; faults, at any time. Leaves: byte streams as TCP would give them.
//! Bytes arrive in order, later, and never damaged; a writer waits when [`WINDOW_BYTES_MAX`] are on their way or unread.
//! A lost packet is sent again: a fault delays bytes or breaks a connection, it never makes a hole.
//!
//! On the paused clock of a single-threaded runtime the same seed and the same calls give the same run, which
//! [`SimulatedNetwork::fingerprint`] shows. Timers of that clock tick in milliseconds, so arrivals do, too.
//!
//! ```
//! use std::time::Duration;
//!
//! use playhouse_cluster::environment::SimulatedNetwork;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
//! runtime.block_on(async {
//!     let network = SimulatedNetwork::new(7);
//!     let (a, b) = (network.host("a"), network.host("b"));
//!     let mut listener = b.listen("b:4370").await.unwrap();
//!     let mut there = a.connect("b:4370").await.unwrap();
//!     let (mut here, _) = listener.accept().await.unwrap();
//!
//!     network.cut("a", "b");
//!     there.write_all(b"late").await.unwrap();
//!     let mut text = [0; 4];
//!     let wait = tokio::time::timeout(Duration::from_secs(60), here.read_exact(&mut text));
//!     assert!(wait.await.is_err());
//!
//!     network.heal("a", "b");
//!     here.read_exact(&mut text).await.unwrap();
//!     assert_eq!(&text, b"late");
//! });
//! ```

mod clock;
mod connection;
mod faults;
mod host;
mod link;
mod listener;
mod packet;
mod stream;
mod world;

#[cfg(test)]
mod tests;

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{Environment, SharedNetwork};
use clock::Shared;
pub use faults::FaultCounts;
use host::Host;
use world::World;

/// How many bytes of one direction of a connection may be on their way or unread.
pub const WINDOW_BYTES_MAX: usize = 256 << 10;

/// A cheap handle to one simulated network: the test holds it to inject faults, each node holds a [`host`](Self::host)
/// of it.
#[derive(Clone)]
pub struct SimulatedNetwork {
    shared: Arc<Shared>,
}

impl fmt::Debug for SimulatedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedNetwork").field("faults", &self.faults()).finish_non_exhaustive()
    }
}

impl SimulatedNetwork {
    /// A network without faults, whose delays are drawn from `seed`: first a range for each direction between two
    /// hosts, 0.1 to 3 ms, then within that range a delay for each packet.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Shared::start(World::new(seed), &Environment::simulated(seed)) }
    }

    /// What the node at host `name` gets. It connects from there and listens there.
    ///
    /// After a crash of the host the handles from before fail; one taken after it starts the host again.
    #[must_use]
    pub fn host(&self, name: &str) -> SharedNetwork {
        Arc::new(Host::new(self.shared.clone(), name))
    }

    /// The world of one node: random numbers from `seed`, the network of host `name`, and a wall clock that all nodes of
    /// this network share, also those that start later.
    #[must_use]
    pub fn environment(&self, name: &str, seed: u64) -> Environment {
        let origin = self.shared.with(|world| world.origin());
        Environment::simulated_since(origin, seed).with_network(self.host(name))
    }

    /// Loses every packet from `from` to `to`, also those on their way: no reset, no error. Writers wait when their
    /// window is full, new connections hang. The other direction goes on, but for its acknowledgements.
    pub fn cut(&self, from: &str, to: &str) {
        self.shared.with(|world| world.cut(from, to));
    }

    /// Ends a [`cut`](Self::cut). What was lost meanwhile is sent again, in order.
    pub fn heal(&self, from: &str, to: &str) {
        self.shared.with(|world| world.heal(from, to));
    }

    /// Ends every cut.
    pub fn heal_all(&self) {
        self.shared.with(World::heal_all);
    }

    /// Cuts each group from each other one, both ways. Cuts that exist stay; hosts in no group reach everybody.
    pub fn partition(&self, groups: &[&[&str]]) {
        self.shared.with(|world| world.partition(groups));
    }

    /// From now on packets from `from` to `to` take a time out of `range`. Packets on their way keep theirs; packets of
    /// one connection never overtake each other.
    pub fn set_delay(&self, from: &str, to: &str, range: RangeInclusive<Duration>) {
        self.shared.with(|world| world.set_delay(from, to, range));
    }

    /// Breaks every connection between the two hosts at once, at both ends, with `ConnectionReset`.
    pub fn reset(&self, host_a: &str, host_b: &str) {
        self.shared.with(|world| world.reset(host_a, host_b));
    }

    /// Nothing is delivered to `host` or taken from it until [`thaw`](Self::thaw): its reads, writes, accepts and
    /// connects wait. What it sent before still arrives.
    pub fn freeze(&self, host: &str) {
        self.shared.with(|world| world.freeze(host));
    }

    /// Ends a [`freeze`](Self::freeze). What arrived meanwhile is delivered at once.
    pub fn thaw(&self, host: &str) {
        self.shared.with(|world| world.thaw(host));
    }

    /// The process at `host` is gone: its connections and listeners vanish. A peer hears `ConnectionReset` when it next
    /// sends; who connects is refused.
    pub fn crash(&self, host: &str) {
        self.shared.with(|world| world.crash(host, false));
    }

    /// The machine at `host` is gone: as [`crash`](Self::crash), but nobody answers. Peers hear nothing and who
    /// connects hangs, until somebody connects or listens with a new [`host`](Self::host) of that name.
    pub fn crash_silently(&self, host: &str) {
        self.shared.with(|world| world.crash(host, true));
    }

    /// How many faults were injected since the beginning, per kind, and what they touched.
    #[must_use]
    pub fn faults(&self) -> FaultCounts {
        self.shared.with(|world| world.counts)
    }

    /// A number made of every packet delivered so far, its time, way, kind and size: equal for equal runs, different for
    /// others. What the bytes say does not count, as encrypted links draw their keys from the operating system.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.shared.with(|world| world.fingerprint())
    }
}
