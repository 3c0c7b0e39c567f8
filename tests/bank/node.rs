//! The bank on a real node: shards, consensus, router, disk; stopped without waiting, and started again.

use std::{path::Path, time::Duration};

use futures_util::future::join_all;
use playhouse::{
    entity::KindRegistry,
    node::{Node, Settings},
    protocol::{CallError, Key},
    telemetry::Metrics,
};
use playhouse_cluster::environment::Environment;
use serde_json::json;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    account::{self, Account},
    transfer::{self, Phase, Transfer},
};

const ACCOUNTS: u64 = 8;
const TRANSFERS: u64 = 200;
pub const OPENED_WITH: u64 = 100;

pub fn kinds() -> KindRegistry {
    let mut kinds = KindRegistry::default();
    kinds.register::<Account>().unwrap();
    kinds.register::<Transfer>().unwrap();
    kinds
}

pub async fn start(folder: &Path) -> Node {
    let environment = Environment::real(Handle::current(), Handle::current());
    let settings = Settings::new("playhouse-0", folder);
    Node::start(&settings, kinds(), Metrics::new("test"), environment).await.unwrap()
}

pub fn entity_key(name: &str, number: u64) -> Key {
    Key::new(format!("{name}-{number}")).unwrap()
}

/// Some are refused for want of funds, and none is from an account to itself.
fn order(accounts: &str, count: u64, number: u64) -> transfer::Order {
    let (from, to) = (number % count, (number * 3 + 1) % count);
    let to = if from == to { (to + 1) % count } else { to };
    let (from, to) = (entity_key(accounts, from), entity_key(accounts, to));
    let amount = 1 + number * 7 % 60;
    serde_json::from_value(json!({"from": from, "to": to, "amount": amount})).unwrap()
}

/// Between the first `count` accounts of that name; returns when it has ended.
pub async fn transfer(node: &Node, accounts: &str, count: u64, number: u64) -> Result<Phase, CallError> {
    let transfer = node.entity::<Transfer>(entity_key(&format!("transfer-{accounts}"), number));
    let mut command = transfer::Command::Start(order(accounts, count, number));
    loop {
        match transfer.call(&command).await? {
            ended @ (Phase::Done | Phase::Failed(_)) => return Ok(ended),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        command = transfer::Command::Get {};
    }
}

async fn money(node: &Node) -> (u64, u64) {
    let mut sum = (0, 0);
    for number in 0..ACCOUNTS {
        let account = node.entity::<Account>(entity_key("account", number));
        let statement = account.call(&account::Command::Get {}).await.unwrap();
        sum = (sum.0 + statement.balance, sum.1 + statement.held);
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_a_node_that_stops_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    for number in 0..ACCOUNTS {
        let account = node.entity::<Account>(entity_key("account", number));
        account.call(&account::Command::Open { balance: OPENED_WITH }).await.unwrap();
    }
    // Wherever they are by then, nobody waits for them.
    drop(
        timeout(
            Duration::from_millis(30),
            join_all((0..TRANSFERS).map(|number| transfer(&node, "account", ACCOUNTS, number))),
        )
        .await,
    );
    node.stop(Duration::ZERO).await;

    let node = start(folder.path()).await;
    let ended = join_all((0..TRANSFERS).map(|number| transfer(&node, "account", ACCOUNTS, number))).await;
    assert!(ended.contains(&Ok(Phase::Done)));
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(money(&node).await, (ACCOUNTS * OPENED_WITH, 0));
    node.stop(Duration::from_secs(5)).await;
}
