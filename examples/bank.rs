//! A bank: accounts, and transfers that never lose or make money.
//!
//! ```text
//! cargo run --example bank -- dev             # nodes with the kinds `account` and `transfer`; the CLI of `playhouse`
//! cargo run --example bank -- call account ann '{"open": {"balance": 100}}'
//! cargo run --example bank -- call account bob '{"open": {"balance": 100}}'
//! cargo run --example bank -- call transfer t1 '{"start": {"from": "ann", "to": "bob", "amount": 30}}'
//! cargo run --example bank -- get account ann
//! cargo run --example bank -- rush            # 1,000 transfers among 50 accounts, then the audit
//! ```
//!
//! Kill nodes with `kill -9` during `rush`, start them again, and run `rush` again: the sum is the same.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to a person.

#[path = "bank/account.rs"]
mod account;
#[path = "bank/rush.rs"]
mod rush;
#[path = "bank/transfer.rs"]
mod transfer;

use std::{error::Error, process::ExitCode};

use account::Account;
use playhouse::node::Node;
use playhouse_client::{Client, Config};
use transfer::Transfer;

const ACCOUNTS: u64 = 50;
const TRANSFERS: u64 = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("rush") {
        return Node::builder().kind::<Account>().kind::<Transfer>().main();
    }
    let address = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    match rush_and_audit(&address) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bank day ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the money is what it was in the morning.
#[tokio::main(flavor = "current_thread")]
async fn rush_and_audit(address: &str) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let client = Client::new(Config::new([address])?)?;
    rush::open(&client, ACCOUNTS).await?;
    let ended = rush::transfer(&client, ACCOUNTS, 0..TRANSFERS).await?;
    println!("{} transfers done, {} refused", ended.done, ended.failed);
    let audit = rush::audit(&client, ACCOUNTS).await?;
    let morning = ACCOUNTS * rush::OPENED_WITH;
    println!("{} in the accounts, {} set aside; {morning} in the morning", audit.balance, audit.held);
    Ok(audit == rush::Audit { balance: morning, held: 0 })
}
