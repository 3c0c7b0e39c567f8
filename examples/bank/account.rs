//! An account: a balance, and the transfers that it takes part in right now.

use std::collections::{BTreeMap, BTreeSet};

use playhouse::{
    entity::{Context, Entity, NoEvents, Refusal},
    protocol::Key,
};
use serde::{Deserialize, Serialize};

use super::transfer::{self, Transfer};

/// Most transfers that one account takes part in at the same time. Past this it refuses further ones.
pub const OPEN_TRANSFERS_MAX: usize = 500;

/// A balance, and the transfers that are under way. Amounts are in the smallest unit of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    is_open: bool,
    balance: u64,
    /// Money that left the balance for a transfer which has not ended yet.
    holds: BTreeMap<Key, u64>,
    /// Transfers whose money is already part of the balance, and which have not ended yet.
    credits: BTreeSet<Key>,
}

/// What an account can be asked. All but `open` and `get` come from transfers, by cast, and are answered by cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Opens the account with money from outside: the only way in which money comes to be.
    Open {
        /// How much.
        balance: u64,
    },
    /// Reads the balance.
    Get {},
    /// A step of a transfer.
    Step {
        /// Which transfer.
        transfer: Key,
        /// Repeated in the answer.
        round: u32,
        /// What to do.
        step: Step,
    },
}

/// What a transfer wants of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Set money aside.
    Hold(u64),
    /// Add money to the balance.
    Credit(u64),
    /// Take the money that was set aside back into the balance.
    Release,
    /// The transfer has reached both sides: forget it.
    Settle,
    /// Say what stands.
    Inquire,
}

/// What an account says to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The money is set aside.
    Held,
    /// The money is part of the balance.
    Credited,
    /// Nothing of the transfer is here (any more).
    Nothing,
    /// Not possible; nothing changed.
    Refused(Reason),
}

/// Why a step is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody opened the account.
    NoSuchAccount,
    /// The balance is too small.
    InsufficientFunds,
    /// The balance would not fit into 64 bits.
    TooMuchMoney,
    /// The account takes part in too many transfers right now.
    Busy,
}

/// The account after the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Whether somebody opened it.
    pub is_open: bool,
    /// What can be spent.
    pub balance: u64,
    /// What transfers under way have set aside.
    pub held: u64,
}

/// Why an account says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Opening it again would make money.
    #[error("the account is open")]
    AlreadyOpen,
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        "already_open"
    }
}

impl Entity for Account {
    const KIND: &'static str = "account";
    const SUMMARY: &'static str = "A balance, and the transfers that it takes part in.";
    type Command = Command;
    type Reply = Statement;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Statement, Error> {
        match command {
            Command::Get {} => Ok(self.statement()),
            Command::Open { .. } if self.is_open => Err(Error::AlreadyOpen),
            Command::Open { balance } => {
                let account = context.state_mut(self);
                (account.is_open, account.balance) = (true, balance);
                Ok(account.statement())
            }
            Command::Step { transfer, round, step } => {
                let mut next = self.clone();
                let answer = next.take(&transfer, step);
                let statement = next.statement();
                if next != *self {
                    context.save(next);
                }
                let account = context.key().clone();
                let answered = transfer::Command::Answered { account, round, answer };
                context.cast::<Transfer>(transfer, &answered);
                Ok(statement)
            }
        }
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![serde_json::json!({"open": {"balance": 100}}), serde_json::json!({"get": {}})]
    }
}

impl Account {
    /// Does a step of a transfer and says what stands. A step that was done before changes nothing.
    fn take(&mut self, transfer: &Key, step: Step) -> Answer {
        match step {
            Step::Hold(amount) => {
                if let Err(reason) = self.hold(transfer, amount) {
                    return Answer::Refused(reason);
                }
            }
            Step::Credit(amount) => {
                if let Err(reason) = self.credit(transfer, amount) {
                    return Answer::Refused(reason);
                }
            }
            Step::Release => self.balance += self.holds.remove(transfer).unwrap_or(0),
            Step::Settle => {
                self.holds.remove(transfer);
                self.credits.remove(transfer);
            }
            Step::Inquire => {}
        }
        self.answer(transfer)
    }

    fn hold(&mut self, transfer: &Key, amount: u64) -> Result<(), Reason> {
        if self.holds.contains_key(transfer) {
            return Ok(());
        }
        self.expect_room()?;
        self.balance = self.balance.checked_sub(amount).ok_or(Reason::InsufficientFunds)?;
        self.holds.insert(transfer.clone(), amount);
        Ok(())
    }

    fn credit(&mut self, transfer: &Key, amount: u64) -> Result<(), Reason> {
        if self.credits.contains(transfer) {
            return Ok(());
        }
        self.expect_room()?;
        // What is held may come back, so it has to fit as well.
        self.balance
            .checked_add(amount)
            .and_then(|balance| balance.checked_add(self.held()))
            .ok_or(Reason::TooMuchMoney)?;
        self.balance += amount;
        self.credits.insert(transfer.clone());
        Ok(())
    }

    fn expect_room(&self) -> Result<(), Reason> {
        match self.holds.len() + self.credits.len() {
            _ if !self.is_open => Err(Reason::NoSuchAccount),
            OPEN_TRANSFERS_MAX.. => Err(Reason::Busy),
            _ => Ok(()),
        }
    }

    fn answer(&self, transfer: &Key) -> Answer {
        if self.holds.contains_key(transfer) {
            Answer::Held
        } else if self.credits.contains(transfer) {
            Answer::Credited
        } else {
            Answer::Nothing
        }
    }

    fn held(&self) -> u64 {
        self.holds.values().sum()
    }

    fn statement(&self) -> Statement {
        Statement { is_open: self.is_open, balance: self.balance, held: self.held() }
    }
}
