//! The entities of `examples/bank.rs`: money is never lost and never made, whatever crashes on the way.
#![allow(clippy::unwrap_used)] // A test that cannot go on ends.

#[path = "../examples/bank/account.rs"]
mod account;
#[path = "bank/killed.rs"]
mod killed;
#[path = "bank/lanes.rs"]
mod lanes;
#[path = "bank/node.rs"]
mod node;
#[path = "bank/restored.rs"]
mod restored;
#[path = "../examples/bank/rush.rs"]
mod rush;
#[path = "../examples/bank/transfer.rs"]
mod transfer;

use std::time::Duration;

use account::{Account, Reason, Statement};
use playhouse::{
    protocol::CallError,
    testing::{Release, Stage},
};
use proptest::prelude::*;
use serde_json::json;
use transfer::{ASK_AGAIN_AFTER, Phase, Transfer};

const ACCOUNTS: [&str; 3] = ["ann", "bob", "cat"];
const TOTAL: u64 = 300;

fn bank() -> Stage {
    let mut stage = Stage::start(Release::new().kind::<Account>().kind::<Transfer>());
    for name in ACCOUNTS {
        stage.call::<Account>(name, &account::Command::Open { balance: 100 }).unwrap();
    }
    stage
}

fn start(stage: &mut Stage, name: &str, from: &str, to: &str, amount: u64) -> Result<Phase, CallError> {
    let order = json!({"from": from, "to": to, "amount": amount});
    let order = serde_json::from_value(order).unwrap();
    stage.call::<Transfer>(name, &transfer::Command::Start(order))
}

/// What can be spent and what is set aside; shown also by an account that is quarantined.
fn statement(stage: &mut Stage, name: &str) -> (u64, u64) {
    let shown = stage.view::<Account>(name);
    let holds = shown["holds"].as_object().unwrap().values();
    (shown["balance"].as_u64().unwrap(), holds.map(|amount| amount.as_u64().unwrap()).sum())
}

fn phase(stage: &mut Stage, name: &str) -> Phase {
    stage.call::<Transfer>(name, &transfer::Command::Get {}).unwrap()
}

fn balances(stage: &mut Stage) -> [u64; 3] {
    ACCOUNTS.map(|name| statement(stage, name).0)
}

/// Delivers and waits until nothing happens any more.
fn come_to_rest(stage: &mut Stage) {
    while stage.settle() > 0 || !stage.timers().is_empty() {
        stage.advance(ASK_AGAIN_AFTER);
    }
}

#[test]
fn a_transfer_moves_money_once() {
    let mut stage = bank();
    assert_eq!(start(&mut stage, "t", "ann", "bob", 30), Ok(Phase::Holding));
    assert_eq!(start(&mut stage, "t", "ann", "bob", 30), Ok(Phase::Holding));
    stage.settle();
    assert_eq!(phase(&mut stage, "t"), Phase::Done);
    assert_eq!(balances(&mut stage), [70, 130, 100]);
    assert!(stage.timers().is_empty());
}

#[test]
fn a_transfer_that_is_not_possible_leaves_the_money_where_it_was() {
    let mut stage = bank();
    start(&mut stage, "too-much", "ann", "bob", 101).unwrap();
    start(&mut stage, "to-nobody", "ann", "eve", 30).unwrap();
    stage.settle();
    assert_eq!(phase(&mut stage, "too-much"), Phase::Failed(Reason::InsufficientFunds));
    assert_eq!(phase(&mut stage, "to-nobody"), Phase::Failed(Reason::NoSuchAccount));
    assert_eq!(statement(&mut stage, "ann"), (100, 0));
    let ann = stage.call::<Account>("ann", &account::Command::Get {}).unwrap();
    assert_eq!(ann, Statement { is_open: true, balance: 100, held: 0 });
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let mut stage = bank();
    assert!(
        matches!(start(&mut stage, "t", "ann", "ann", 1), Err(CallError::Refused(refused)) if refused.code == "same_account")
    );
    start(&mut stage, "t", "ann", "bob", 1).unwrap();
    assert!(
        matches!(start(&mut stage, "t", "ann", "bob", 2), Err(CallError::Refused(refused)) if refused.code == "already_started")
    );
    let again = stage.call::<Account>("ann", &account::Command::Open { balance: 1 });
    assert!(matches!(again, Err(CallError::Refused(refused)) if refused.code == "already_open"));
}

/// A transfer takes a number of steps. Each of them crashes once, in turn.
#[test]
fn each_step_may_crash() {
    for crashing in 0..10 {
        let mut stage = bank();
        start(&mut stage, "t", "ann", "bob", 30).unwrap();
        for step in 0.. {
            if step == crashing {
                stage.crash_next_handler();
            }
            if !stage.deliver_cast() {
                break;
            }
        }
        stage.spare_next_handler();
        come_to_rest(&mut stage);
        assert_eq!(phase(&mut stage, "t"), Phase::Done, "step {crashing}");
        assert_eq!(balances(&mut stage), [70, 130, 100], "step {crashing}");
    }
}

/// What happens between two deliveries.
#[derive(Clone, Debug)]
enum Step {
    Start { from: usize, to: usize, amount: u64 },
    Deliver,
    CrashOn(What),
    Wait(u64),
    LosePower,
    FailOver,
    Passivate,
}

/// What a handler crashes on.
#[derive(Clone, Copy, Debug)]
enum What {
    Cast,
    Timer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3usize, 0..4usize, 1..150u64).prop_map(|(from, to, amount)| Step::Start { from, to, amount }),
        12 => Just(Step::Deliver),
        1 => Just(Step::CrashOn(What::Cast)),
        1 => Just(Step::CrashOn(What::Timer)),
        1 => (0..8_000u64).prop_map(Step::Wait),
        1 => Just(Step::LosePower),
        1 => Just(Step::FailOver),
        1 => Just(Step::Passivate),
    ]
}

proptest! {
    /// On the real executor: the sum stands at every moment, and every transfer ends.
    #[test]
    fn money_is_never_lost_and_never_made(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut stage, mut started) = (bank(), Vec::new());
        let names = ["ann", "bob", "cat", "nobody"];
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Start { from, to, amount } => {
                    if from != to {
                        let name = format!("t{number}");
                        start(&mut stage, &name, names[from], names[to], amount).unwrap();
                        started.push((name, from, to, amount));
                    }
                }
                Step::Deliver => drop(stage.deliver_cast()),
                Step::CrashOn(what) => {
                    stage.crash_next_handler();
                    match what {
                        What::Cast => drop(stage.deliver_cast()),
                        What::Timer => drop(stage.advance(ASK_AGAIN_AFTER)),
                    }
                    stage.spare_next_handler();
                }
                Step::Wait(ms) => drop(stage.advance(Duration::from_millis(ms))),
                Step::LosePower => stage.crash(),
                Step::FailOver => stage.fail_over(),
                Step::Passivate => drop(stage.passivate()),
            }
            let statements = ACCOUNTS.map(|name| statement(&mut stage, name));
            let (balance, held) = statements.iter().fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
            prop_assert!(balance <= TOTAL && TOTAL <= balance + held);
        }
        // Whoever crashed too often is out of quarantine by then. Timers that crashed are lost: start again.
        stage.advance(Duration::from_secs(60));
        for (name, from, to, amount) in &started {
            start(&mut stage, name, names[*from], names[*to], *amount).unwrap();
        }
        come_to_rest(&mut stage);
        prop_assert_eq!(balances(&mut stage).iter().sum::<u64>(), TOTAL);
        for (name, ..) in started {
            prop_assert!(matches!(phase(&mut stage, &name), Phase::Done | Phase::Failed(_)));
        }
    }
}
