//! A transfer between two accounts: a saga that ends with the money on exactly one side.
//!
//! ```text
//! idle ─start▶ holding ─held▶ crediting ─credited▶ settling ─both forgot it▶ done
//!                 │ refused       │ refused
//!                 ▼               ▼
//!               failed ◀─nothing─ returning
//! ```
//!
//! It sends each step by cast, which has exactly one effect or, if the account crashes on it, none. A timer asks
//! again what stands when no answer came. Casts between two entities arrive in order, so the answer to that
//! question comes after everything sent before it; each carries a round, and answers of older rounds do not count.

use std::{num::NonZeroU64, time::Duration};

use playhouse::{
    entity::{Context, Entity, NoEvents, Refusal},
    protocol::{Key, RefusalClass},
};
use serde::{Deserialize, Serialize};

use super::account::{self, Account, Answer, Reason, Step};

/// How long a transfer waits for an answer before it asks what stands.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

const ASK_AGAIN: &str = "ask-again";

/// A transfer between two accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    order: Option<Order>,
    phase: Phase,
    /// Grows with everything that is sent.
    round: u32,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Who pays.
    pub from: Key,
    /// Who is paid.
    pub to: Key,
    /// In the smallest unit of the currency.
    pub amount: NonZeroU64,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nobody started it.
    #[default]
    Idle,
    /// The payer sets money aside.
    Holding,
    /// The payee gets it.
    Crediting,
    /// The payee cannot have it; the payer takes it back.
    Returning(Reason),
    /// Both have done their part; those named have not forgotten it yet.
    Settling(Vec<Key>),
    /// The money is with the payee.
    Done,
    /// The money is with the payer.
    Failed(Reason),
}

/// What a transfer can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Starts it. Starting the same order again asks the accounts what stands: should a timer ever be lost (it is
    /// a dead letter then), this moves the transfer on.
    Start(Order),
    /// How far it is.
    Get {},
    /// An account says what stands.
    Answered {
        /// Which account.
        account: Key,
        /// Of the step that is answered.
        round: u32,
        /// What stands.
        answer: Answer,
    },
    /// No answer came in time.
    AskAgain {},
}

/// Why a transfer says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A transfer is one order for ever. Choose another key.
    #[error("the transfer was started with another order")]
    AlreadyStarted,
    /// That would be no transfer.
    #[error("payer and payee are the same account")]
    SameAccount,
}

impl Refusal for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyStarted => "already_started",
            Self::SameAccount => "same_account",
        }
    }

    fn class(&self) -> RefusalClass {
        match self {
            Self::AlreadyStarted => RefusalClass::Conflict,
            Self::SameAccount => RefusalClass::Unprocessable,
        }
    }
}

impl Entity for Transfer {
    const KIND: &'static str = "transfer";
    const SUMMARY: &'static str = "Moves money from one account to another.";
    type Command = Command;
    type Reply = Phase;
    type Event = NoEvents;
    type Error = Error;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(&self, command: Command, context: &mut Context<'_, Self>) -> Result<Phase, Error> {
        match (command, &self.order) {
            (Command::Start(order), _) if order.from == order.to => Err(Error::SameAccount),
            (Command::Start(order), None) => Ok(self.enter(Phase::Holding, &order, context)),
            (Command::Start(order), Some(started)) if order != *started => Err(Error::AlreadyStarted),
            (Command::Answered { account, round, answer }, Some(order)) if round == self.round => {
                Ok(self.hear(&account, answer, order, context))
            }
            (Command::Start(_) | Command::AskAgain {}, Some(order)) => Ok(self.ask_again(order, context)),
            _ => Ok(self.phase.clone()),
        }
    }

    fn command_examples() -> Vec<serde_json::Value> {
        vec![
            serde_json::json!({"start": {"from": "ann", "to": "bob", "amount": 30}}),
            serde_json::json!({"get": {}}),
        ]
    }
}

impl Transfer {
    /// Does what an answer of the present round calls for.
    fn hear(&self, account: &Key, answer: Answer, order: &Order, context: &mut Context<'_, Self>) -> Phase {
        match self.phase.after(account, answer, order) {
            // The other account answers the same round.
            Some(Phase::Settling(rest)) if answer == Answer::Nothing => {
                let next = Self { phase: Phase::Settling(rest), ..self.clone() };
                context.save(next.clone());
                next.phase
            }
            Some(phase) => self.enter(phase, order, context),
            None => self.phase.clone(),
        }
    }

    /// Enters a phase, again or for the first time, and sends what it calls for.
    fn enter(&self, phase: Phase, order: &Order, context: &mut Context<'_, Self>) -> Phase {
        match phase.calls_for(order) {
            Some((step, accounts)) => self.send(step, &accounts, context),
            None => context.cancel_timer(ASK_AGAIN),
        }
        self.save_next(phase, order, context)
    }

    /// No answer came: asks what stands.
    fn ask_again(&self, order: &Order, context: &mut Context<'_, Self>) -> Phase {
        let Some((_, accounts)) = self.phase.calls_for(order) else { return self.phase.clone() };
        self.send(Step::Inquire, &accounts, context);
        self.save_next(self.phase.clone(), order, context)
    }

    fn send(&self, step: Step, accounts: &[Key], context: &mut Context<'_, Self>) {
        for account in accounts {
            let transfer = context.key().clone();
            let step = account::Command::Step { transfer, round: self.round + 1, step };
            context.cast::<Account>(account.clone(), &step);
        }
        context.set_timer(ASK_AGAIN, ASK_AGAIN_AFTER, &Command::AskAgain {});
    }

    fn save_next(&self, phase: Phase, order: &Order, context: &mut Context<'_, Self>) -> Phase {
        context.save(Self { order: Some(order.clone()), phase: phase.clone(), round: self.round + 1 });
        phase
    }
}

impl Phase {
    /// What has to be done in this phase, and by whom.
    fn calls_for(&self, order: &Order) -> Option<(Step, Vec<Key>)> {
        match self {
            Self::Holding => Some((Step::Hold(order.amount.get()), vec![order.from.clone()])),
            Self::Crediting => Some((Step::Credit(order.amount.get()), vec![order.to.clone()])),
            Self::Returning(_) => Some((Step::Release, vec![order.from.clone()])),
            Self::Settling(accounts) => Some((Step::Settle, accounts.clone())),
            Self::Idle | Self::Done | Self::Failed(_) => None,
        }
    }

    /// The phase that an answer leads to. The same phase means: do it again.
    fn after(&self, account: &Key, answer: Answer, order: &Order) -> Option<Self> {
        match (self, answer) {
            (Self::Holding, Answer::Held) => Some(Self::Crediting),
            (Self::Holding, Answer::Refused(reason)) => Some(Self::Failed(reason)),
            (Self::Crediting, Answer::Credited) => {
                Some(Self::Settling(vec![order.from.clone(), order.to.clone()]))
            }
            (Self::Crediting, Answer::Refused(reason)) => Some(Self::Returning(reason)),
            (Self::Returning(reason), Answer::Nothing) => Some(Self::Failed(*reason)),
            (Self::Settling(accounts), Answer::Nothing) => {
                let rest: Vec<Key> = accounts.iter().filter(|other| *other != account).cloned().collect();
                Some(if rest.is_empty() { Self::Done } else { Self::Settling(rest) })
            }
            (Self::Holding | Self::Crediting, Answer::Nothing)
            | (Self::Returning(_), Answer::Held)
            | (Self::Settling(_), Answer::Held | Answer::Credited) => Some(self.clone()),
            _ => None,
        }
    }
}
