//! What a node is told about others, as plain data.

use std::{
    collections::BTreeSet,
    num::{NonZeroU8, NonZeroU16},
    path::PathBuf,
    time::Duration,
};

use playhouse_cluster::peering::Encryption;

use crate::config::{self, Config};

/// The port of other nodes, unless told otherwise.
const PORT: NonZeroU16 = NonZeroU16::new(4370).expect("it is not zero");
const REPLICATION_FACTOR: NonZeroU8 = NonZeroU8::new(3).expect("it is not zero");

/// The place of a node in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Nodes of one zone fail together; empty: nothing is known about it.
    pub zone: String,
    /// Which part of a rollout the node is.
    pub track: String,
    /// How many replicas a shard has once there are as many members.
    pub replication_factor: NonZeroU8,
    /// How long a member may be down before its replicas are made anew elsewhere.
    pub down_replaced_after: Duration,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            zone: String::new(),
            track: "stable".to_owned(),
            replication_factor: REPLICATION_FACTOR,
            down_replaced_after: Duration::from_secs(600),
        }
    }
}

impl Place {
    pub(super) fn of(config: &Config) -> Self {
        let cluster = &config.cluster;
        let factor = NonZeroU8::new(cluster.replication_factor.get());
        Self {
            zone: cluster.zone.clone().unwrap_or_default(),
            track: cluster.track.name(),
            replication_factor: factor.expect("the configuration allows 1, 3 and 5"),
            down_replaced_after: cluster.down_replaced_after,
        }
    }
}

/// Who forms the cluster, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The names; never none. One name: single-node mode, each shard has one voter.
    pub members: BTreeSet<String>,
    /// The one of them that forms it.
    pub initiator: String,
}

impl Bootstrap {
    /// `name` is the cluster.
    #[must_use]
    pub fn alone(name: &str) -> Self {
        Self { members: BTreeSet::from([name.to_owned()]), initiator: name.to_owned() }
    }

    /// One name forms the cluster.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    pub(super) fn of(config: &Config) -> Self {
        Self { members: config.members().into_iter().collect(), initiator: config.initiator() }
    }
}

/// How to reach other nodes and to be reached by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// Where to listen, as `host:port`.
    pub listen: String,
    /// The cookie. None only for a node that is alone, which then does not listen for others.
    pub cookie_file: Option<PathBuf>,
    /// Also accepted, while cookies are exchanged.
    pub cookie_file_next: Option<PathBuf>,
    /// Whether links are encrypted.
    pub encryption: Encryption,
    /// A name of DNS that stands for all nodes.
    pub discovery_name: Option<String>,
    /// The port of nodes that are found by address.
    pub discovery_port: NonZeroU16,
    /// How often the name is asked for.
    pub discovery_interval: Duration,
    /// Where other nodes are, as `host:port`.
    pub seeds: BTreeSet<String>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            listen: format!("0.0.0.0:{PORT}"),
            cookie_file: None,
            cookie_file_next: None,
            encryption: Encryption::On,
            discovery_name: None,
            discovery_port: PORT,
            discovery_interval: Duration::from_secs(5),
            seeds: BTreeSet::new(),
        }
    }
}

impl Peers {
    pub(super) fn of(config: &Config) -> Self {
        let peer = &config.peer;
        Self {
            listen: peer.listen.to_string(),
            cookie_file: peer.cookie_file.clone(),
            cookie_file_next: peer.cookie_file_next.clone(),
            encryption: match peer.encryption {
                config::Encryption::On => Encryption::On,
                config::Encryption::Off => Encryption::Off,
            },
            discovery_name: peer.discovery_name.as_ref().map(|name| name.as_str().to_owned()),
            discovery_port: peer.discovery_port,
            discovery_interval: peer.discovery_interval,
            seeds: peer.seeds.as_slice().iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::{
        identity::ClusterId,
        peering::{self, Dns, processes},
    };
    use playhouse_statefulset::port;

    use super::{super::Settings, *};
    use crate::config::{Sources, resolve};

    fn settings(flags: &[(&str, &str)]) -> Settings {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Settings::of(&resolve(&Sources::default().with_flags(flags)).unwrap().config)
    }

    #[test]
    fn an_empty_configuration_says_what_the_defaults_say() {
        let (told, default) = (settings(&[]), Settings::new("playhouse-0", "anywhere"));
        assert_eq!(told.place, default.place);
        assert_eq!(told.bootstrap, default.bootstrap);
        assert_eq!(told.peers, default.peers);
        assert_eq!(told.cluster_id, None);
        assert!(told.bootstrap.is_single());
    }

    #[test]
    fn every_key_reaches_the_node() {
        let settings = settings(&[
            ("node.name", "n3"),
            ("cluster.id", "000000000000000000000000000000ff"),
            ("cluster.zone", "z1"),
            ("cluster.track", "canary"),
            ("cluster.replication_factor", "5"),
            ("cluster.down_replaced_after", "1h"),
            ("bootstrap.members", "n0,n1,n2"),
            ("bootstrap.initiator", "n1"),
            ("peer.listen", "127.0.0.1:1"),
            ("peer.cookie_file", "/c/1"),
            ("peer.cookie_file_next", "/c/2"),
            ("peer.encryption", "off"),
            ("peer.discovery_name", "peers"),
            ("peer.discovery_port", "2"),
            ("peer.discovery_interval", "9s"),
            ("peer.seeds", "n0:3, n1:4"),
        ]);
        assert_eq!(settings.cluster_id, Some(ClusterId(255)));
        let factor = NonZeroU8::new(5).unwrap();
        let place = Place {
            zone: "z1".to_owned(),
            track: "canary".to_owned(),
            replication_factor: factor,
            down_replaced_after: Duration::from_secs(3600),
        };
        assert_eq!(settings.place, place);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(settings.bootstrap.members, names(&["n0", "n1", "n2"]));
        assert_eq!(settings.bootstrap.initiator, "n1");
        assert!(!settings.bootstrap.is_single());
        let peers = Peers {
            listen: "127.0.0.1:1".to_owned(),
            cookie_file: Some("/c/1".into()),
            cookie_file_next: Some("/c/2".into()),
            encryption: Encryption::Off,
            discovery_name: Some("peers".to_owned()),
            discovery_port: NonZeroU16::new(2).unwrap(),
            discovery_interval: Duration::from_secs(9),
            seeds: names(&["n0:3", "n1:4"]),
        };
        assert_eq!(settings.peers, peers);
    }

    #[test]
    fn remote_processes_are_there_unless_told_otherwise() {
        assert_eq!(settings(&[]).processes, None, "plain actors are reached only by who wants that");
        let wanted = ("processes.ractor_cluster", "on");
        assert_eq!(settings(&[wanted]).processes, Some(processes::Config::default()));
        let told = settings(&[
            wanted,
            ("processes.message_bytes_max", "2MiB"),
            ("processes.waiting_bytes_max", "3MiB"),
            ("processes.answers_bytes_max", "4MiB"),
        ]);
        let told = told.processes.unwrap();
        let bounds = (told.frame_bytes_max, told.waiting_bytes_max, told.answers_bytes_max);
        assert_eq!(bounds, (2 << 20, 3 << 20, 4 << 20));
        let off = ("processes.remote", "off");
        assert_eq!(settings(&[wanted, off]).processes, None);
        assert!(settings(&[off]).distribution.is_some(), "a node that is alone has processes of its own");
        let cluster = [
            ("bootstrap.members", "playhouse-0,b,c"),
            ("bootstrap.initiator", "b"),
            ("peer.cookie_file", "/c"),
        ];
        assert!(settings(&cluster).distribution.is_some());
        assert!(settings(&[&cluster[..], &[off]].concat()).distribution.is_none());
        assert_eq!(Settings::new("several in one process", "anywhere").processes, None);
    }

    /// The configuration, consensus and the link know nothing of each other.
    #[test]
    fn what_may_be_proposed_can_be_sent() {
        let planned = usize::try_from(config::ENTRY_BYTES_MAX).unwrap();
        let proposed = Settings::new("n", "anywhere").consensus.proposal_bytes_max;
        assert!(planned + (512 << 10) < proposed, "acknowledgements of casts travel with a proposal");
        assert!(proposed + (64 << 10) <= peering::Config::default().frame_bytes_max);
    }

    /// Manifests name the port; name servers make the SRV name of it.
    #[test]
    fn ports_are_those_of_the_contract() {
        let peers = settings(&[]).peers;
        assert_eq!(peers.listen, format!("0.0.0.0:{}", port::PEER.number));
        assert_eq!(peers.discovery_port.get(), port::PEER.number);
        assert_eq!(Dns::SERVICE, format!("_{}._tcp", port::PEER.name));
    }
}
