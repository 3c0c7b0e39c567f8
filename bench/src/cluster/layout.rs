//! Where the nodes of a cluster keep their files, and at which addresses they are.

use std::{
    fs,
    net::SocketAddr,
    num::NonZeroU16,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{child::free_addresses, ops};

/// How many nodes a cluster of the bench may have.
const NODES_MAX: usize = 7;
/// The file of those who may ask what operators ask.
const TOKENS: &str = "tokens";

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

impl Plan {
    /// So many nodes as operators run them: three replicas of each shard, as far as there are nodes, and encrypted links.
    #[must_use]
    pub fn replicated(nodes: usize, shards: NonZeroU16) -> Self {
        Self { nodes, replication_factor: 3, shards, is_encrypted: true, engine: "fjall" }
    }

    /// One node.
    #[must_use]
    pub fn alone(shards: NonZeroU16) -> Self {
        Self { nodes: 1, replication_factor: 1, shards, is_encrypted: false, engine: "fjall" }
    }
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
    /// What the nodes are told besides, as `playhouse run --set` takes it.
    more: Vec<String>,
}

impl Layout {
    pub(super) fn new(plan: Plan, more: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cookie = folder.path().join("cookie");
        write_secret(&cookie, "a cookie of forty bytes for measurements");
        write_secret(&folder.path().join(TOKENS), ops::TOKEN);
        let all = free_addresses::<{ NODES_MAX * 3 }>();
        assert!(plan.nodes <= NODES_MAX, "at most {NODES_MAX} nodes");
        let place = |three: &[SocketAddr]| Place { peer: three[0], gateway: three[1], ops: three[2] };
        let places = all.chunks(3).take(plan.nodes).map(place).collect();
        Self { folder, plan, places, more: more.to_vec() }
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
            format!("ops.admin_token_file={}", self.folder().join(TOKENS).display()),
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

fn write_secret(file: &Path, secret: &str) {
    fs::write(file, secret).expect("the disk works");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}
