//! The bank under `kill -9`: a node with the kinds of `examples/bank.rs` is killed again and again in the middle of
//! transfers. What was said before a kill holds after it, every transfer moves its money once, and none is lost.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[path = "../examples/bank/account.rs"]
mod account;
#[path = "support/process.rs"]
mod process;
#[path = "../examples/bank/transfer.rs"]
mod transfer;

use std::{
    cell::RefCell, collections::BTreeMap, ffi::OsString, ops::Range, process::ExitCode, time::Duration,
};

use account::{Account, Statement};
use futures_util::future::{join, join_all};
use playhouse::{node::Node, protocol::Key};
use playhouse_client::{CallError, Client};
use playhouse_cluster::environment::watch;
use process::{NodeProcess, PATIENCE};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::json;
use tokio::{process::Command, time::timeout};
use transfer::{Order, Phase, Transfer};

const KILLS: u64 = 12;
const ACCOUNTS: u64 = 8;
const OPENED_WITH: u64 = 1_000;
/// How many transfers are under way around each kill.
const TRANSFERS: u64 = 60;
/// How many answers one round has at least: each transfer is started and heard to have ended.
const ANSWERS: u64 = 2 * TRANSFERS;
/// Arguments of the node, separated by newlines. Tells the test below that it is one.
const ROLE: &str = "BANK_KILL_NODE";

/// Not a test by itself: the process that the other test starts and kills.
#[test]
fn a_node_of_the_bank() {
    let Some(arguments) = std::env::var_os(ROLE) else { return };
    let arguments = arguments.to_str().unwrap().lines().map(OsString::from);
    let name = OsString::from("bank");
    let bank = Node::builder().kind::<Account>().kind::<Transfer>();
    assert_eq!(bank.main_with(std::iter::once(name).chain(arguments)), ExitCode::SUCCESS);
}

fn bank(arguments: &[OsString]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_node_of_the_bank", "--nocapture"]);
    command.env(ROLE, arguments.join(&OsString::from("\n")));
    command
}

fn key(name: &str, number: u64) -> Key {
    Key::new(format!("{name}-{number}")).unwrap()
}

/// Who pays whom how much: (payer, payee, amount). Some have not enough for it.
fn order(number: u64) -> (u64, u64, u64) {
    let (from, to) = (number % ACCOUNTS, (number * 3 + 1) % ACCOUNTS);
    let to = if from == to { (to + 1) % ACCOUNTS } else { to };
    (from, to, 1 + number * 37 % 290)
}

fn command(number: u64) -> transfer::Command {
    let (from, to, amount) = order(number);
    let order = json!({"from": key("account", from), "to": key("account", to), "amount": amount});
    transfer::Command::Start(serde_json::from_value::<Order>(order).unwrap())
}

async fn phase(client: &Client, number: u64, command: &transfer::Command) -> Phase {
    client.entity("transfer", key("transfer", number).as_str()).unwrap().call(command).await.unwrap()
}

/// What clients were told, and how often.
struct Heard {
    phases: RefCell<BTreeMap<u64, Phase>>,
    answers: watch::Sender<u64>,
}

impl Heard {
    fn new() -> Self {
        Self { phases: RefCell::default(), answers: watch::Sender::new(0) }
    }

    fn note(&self, number: u64, phase: &Phase) {
        self.phases.borrow_mut().insert(number, phase.clone());
        self.answers.send_modify(|answers| *answers += 1);
    }
}

/// Starts a transfer and asks until it has ended, whatever happens to the node meanwhile.
async fn transfer(client: &Client, number: u64, heard: &Heard) {
    let mut next = command(number);
    loop {
        let phase = phase(client, number, &next).await;
        heard.note(number, &phase);
        if matches!(phase, Phase::Done | Phase::Failed(_)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        next = transfer::Command::Get {};
    }
}

/// Kills the node a moment after the clients heard `answers`, and starts it again. What they were told by then holds.
async fn kill_after(node: &mut NodeProcess, client: &Client, heard: &Heard, answers: u64, delay: Duration) {
    heard.answers.subscribe().wait_for(|heard| *heard >= answers).await.unwrap();
    tokio::time::sleep(delay).await; // The moment of the crash.
    node.kill().await;
    let told = heard.phases.borrow().clone();
    node.start_again().await;
    for (number, told) in told {
        let found = phase(client, number, &transfer::Command::Get {}).await;
        match told {
            Phase::Done | Phase::Failed(_) => assert_eq!(found, told, "transfer {number} had ended"),
            _ => assert_ne!(found, Phase::Idle, "transfer {number} was acknowledged"),
        }
    }
}

async fn open_accounts(client: &Client) {
    for number in 0..ACCOUNTS {
        let account = client.entity("account", key("account", number).as_str()).unwrap();
        let open = account::Command::Open { balance: OPENED_WITH };
        match account.call::<_, Statement>(&open).await {
            Ok(_) => {}
            Err(CallError::Refused(refusal)) => assert_eq!(refusal.code, "already_open"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Each account has exactly what the ended transfers left there, and nothing is set aside.
async fn audit(client: &Client, phases: &BTreeMap<u64, Phase>) {
    let mut expected = vec![OPENED_WITH; ACCOUNTS as usize];
    let done = phases.iter().filter(|(_, phase)| **phase == Phase::Done);
    let mut net = vec![0i64; ACCOUNTS as usize];
    for (number, _) in done {
        let (from, to, amount) = order(*number);
        net[from as usize] -= amount as i64;
        net[to as usize] += amount as i64;
    }
    for (balance, net) in expected.iter_mut().zip(net) {
        *balance = balance.checked_add_signed(net).expect("nobody pays what he has not");
    }
    let mut found = Vec::new();
    for number in 0..ACCOUNTS {
        let account = client.entity("account", key("account", number).as_str()).unwrap();
        let statement: Statement = account.call(&account::Command::Get {}).await.unwrap();
        assert_eq!(statement.held, 0, "account {number}");
        found.push(statement.balance);
    }
    assert_eq!(found, expected);
    assert_eq!(found.iter().sum::<u64>(), ACCOUNTS * OPENED_WITH);
}

#[tokio::test]
async fn money_is_exact_and_transfers_happen_once_although_the_node_is_killed_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(bank, directory.path(), &[]).await;
    let client = node.client();
    let mut random = SmallRng::seed_from_u64(7);
    let mut ended = BTreeMap::new();
    open_accounts(&client).await;
    for kill in 0..KILLS {
        let heard = Heard::new();
        let numbers: Range<u64> = kill * TRANSFERS..(kill + 1) * TRANSFERS;
        let load = join_all(numbers.map(|number| transfer(&client, number, &heard)));
        let answers = random.random_range(0..ANSWERS);
        let delay = Duration::from_micros(random.random_range(0..5_000));
        let round = join(load, kill_after(&mut node, &client, &heard, answers, delay));
        timeout(PATIENCE, round).await.expect("all transfers end in time");
        ended.append(&mut heard.phases.into_inner());
        audit(&client, &ended).await;
    }
    assert_eq!(ended.len() as u64, KILLS * TRANSFERS);
    assert!(ended.values().any(|phase| *phase == Phase::Done));
    assert!(ended.values().any(|phase| matches!(phase, Phase::Failed(_))), "some have not enough money");
    for (number, told) in &ended {
        assert_eq!(
            phase(&client, *number, &command(*number)).await,
            *told,
            "starting it again changes nothing"
        );
    }
    audit(&client, &ended).await;
}
