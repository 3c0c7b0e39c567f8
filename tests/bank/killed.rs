//! A busy day over HTTP, at a node that is killed with SIGKILL again and again.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use playhouse::{
    config::{self, Profile, Sources},
    node::{Launch, Node, launch as node_launch},
};
use playhouse_client::{Client, Config};
use tokio::process::{Child, Command};

use crate::{
    account::Account,
    rush::{self, Audit},
    transfer::Transfer,
};

const ACCOUNTS: u64 = 20;
const TRANSFERS: u64 = 2_000;
const KILLS: usize = 4;
/// How long it serves between a start and the next kill.
const SERVES: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the child finds its volume and its ports; without it this is no child.
const CHILD: &str = "BANK_NODE";

/// Not a test by itself: the node that the test below starts, in a process that can be killed.
#[test]
fn a_child_is_a_node() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [data_dir, gateway, ops] = told.split('|').collect::<Vec<_>>().try_into().unwrap();
    let flags = [("node.data_dir", data_dir), ("gateway.listen", gateway), ("ops.listen", ops)];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let sources = Sources { profile: Profile::Dev, ..Sources::default() }.with_flags(flags);
    let config = config::resolve(&sources).unwrap().config;
    let node = Node::builder().kind::<Account>().kind::<Transfer>();
    node_launch(Launch { config, profile: Profile::Dev, node, address_file: None, leave_with_parent: false })
        .unwrap();
}

fn start(data_dir: &Path, [gateway, ops]: [SocketAddr; 2]) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "killed::a_child_is_a_node", "--nocapture"]);
    child.env(CHILD, format!("{}|{gateway}|{ops}", data_dir.display()));
    child.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

/// A node that is started again needs its old ports, so they are chosen here.
fn addresses() -> [SocketAddr; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let addresses = addresses();
    let config = Config { timeout: PATIENCE, ..Config::new([format!("http://{}", addresses[0])]).unwrap() };
    let client = Client::new(config).unwrap();
    let mut node = start(folder.path(), addresses);
    rush::open(&client, ACCOUNTS).await.unwrap();

    let day = rush::transfer(&client, ACCOUNTS, 0..TRANSFERS);
    tokio::pin!(day);
    let mut kills = 0;
    let ended = loop {
        tokio::select! {
            ended = &mut day => break ended.unwrap(),
            () = tokio::time::sleep(SERVES), if kills < KILLS => {
                node.kill().await.unwrap();
                node = start(folder.path(), addresses);
                // Accounts that are open stay as they are: this only waits until the node serves.
                rush::open(&client, 1).await.unwrap();
                kills += 1;
            }
        }
    };
    assert!(kills > 0, "the day was over before the first kill");
    assert_eq!(ended.done + ended.failed, TRANSFERS);
    let morning = Audit { balance: ACCOUNTS * rush::OPENED_WITH, held: 0 };
    assert_eq!(rush::audit(&client, ACCOUNTS).await.unwrap(), morning);

    // The same transfers again are the same transfers.
    assert_eq!(rush::transfer(&client, ACCOUNTS, 0..TRANSFERS).await.unwrap(), ended);
    assert_eq!(rush::audit(&client, ACCOUNTS).await.unwrap(), morning);
}
