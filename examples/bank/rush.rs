//! A busy day: many transfers at once over HTTP, and the audit afterwards. Kill the node meanwhile, if you like.

use std::{error::Error, num::NonZeroU64, ops::Range, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use playhouse::protocol::Key;
use playhouse_client::{CallError, Client};

use super::{
    account::{self, Statement},
    transfer::{self, Order, Phase},
};

/// What each account is opened with.
pub const OPENED_WITH: u64 = 1_000;
/// How many requests are under way at the same time.
const AT_ONCE: usize = 64;
/// How often a transfer is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

type Failed = Box<dyn Error + Send + Sync>;

/// The money of the bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What can be spent.
    pub balance: u64,
    /// What transfers under way have set aside.
    pub held: u64,
}

/// How transfers ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The money is with the payee.
    pub done: u64,
    /// The money is with the payer.
    pub failed: u64,
}

/// Opens `accounts` accounts, two at least. Those that are open stay as they are, so it may be done again after a failure.
///
/// # Errors
///
/// When the node cannot be reached in time.
pub async fn open(client: &Client, accounts: u64) -> Result<(), Failed> {
    let open = |number| async move {
        let entity = client.entity("account", account_name(number))?;
        let command = account::Command::Open { balance: OPENED_WITH };
        match entity.call::<_, Statement>(&command).await {
            Err(CallError::Refused(refusal)) if refusal.code == "already_open" => Ok(()),
            outcome => outcome.map(drop).map_err(Failed::from),
        }
    };
    stream::iter((0..accounts).map(open)).buffer_unordered(AT_ONCE).try_collect().await
}

/// Starts the transfers with these numbers and returns when each has ended. The same number is the same transfer:
/// it may be done again after a failure, and moves money once.
///
/// # Errors
///
/// When the node cannot be reached in time.
pub async fn transfer(client: &Client, accounts: u64, numbers: Range<u64>) -> Result<Ended, Failed> {
    let phases = stream::iter(numbers.map(|number| transfer_one(client, accounts, number)));
    phases
        .buffer_unordered(AT_ONCE)
        .try_fold(Ended::default(), |ended, is_done| async move {
            let done = u64::from(is_done);
            Ok(Ended { done: ended.done + done, failed: ended.failed + 1 - done })
        })
        .await
}

/// Adds up the money of all accounts. Only when no transfer is under way is it the money of one moment.
///
/// # Errors
///
/// When the node cannot be reached in time.
pub async fn audit(client: &Client, accounts: u64) -> Result<Audit, Failed> {
    let read = |number| async move {
        let entity = client.entity("account", account_name(number))?;
        Ok(entity.call::<_, Statement>(&account::Command::Get {}).await?)
    };
    stream::iter((0..accounts).map(read))
        .buffer_unordered(AT_ONCE)
        .try_fold(Audit::default(), |sum, next| async move {
            Ok(Audit { balance: sum.balance + next.balance, held: sum.held + next.held })
        })
        .await
}

/// Whether the money is with the payee in the end.
async fn transfer_one(client: &Client, accounts: u64, number: u64) -> Result<bool, Failed> {
    let entity = client.entity("transfer", format!("transfer-{number}"))?;
    let mut command = transfer::Command::Start(order(accounts, number)?);
    loop {
        match entity.call::<_, Phase>(&command).await? {
            Phase::Done => return Ok(true),
            Phase::Failed(_) => return Ok(false),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
        command = transfer::Command::Get {};
    }
}

/// Who pays whom how much: looks random, and is the same each time.
fn order(accounts: u64, number: u64) -> Result<Order, Failed> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let from = mixed % accounts;
    let to = (from + 1 + (mixed >> 20) % (accounts - 1).max(1)) % accounts;
    let amount = NonZeroU64::MIN.saturating_add((mixed >> 40) % 400);
    Ok(Order { from: Key::new(account_name(from))?, to: Key::new(account_name(to))?, amount })
}

fn account_name(number: u64) -> String {
    format!("account-{number}")
}
