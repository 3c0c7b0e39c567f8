//! A bank whose messages are late, lost to crashes, and overtaken by timers: every order that the promises allow.
//!
//! The executor delivers casts of one shard in one order; between shards only the order per pair holds. This
//! bank has one lane per pair and chooses among them.

use std::collections::{BTreeMap, VecDeque};

use playhouse::{
    entity::{Change, Context, Effects, Entity, OutgoingCast, TimerChange},
    protocol::{Key, codec},
};
use proptest::prelude::*;

use crate::{
    account::{self, Account},
    transfer::{self, Phase, Transfer},
};

const ACCOUNTS: [&str; 3] = ["ann", "bob", "cat"];
const OPENED_WITH: u64 = 100;

/// A bank whose messages are delivered one by one, in order per pair, and some of them never.
#[derive(Default)]
struct Bank {
    accounts: BTreeMap<Key, Account>,
    transfers: BTreeMap<Key, Transfer>,
    /// From and to.
    lanes: BTreeMap<(Key, Key), VecDeque<OutgoingCast>>,
    timers: BTreeMap<Key, u64>,
    now_ms: u64,
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

impl Bank {
    fn open() -> Self {
        let mut bank = Self::default();
        for name in ACCOUNTS {
            bank.account(&key(name), account::Command::Open { balance: OPENED_WITH });
        }
        bank
    }

    fn account(&mut self, at: &Key, command: account::Command) {
        let state = self.accounts.entry(at.clone()).or_insert_with(|| Account::birth(at));
        let effects = execute(at, state, command, self.now_ms);
        self.send(at, effects);
    }

    fn transfer(&mut self, at: &Key, command: transfer::Command) {
        let state = self.transfers.entry(at.clone()).or_insert_with(|| Transfer::birth(at));
        let effects = execute(at, state, command, self.now_ms);
        for change in &effects.timers {
            match change {
                TimerChange::Set { at_ms, .. } => drop(self.timers.insert(at.clone(), *at_ms)),
                TimerChange::Cancel { .. } => drop(self.timers.remove(at)),
            }
        }
        self.send(at, effects);
    }

    fn send<E: Entity>(&mut self, from: &Key, effects: Effects<E>) {
        for cast in effects.casts {
            self.lanes.entry((from.clone(), cast.target.key.clone())).or_default().push_back(cast);
        }
    }

    fn start(&mut self, name: &str, from: &str, to: &str, amount: u64) {
        let amount = amount.try_into().unwrap();
        let order = transfer::Order { from: key(from), to: key(to), amount };
        self.transfer(&key(name), transfer::Command::Start(order));
    }

    /// Delivers the next message of some lane; if `crash`, its target crashes on it: it has no effect.
    fn deliver(&mut self, lane: usize, crash: bool) {
        let waiting: Vec<_> =
            self.lanes.iter().filter(|(_, casts)| !casts.is_empty()).map(|(pair, _)| pair.clone()).collect();
        let Some(pair) = waiting.get(lane % waiting.len().max(1)).cloned() else { return };
        let cast = self.lanes.get_mut(&pair).and_then(VecDeque::pop_front).unwrap();
        match cast.target.kind.as_str() {
            _ if crash => {}
            "account" => self.account(&cast.target.key, codec::decode(&cast.body.bytes).unwrap()),
            "transfer" => self.transfer(&cast.target.key, codec::decode(&cast.body.bytes).unwrap()),
            other => panic!("nobody casts to {other}"),
        }
        self.check();
    }

    fn ask_again(&mut self, which: usize) {
        let Some((at, due_ms)) = self.timers.iter().nth(which % self.timers.len().max(1)) else { return };
        let at = at.clone();
        self.now_ms = self.now_ms.max(*due_ms);
        self.timers.remove(&at);
        self.transfer(&at, transfer::Command::AskAgain {});
    }

    /// Delivers everything, with timers, until nothing happens any more.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.lanes.values().any(|casts| !casts.is_empty()) {
                self.deliver(0, false);
            } else if !self.timers.is_empty() {
                self.ask_again(0);
            } else {
                return;
            }
        }
        panic!("the bank does not come to rest");
    }

    /// What can be spent was never made; what can be spent or is set aside was never lost.
    fn check(&self) {
        let (balances, held) = self.money();
        let total = OPENED_WITH * ACCOUNTS.len() as u64;
        assert!(balances <= total && total <= balances + held, "{balances} + {held}, should be {total}");
    }

    fn money(&self) -> (u64, u64) {
        let statements = self.accounts.iter().map(|(at, state)| {
            let mut context = Context::detached(at, self.now_ms, 0);
            state.handle(account::Command::Get {}, &mut context).unwrap()
        });
        statements.fold((0, 0), |(balance, held), next| (balance + next.balance, held + next.held))
    }

    fn phase(&self, name: &str) -> Phase {
        let at = key(name);
        let mut context = Context::detached(&at, self.now_ms, 0);
        self.transfers[&at].handle(transfer::Command::Get {}, &mut context).unwrap()
    }
}

fn execute<E: Entity>(at: &Key, state: &mut E, command: E::Command, now_ms: u64) -> Effects<E> {
    let mut context = Context::detached(at, now_ms, 0);
    state.handle(command, &mut context).unwrap();
    let mut effects = context.into_effects();
    if let Change::Save(next) = std::mem::replace(&mut effects.change, Change::Keep) {
        *state = codec::decode(&codec::encode(&next).unwrap()).unwrap();
    }
    effects
}

/// What a step of the property test does.
#[derive(Clone, Debug)]
enum Step {
    Start { from: usize, to: usize, amount: u64 },
    Deliver(usize),
    Crash(usize),
    AskAgain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3usize, 0..4usize, 1..150u64).prop_map(|(from, to, amount)| Step::Start { from, to, amount }),
        8 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Crash),
        2 => any::<usize>().prop_map(Step::AskAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Messages late, handlers crashing, timers at the worst moment: the sum stands, and every transfer ends.
    #[test]
    fn money_is_never_lost_and_never_made(steps in proptest::collection::vec(step(), 1..120)) {
        let mut bank = Bank::open();
        for (number, step) in steps.into_iter().enumerate() {
            let names = ["ann", "bob", "cat", "nobody"];
            match step {
                Step::Start { from, to, amount } if from != to => {
                    bank.start(&format!("t{number}"), names[from], names[to], amount);
                }
                Step::Start { .. } => {}
                Step::Deliver(lane) => bank.deliver(lane, false),
                Step::Crash(lane) => bank.deliver(lane, true),
                Step::AskAgain(which) => bank.ask_again(which),
            }
        }
        bank.settle();
        prop_assert_eq!(bank.money(), (300, 0));
        for name in bank.transfers.keys() {
            prop_assert!(matches!(bank.phase(name.as_str()), Phase::Done | Phase::Failed(_)));
        }
    }
}
