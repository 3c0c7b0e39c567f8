//! Nodes with the kinds of `examples/bank.rs`, and clients that move money.

use std::{ffi::OsString, process::ExitCode};

use playhouse::node::Node;
use playhouse_client::Client;
use playhouse_cluster::environment::watch;
use tokio::{process::Command, task::JoinSet};

use crate::{
    account::Account,
    rush::{self, Audit, Ended},
    transfer::Transfer,
};

/// Arguments of the node, separated by newlines. Tells the test below that it is one.
const ROLE: &str = "CLUSTER_BANK_NODE";
const ACCOUNTS: u64 = 12;
/// How many transfers are under way at the same time.
const AT_ONCE: u64 = 8;

/// Not a test by itself: the process that other tests start and kill.
#[test]
fn a_node_of_the_bank() {
    let Some(arguments) = std::env::var_os(ROLE) else { return };
    let arguments = arguments.to_str().unwrap().lines().map(OsString::from);
    let bank = Node::builder().kind::<Account>().kind::<Transfer>();
    let name = std::iter::once(OsString::from("bank"));
    assert_eq!(bank.main_with(name.chain(arguments)), ExitCode::SUCCESS);
}

/// This test program, as a node with the kinds of the bank.
pub fn program(arguments: &[OsString]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "bank::a_node_of_the_bank", "--nocapture"]);
    command.env(ROLE, arguments.join(&OsString::from("\n")));
    command
}

/// Clients that move money until they are told to stop.
pub struct Rush {
    client: Client,
    stop: watch::Sender<bool>,
    moving: JoinSet<(u64, Ended)>,
}

impl Rush {
    pub async fn start(client: Client) -> Self {
        rush::open(&client, ACCOUNTS).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let mut moving = JoinSet::new();
        moving.spawn(transfers(client.clone(), stopped));
        Self { client, stop, moving }
    }

    /// Every transfer has ended once, and all the money is there.
    pub async fn finish(mut self) {
        self.stop.send_replace(true);
        let (transfers, ended) = self.moving.join_next().await.expect("it was started").unwrap();
        assert!(ended.done > 0 && ended.done + ended.failed == transfers);
        let morning = Audit { balance: ACCOUNTS * rush::OPENED_WITH, held: 0 };
        assert_eq!(rush::audit(&self.client, ACCOUNTS).await.unwrap(), morning);
        let again = rush::transfer(&self.client, ACCOUNTS, 0..transfers).await.unwrap();
        assert_eq!(again, ended, "the same transfers again are the same transfers");
        assert_eq!(rush::audit(&self.client, ACCOUNTS).await.unwrap(), morning);
        println!("bank: {transfers} transfers, {} done, {} refused", ended.done, ended.failed);
    }
}

async fn transfers(client: Client, stopped: watch::Receiver<bool>) -> (u64, Ended) {
    let (mut next, mut all) = (0, Ended::default());
    while !*stopped.borrow() {
        let ended = rush::transfer(&client, ACCOUNTS, next..next + AT_ONCE).await.unwrap();
        all = Ended { done: all.done + ended.done, failed: all.failed + ended.failed };
        next += AT_ONCE;
    }
    (next, all)
}
