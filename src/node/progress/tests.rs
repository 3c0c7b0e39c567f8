//! A node that waits for others says for whom, and why it does not hear them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use playhouse_cluster::{
    environment::{SimulatedNetwork, watch},
    identity::{Identity, Wanted},
    peering::{self, Cookie, CookieSource, Cookies},
    store::{self, Memory, Store},
};
use tokio::time::{sleep, timeout};

use super::Progress;
use crate::{
    entity::KindRegistry,
    node::{Bootstrap, Links, Node, Settings},
    telemetry::Metrics,
};

struct OneCookie;

impl CookieSource for OneCookie {
    fn cookies(&self) -> Cookies {
        Cookies { first: Cookie::derive(&[7; 32]).unwrap(), second: None }
    }
}

async fn until(progress: &Progress, words: &str) {
    let said = async {
        while !progress.now().contains(words) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let said = timeout(Duration::from_secs(60), said).await;
    said.unwrap_or_else(|_| panic!("it waits for {}", progress.now()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_says_whom_it_waits_for() {
    let (folder, network) = (tempfile::tempdir().unwrap(), SimulatedNetwork::new(1));
    let environment = network.environment("node-0", 1);
    let discovery = Arc::new(watch::Sender::new(BTreeSet::new()));
    let mut settings = Settings::new("node-0", folder.path());
    let members = ["node-0", "node-1", "node-2"].map(str::to_owned).into();
    settings.bootstrap = Bootstrap { members, initiator: "node-0".to_owned() };
    let config = peering::Config { listen: "node-0:4370".to_owned(), ..peering::Config::default() };
    settings.links = Some(Links {
        config,
        cookies: Arc::new(OneCookie),
        discovery: Arc::<watch::Sender<_>>::clone(&discovery),
    });
    let wanted = Wanted { name: settings.name.clone(), shards: settings.shards.into(), cluster_id: None };
    let identity = Identity::open_or_create(&settings.data_dir, &wanted, &environment).unwrap();
    let store = Store::start(Memory::new(), &environment, store::Config::default()).unwrap();
    let progress = settings.progress.clone();
    assert_eq!(progress.now(), "its volume to be opened");

    let node = environment.clone();
    environment.spawn(async move {
        let (kinds, metrics) = (KindRegistry::default(), Metrics::new("test"));
        Node::start_with(identity, store, &settings, kinds, metrics, node).await
    });
    until(&progress, "discovery finds no address of another node").await;
    assert!(progress.now().starts_with("node-1, node-2 of the bootstrap list, or a living cluster: "));
    discovery.send_replace(["node-1:4370".to_owned(), "node-2:4370".to_owned()].into());
    until(&progress, "no other node answers at any of the 2 addresses that discovery finds").await;
}
