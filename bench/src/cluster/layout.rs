//! Where the nodes of a cluster keep their files, and at which addresses they are.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU16,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::child::free_addresses;

/// What a cluster is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// Replicas of a shard.
    pub replication_factor: u8,
    /// Shards.
    pub shards: NonZeroU16,
    /// Whether links are encrypted.
    pub is_encrypted: bool,
    /// The store engine of the nodes.
    pub engine: &'static str,
}

/// Addresses of one node.
#[derive(Clone, Copy)]
struct Place {
    peer: SocketAddr,
    gateway: SocketAddr,
    ops: SocketAddr,
}

/// Where the nodes of a cluster keep their files, and at which addresses they are.
pub(super) struct Layout {
    folder: tempfile::TempDir,
    plan: Plan,
    places: Vec<Place>,
    /// Settings of every node beside those of the plan.
    more: Vec<String>,
}

impl Layout {
    pub(super) fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cookie = folder.path().join("cookie");
        fs::write(&cookie, "a cookie of forty bytes for measurements").expect("the disk works");
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        let all = free_addresses::<12>();
        let place = |three: &[SocketAddr]| Place { peer: three[0], gateway: three[1], ops: three[2] };
        let places = all.chunks(3).take(plan.nodes).map(place).collect();
        Self { folder, plan, places, more: Vec::new() }
    }

    /// With more settings for every node.
    pub(super) fn with(self, more: &[String]) -> Self {
        Self { more: more.to_vec(), ..self }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn name(at: usize) -> String {
        format!("node-{at}")
    }

    pub(super) fn volume(&self, at: usize) -> PathBuf {
        self.folder().join(Self::name(at))
    }

    pub(super) fn gateway(&self, at: usize) -> SocketAddr {
        self.places[at].gateway
    }

    pub(super) fn ops(&self, at: usize) -> SocketAddr {
        self.places[at].ops
    }

    /// The settings of a node, as `playhouse run --set` takes them.
    pub(super) fn flags(&self, at: usize) -> Vec<String> {
        let (plan, place) = (self.plan, self.places[at]);
        let list = |texts: Vec<String>| texts.join(",");
        let seeds = list(self.places.iter().map(|place| place.peer.to_string()).collect());
        let members = list((0..plan.nodes).map(Self::name).collect());
        let mut flags = vec![
            format!("node.name={}", Self::name(at)),
            format!("node.data_dir={}", self.volume(at).display()),
            format!("node.shards={}", plan.shards),
            format!("store.engine={}", plan.engine),
            format!("gateway.listen={}", place.gateway),
            format!("ops.listen={}", place.ops),
            format!("bootstrap.members={members}"),
            "log.level=warn".to_owned(),
        ];
        if plan.nodes > 1 {
            flags.extend([
                format!("cluster.replication_factor={}", plan.replication_factor),
                format!("bootstrap.initiator={}", Self::name(0)),
                format!("peer.listen={}", place.peer),
                format!("peer.seeds={seeds}"),
                format!("peer.cookie_file={}", self.folder().join("cookie").display()),
                format!("peer.encryption={}", if plan.is_encrypted { "on" } else { "off" }),
            ]);
        }
        flags.extend(self.more.iter().cloned());
        flags
    }
}
