//! What holds whatever happens: a world in which children end, fail to start, and operators ask, all by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::Strategy as Generator};

use super::*;
// `proptest` has something of this name, too.
use crate::process::supervisor::spec::Strategy;
use crate::process::supervisor::{backoff::Backoff, spec::ChildType};

#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// One of the running children ends.
    Exit(prop::sample::Index, ExitReason),
    /// One of the armed timers fires.
    Fire(prop::sample::Index),
    StartChild(Restart, bool),
    Terminate(prop::sample::Index),
    RestartChild(prop::sample::Index),
    DeleteChild(prop::sample::Index),
}

fn reasons() -> impl Generator<Value = ExitReason> {
    prop_oneof![
        1 => Just(ExitReason::Normal),
        1 => Just(ExitReason::Shutdown),
        1 => Just(ExitReason::ShutdownWith("moved".to_owned())),
        3 => Just(ExitReason::Killed),
        3 => Just(ExitReason::crashed("boom")),
    ]
}

fn restarts() -> impl Generator<Value = Restart> {
    prop_oneof![3 => Just(Restart::Permanent), 1 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

fn events() -> impl Generator<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => (0_u64..8).prop_map(Event::Pass),
        4 => (index(), reasons()).prop_map(|(child, reason)| Event::Exit(child, reason)),
        3 => index().prop_map(Event::Fire),
        1 => (restarts(), any::<bool>()).prop_map(|(restart, significant)| Event::StartChild(restart, significant)),
        1 => index().prop_map(Event::Terminate),
        1 => index().prop_map(Event::RestartChild),
        1 => index().prop_map(Event::DeleteChild),
    ]
}

fn flags() -> impl Generator<Value = Flags> {
    let strategy =
        prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)];
    let shut = prop_oneof![3 => Just(AutoShutdown::Never), 1 => Just(AutoShutdown::AnySignificant), 1 => Just(AutoShutdown::AllSignificant)];
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
    (strategy, 0_u32..5, 1_u64..10, shut, any::<bool>()).prop_map(
        move |(strategy, intensity, period, auto_shutdown, waits)| Flags {
            strategy,
            intensity,
            period: Duration::from_secs(period),
            auto_shutdown,
            backoff: waits.then_some(backoff),
            children_max: 12,
        },
    )
}

/// A supervisor and what is known of it from outside.
struct World {
    decisions: Decisions<()>,
    flags: Flags,
    age: u64,
    /// Whether the next starts succeed; runs out to "yes".
    luck: Vec<bool>,
    timers: Vec<(ChildKey, u64)>,
    /// When a restart was decided.
    restarts: Vec<u64>,
    /// Taken down by an operator, or never up since it was added.
    taken_down: BTreeSet<ChildKey>,
    rules: BTreeMap<ChildKey, Restart>,
    gone: BTreeSet<ChildKey>,
    exited: bool,
    names: usize,
}

impl World {
    fn new(flags: Flags, dynamic: bool, luck: Vec<bool>) -> Self {
        let decisions = Decisions::new(flags.clone(), dynamic);
        Self {
            decisions,
            flags,
            age: 0,
            luck,
            timers: Vec::new(),
            restarts: Vec::new(),
            taken_down: BTreeSet::new(),
            rules: BTreeMap::new(),
            gone: BTreeSet::new(),
            exited: false,
            names: 0,
        }
    }

    fn moment(&self) -> Moment {
        Moment { age: Duration::from_secs(self.age), jitter: 0.5 }
    }

    fn rules(restart: Restart, significant: bool) -> ChildRules {
        ChildRules { restart, significant, ..ChildRules::of(ChildType::Worker) }
    }

    fn name(&mut self) -> Option<Arc<str>> {
        self.names += 1;
        (!self.decisions.dynamic).then(|| self.names.to_string().into())
    }

    fn running(&self) -> Vec<ChildKey> {
        let runs = |state| matches!(state, ChildState::Running { .. });
        self.decisions.children().filter(|(_, child)| runs(child.state)).map(|(key, _)| key).collect()
    }

    fn all(&self) -> Vec<(ChildKey, Option<Arc<str>>)> {
        self.decisions.children().map(|(key, child)| (key, child.id.clone())).collect()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Pass(seconds) => self.age += seconds,
            Event::Exit(child, reason) => self.exit(&child, &reason),
            Event::Fire(timer) => self.fire(&timer),
            Event::StartChild(restart, significant) => self.start_child(restart, significant),
            Event::Terminate(child) => self.terminate(&child),
            Event::RestartChild(child) => self.restart_child(&child),
            Event::DeleteChild(child) => self.delete_child(&child),
        }
        self.check_quiet();
    }

    fn exit(&mut self, child: &prop::sample::Index, reason: &ExitReason) {
        let running = self.running();
        if running.is_empty() {
            return;
        }
        let key = running[child.index(running.len())];
        let restart = self.rules[&key];
        self.decisions.exited(key, reason, self.moment());
        if restart == Restart::Temporary {
            self.gone.insert(key);
        }
        let actions = self.perform();
        if actions.contains(&Action::Start(key)) {
            self.restarts.push(self.age);
        }
        self.check_exit(key, restart, reason, &actions);
    }

    fn check_exit(&self, key: ChildKey, restart: Restart, reason: &ExitReason, actions: &[Action]) {
        let expected =
            restart == Restart::Temporary || restart == Restart::Transient && !reason.is_abnormal();
        let exits = actions.contains(&Action::Exit(Ending::AutoShutdown));
        if expected {
            assert!(
                actions.is_empty() || exits && actions.len() == 1,
                "{restart:?} after {reason}: {actions:?}"
            );
            assert!(!exits || self.flags.auto_shutdown != AutoShutdown::Never);
        } else {
            assert!(!actions.is_empty(), "{restart:?} after {reason} needs something done");
            assert!(!exits, "{restart:?} after {reason} is no orderly end");
        }
        for other in actions.iter().flat_map(keys_of) {
            match self.flags.strategy {
                Strategy::OneForOne => assert_eq!(other, key),
                Strategy::RestForOne => assert!(other >= key),
                Strategy::OneForAll => {}
            }
        }
    }

    fn fire(&mut self, timer: &prop::sample::Index) {
        if self.timers.is_empty() {
            return;
        }
        let (key, attempt) = self.timers.remove(timer.index(self.timers.len()));
        self.decisions.timer_fired(key, attempt);
        self.perform();
    }

    fn start_child(&mut self, restart: Restart, significant: bool) {
        let name = self.name();
        let rules = Self::rules(restart, significant);
        let before = self.all().len();
        match self.decisions.start_child(name, rules, ()) {
            Ok(key) => {
                self.rules.insert(key, restart);
                self.perform();
            }
            Err(Refusal::Full) => assert_eq!(before, self.flags.children_max),
            Err(refusal) => assert!(matches!(refusal, Refusal::Spec(_)) && significant, "{refusal:?}"),
        }
    }

    fn terminate(&mut self, child: &prop::sample::Index) {
        let all = self.all();
        if all.is_empty() {
            return;
        }
        let (key, _) = all[child.index(all.len())];
        let waited = self.decisions.children[&key].state == ChildState::Restarting;
        self.decisions.terminate_child(key).expect("it is there");
        self.taken_down.insert(key);
        let actions = self.perform();
        assert!(waited || actions.iter().flat_map(keys_of).all(|other| other == key), "{actions:?}");
        assert!(!self.running().contains(&key));
    }

    fn restart_child(&mut self, child: &prop::sample::Index) {
        let Some((key, id)) = self.named(child) else { return };
        let idle = self.decisions.children[&key].state == ChildState::Stopped;
        let answer = self.decisions.restart_child(&id);
        assert_eq!(answer.is_ok(), idle, "{answer:?}");
        if idle {
            self.taken_down.insert(key);
        }
        self.perform();
    }

    fn delete_child(&mut self, child: &prop::sample::Index) {
        let Some((key, id)) = self.named(child) else { return };
        let idle = self.decisions.children[&key].state == ChildState::Stopped;
        assert_eq!(self.decisions.delete_child(&id).is_ok(), idle);
        assert_eq!(self.decisions.children.contains_key(&key), !idle);
    }

    fn named(&self, child: &prop::sample::Index) -> Option<(ChildKey, Arc<str>)> {
        let named: Vec<_> = self.all().into_iter().filter_map(|(key, id)| Some((key, id?))).collect();
        (!named.is_empty()).then(|| named[child.index(named.len())].clone())
    }

    /// Does everything that is to be done, with luck or without.
    fn perform(&mut self) -> Vec<Action> {
        let mut done = Vec::new();
        while let Some(action) = self.decisions.next() {
            match &action {
                Action::Start(key) => self.start(*key),
                Action::Stop(keys) => keys.iter().for_each(|key| self.stop(*key)),
                Action::Arm { key, attempt, .. } => {
                    self.timers.push((*key, *attempt));
                    self.restarts.push(self.age);
                }
                Action::Exit(_) => self.exited = true,
            }
            done.push(action);
        }
        self.check_order(&done);
        done
    }

    fn start(&mut self, key: ChildKey) {
        assert!(!self.gone.contains(&key), "a temporary child is never started again");
        if self.luck.pop().unwrap_or(true) {
            self.taken_down.remove(&key);
            self.decisions.started(key, self.moment().age);
        } else {
            self.decisions.start_failed(key, self.moment());
        }
    }

    fn stop(&mut self, key: ChildKey) {
        self.decisions.stopped(key);
        if self.rules[&key] == Restart::Temporary {
            self.gone.insert(key);
        }
    }

    /// Down from right to left, then up from left to right.
    fn check_order(&self, done: &[Action]) {
        let up: Vec<_> =
            done.iter().filter(|action| matches!(action, Action::Start(_))).flat_map(keys_of).collect();
        let down: Vec<_> =
            done.iter().filter(|action| matches!(action, Action::Stop(_))).flat_map(keys_of).collect();
        assert!(up.is_sorted_by(|a, b| a < b), "{done:?}");
        assert!(down.is_sorted_by(|a, b| a > b), "{done:?}");
        let first_start = done.iter().position(|action| matches!(action, Action::Start(_)));
        let last_stop = done.iter().rposition(|action| matches!(action, Action::Stop(_)));
        assert!(first_start.zip(last_stop).is_none_or(|(start, stop)| stop < start), "{done:?}");
    }

    fn check_quiet(&self) {
        assert!(
            self.gone.iter().all(|key| !self.decisions.children.contains_key(key)),
            "temporary children leave the list"
        );
        let waits = |child: &Child<()>| child.state == ChildState::Restarting;
        if self.exited || self.decisions.children.values().any(waits) {
            return;
        }
        for (key, child) in self.decisions.children() {
            let up = matches!(child.state, ChildState::Running { .. });
            let must = child.rules.restart == Restart::Permanent && !self.taken_down.contains(&key);
            assert!(up || !must, "permanent child {key:?} is {:?}", child.state);
        }
    }

    fn check_intensity(&self) {
        let period = self.flags.period.as_secs();
        for start in &self.restarts {
            let within = self.restarts.iter().filter(|at| (*start..=start + period).contains(at)).count();
            assert!(within <= self.flags.intensity as usize, "{:?}", self.restarts);
        }
    }

    /// The end: everything that runs is stopped, and nothing else is done.
    fn end(&mut self) {
        let mut running = self.running();
        running.reverse();
        self.decisions.shut_down();
        let done = self.perform();
        assert_eq!(done.iter().flat_map(keys_of).collect::<Vec<_>>(), running);
        assert!(done.iter().all(|action| matches!(action, Action::Stop(_))));
        assert!(self.running().is_empty());
    }
}

fn keys_of(action: &Action) -> Vec<ChildKey> {
    match action {
        Action::Start(key) | Action::Arm { key, .. } => vec![*key],
        Action::Stop(keys) => keys.clone(),
        Action::Exit(_) => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Orders, groups, intensity, who is restarted, and that all permanent children run after every quiet moment.
    #[test]
    fn the_rules_hold_whatever_happens(
        flags in flags(),
        dynamic in any::<bool>(),
        first in prop::collection::vec(restarts(), 0..6),
        luck in prop::collection::vec(prop::bool::weighted(0.7), 0..40),
        events in prop::collection::vec(events(), 0..60),
    ) {
        let flags = if dynamic { Flags { strategy: Strategy::OneForOne, ..flags } } else { flags };
        let mut world = World::new(flags, dynamic, luck);
        if !dynamic {
            for restart in first {
                let name = world.name();
                let key = world.decisions.add(name, World::rules(restart, false), ()).expect("there is room");
                world.rules.insert(key, restart);
            }
            world.decisions.boot();
            world.perform();
        }
        for event in events {
            if world.exited {
                break;
            }
            world.event(event);
        }
        world.check_intensity();
        world.end();
    }
}
