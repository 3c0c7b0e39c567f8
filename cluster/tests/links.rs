//! Links between several nodes of one process, on a simulated network: found by a list, proved by cookie files.

#![allow(clippy::unwrap_used)] // The whole file is a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use playhouse_cluster::{
    consensus::RaftId,
    environment::SimulatedNetwork,
    identity::Incarnation,
    peering::{
        Config, CookieFiles, CookieFilesConfig, Liveness, Local, Peering, Session, ShardFrames, StaticList,
    },
};
use tokio::time::timeout;

const NODES: u64 = 3;
/// Longer than any change takes to be seen.
const LONG: Duration = Duration::from_secs(60);

struct Ignored;

impl ShardFrames for Ignored {
    fn opened(&self, _: &Arc<Session>) {}
    fn frames(&self, _: &Arc<Session>, _: &mut dyn Iterator<Item = &[u8]>) {}
    fn closed(&self, _: &Arc<Session>) {}
}

fn name(number: u64) -> String {
    format!("playhouse-{number}")
}

struct Story {
    network: SimulatedNetwork,
    nodes: Vec<Peering>,
    _folder: tempfile::TempDir,
}

impl Story {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cookie"), [b'c'; 40]).unwrap();
        let network = SimulatedNetwork::new(seed);
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(start(&network, seed, number, folder.path()).await);
        }
        Self { network, nodes, _folder: folder }
    }

    /// Node `of` sees exactly these as alive, sooner or later.
    async fn sees_alive(&self, of: usize, expected: &[u64]) {
        let expected: BTreeSet<_> = expected.iter().map(|number| RaftId(number + 1)).collect();
        let mut peers = self.nodes[of].peers();
        let alive = peers.wait_for(|peers| {
            let alive = peers.iter().filter(|(_, status)| status.liveness == Liveness::Alive);
            alive.map(|(id, _)| *id).collect::<BTreeSet<_>>() == expected
        });
        let seen = timeout(LONG, alive).await.map(|seen| drop(seen.unwrap()));
        assert!(seen.is_ok(), "{of} does not see {expected:?}: {:?}", self.nodes[of].peers().borrow());
    }

    async fn everybody_sees_everybody(&self) {
        for (of, others) in [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])] {
            self.sees_alive(of, &others).await;
        }
    }
}

async fn start(network: &SimulatedNetwork, seed: u64, number: u64, folder: &std::path::Path) -> Peering {
    let environment = network.environment(&name(number), seed * 100 + number);
    let local = Local {
        name: name(number),
        raft_id: RaftId(number + 1),
        incarnation: Incarnation(1),
        release: "1.0.0".into(),
        zone: "a".into(),
        track: "stable".into(),
        shards: 16,
    };
    let cookies = CookieFiles::open(CookieFilesConfig::new(folder.join("cookie"), None), &environment);
    let list = StaticList::new((0..NODES).map(|number| format!("{}:4370", name(number))));
    let (cookies, list, frames) = (Arc::new(cookies.unwrap()), Arc::new(list), Arc::new(Ignored));
    let services = BTreeMap::new();
    Peering::start(Config::default(), local, None, cookies, list, services, frames, environment)
        .await
        .unwrap()
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(run)
}

#[test]
fn a_node_that_is_cut_off_is_not_alive_until_the_cut_heals() {
    paused(async {
        let story = Story::new(1).await;
        story.everybody_sees_everybody().await;

        let [a, b, c] = [name(0), name(1), name(2)];
        story.network.partition(&[&[&a, &b], &[&c]]);
        story.sees_alive(2, &[]).await;
        story.sees_alive(0, &[1]).await;
        story.sees_alive(1, &[0]).await;
        assert!(story.network.faults().packets_lost > 0);

        story.network.heal_all();
        story.everybody_sees_everybody().await;
    });
}

/// A cut of one direction must count in both, or work is sent to a node whose answers are lost.
#[test]
fn a_cut_of_one_direction_is_seen_at_both_ends() {
    paused(async {
        let story = Story::new(2).await;
        story.everybody_sees_everybody().await;
        story.network.cut(&name(0), &name(1));
        story.sees_alive(0, &[2]).await;
        story.sees_alive(1, &[2]).await;
        story.network.heal_all();
        story.everybody_sees_everybody().await;
    });
}

#[test]
fn frozen_and_crashed_nodes_are_not_alive() {
    paused(async {
        let story = Story::new(3).await;
        story.everybody_sees_everybody().await;
        story.network.freeze(&name(2));
        story.sees_alive(0, &[1]).await;
        story.network.thaw(&name(2));
        story.everybody_sees_everybody().await;
        story.network.crash(&name(2));
        story.sees_alive(0, &[1]).await;
        story.sees_alive(1, &[0]).await;
    });
}
