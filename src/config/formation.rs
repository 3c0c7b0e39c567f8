//! Who forms the cluster, as several keys say together.

use super::{Config, Encryption, Engine, ReplicationFactor};

impl Config {
    /// The names that form the cluster: never none.
    #[must_use]
    pub fn members(&self) -> Vec<String> {
        match self.bootstrap.members.as_slice() {
            [] => vec![self.node.name.clone()],
            names => names.to_vec(),
        }
    }

    /// The name that forms it.
    #[must_use]
    pub fn initiator(&self) -> String {
        let only = || self.members().swap_remove(0);
        self.bootstrap.initiator.clone().unwrap_or_else(only)
    }

    /// Nobody else is expected: the node is the cluster, and needs no cookie.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let looks_for_others = self.peer.discovery_name.is_some() || !self.peer.seeds.as_slice().is_empty();
        !looks_for_others && self.members() == [self.node.name.as_str()]
    }

    /// What is acknowledged is on more than one volume, from the first command on.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        self.members().len() > 1 && self.cluster.replication_factor != ReplicationFactor::One
    }

    /// What may be meant, but should be known; each names its key and says what to do. To be logged at the start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        [self.even(), self.unreplicated(), self.fragile(), self.readable()].into_iter().flatten().collect()
    }

    fn even(&self) -> Option<String> {
        let count = self.members().len();
        count.is_multiple_of(2).then(|| {
            let fewer = count - 1;
            format!(
                "bootstrap.members has {count} names: an even number survives no more failures than {fewer}; name one \
                 more or one fewer"
            )
        })
    }

    fn unreplicated(&self) -> Option<String> {
        (self.members().len() > 1 && !self.is_replicated()).then(|| {
            "cluster.replication_factor is 1: what a lost volume held is lost; set it to 3 to keep a copy elsewhere"
                .to_owned()
        })
    }

    fn fragile(&self) -> Option<String> {
        (self.store.engine == Engine::Sled).then(|| {
            "store.engine is sled, which does not survive a loss of power: durability rests on replication alone; use \
             fjall where all machines may lose power at once"
                .to_owned()
        })
    }

    fn readable(&self) -> Option<String> {
        (self.peer.encryption == Encryption::Off && !self.is_alone()).then(|| {
            "peer.encryption is off: who is on the way can read and change what nodes say to each other; set it to on \
             unless the network is trusted"
                .to_owned()
        })
    }
}
