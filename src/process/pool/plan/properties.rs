//! What holds whatever happens: jobs come, and workers end them, crash and come back by chance.

use std::collections::{BTreeSet, btree_map::Entry};

use proptest::{prelude::*, strategy::Strategy};

use super::*;

const JOBS_MAX: usize = 5;
const SIZE_MAX: usize = 4;

/// Each job is a number of its own.
type Number = u32;

#[derive(Clone, Debug)]
enum Event {
    Submit(u64),
    Finish(prop::sample::Index),
    Crash(prop::sample::Index),
    /// One that was started, or crashed before, is there.
    Arrive(prop::sample::Index),
    Resize(usize),
}

fn events() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0_u64..4).prop_map(Event::Submit),
        4 => index().prop_map(Event::Finish),
        2 => index().prop_map(Event::Crash),
        4 => index().prop_map(Event::Arrive),
        1 => (1..=SIZE_MAX).prop_map(Event::Resize),
    ]
}

fn routings() -> impl Strategy<Value = Routing> {
    prop_oneof![
        Just(Routing::Queuer),
        Just(Routing::StickyQueuer),
        Just(Routing::RoundRobin),
        Just(Routing::KeyPersistent)
    ]
}

/// A pool and what is known of it from outside.
struct World {
    plan: Plan<Number>,
    routing: Routing,
    size: usize,
    jobs: Vec<u64>,
    /// Jobs that have not been begun.
    waiting: BTreeSet<Number>,
    /// Workers that are there, and what they are at.
    there: BTreeMap<usize, Option<Number>>,
    /// Workers that will be there.
    coming: Vec<usize>,
    /// The job of each key that was begun last.
    last_begun: BTreeMap<u64, Number>,
}

impl World {
    fn new(routing: Routing, overflow: Overflow, size: usize) -> Self {
        Self {
            plan: Plan::new(routing, overflow, JOBS_MAX, size),
            routing,
            size,
            jobs: Vec::new(),
            waiting: BTreeSet::new(),
            there: BTreeMap::new(),
            coming: (0..size).collect(),
            last_begun: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: &Event) {
        let actions = match event {
            Event::Submit(key) => self.submit(*key),
            Event::Finish(index) => match self.one_at_work(index) {
                Some(number) => {
                    self.there.insert(number, None);
                    self.plan.free(number)
                }
                None => Vec::new(),
            },
            Event::Crash(index) if !self.there.is_empty() => {
                let number = *self.there.keys().nth(index.index(self.there.len())).unwrap();
                self.there.remove(&number);
                self.coming.push(number);
                self.plan.lost(number)
            }
            Event::Arrive(index) if !self.coming.is_empty() => {
                let number = self.coming.swap_remove(index.index(self.coming.len()));
                match self.there.entry(number) {
                    // The desk sends it away.
                    Entry::Occupied(_) => Vec::new(),
                    Entry::Vacant(place) => {
                        place.insert(None);
                        self.plan.arrived(number)
                    }
                }
            }
            Event::Resize(size) => {
                let (missing, actions) = self.plan.resize(*size);
                assert!(
                    missing.iter().all(|number| !self.there.contains_key(number)),
                    "none is started twice"
                );
                self.coming.extend(missing);
                self.size = *size;
                actions
            }
            Event::Crash(_) | Event::Arrive(_) => Vec::new(),
        };
        actions.into_iter().for_each(|action| self.act(action));
        self.check();
    }

    fn submit(&mut self, key: u64) -> Vec<Action<Number>> {
        let number = Number::try_from(self.jobs.len()).unwrap();
        self.jobs.push(key);
        self.waiting.insert(number);
        self.plan.submit(key, number)
    }

    fn one_at_work(&self, index: &prop::sample::Index) -> Option<usize> {
        let at_work: Vec<_> =
            self.there.iter().filter(|(_, job)| job.is_some()).map(|(number, _)| *number).collect();
        (!at_work.is_empty()).then(|| *index.get(&at_work))
    }

    fn act(&mut self, action: Action<Number>) {
        match action {
            Action::Give(number, job) => {
                assert!(self.waiting.remove(&job), "a job is begun once");
                let key = self.jobs[job as usize];
                if matches!(self.routing, Routing::StickyQueuer | Routing::KeyPersistent) {
                    let same_key =
                        self.there.values().flatten().any(|other| self.jobs[*other as usize] == key);
                    assert!(!same_key, "jobs of one key are done one after the other");
                    let last = self.last_begun.insert(key, job);
                    assert!(last.is_none_or(|last| last < job), "in their order");
                }
                let before = self.there.insert(number, Some(job));
                assert_eq!(before, Some(None), "only a worker that is there and free begins a job");
            }
            Action::Refuse(job) => assert!(self.waiting.remove(&job), "a job is refused once"),
            Action::TurnAway(job) => panic!("job {job} is turned away though it does not drain"),
            Action::Dismiss(number) => {
                assert!(number >= self.size, "nobody is dismissed who is needed");
                assert_eq!(self.there.remove(&number), Some(None), "nor in the middle of a job");
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.waiting.len(), self.plan.waiting(), "no job is forgotten");
        assert!(self.waiting.len() <= JOBS_MAX);
        assert_eq!(self.there.values().flatten().count(), self.plan.working());
        let free = self.there.iter().any(|(number, job)| *number < self.size && job.is_none());
        match self.routing {
            Routing::Queuer => assert!(!free || self.waiting.is_empty(), "no job waits beside a free worker"),
            Routing::StickyQueuer => assert!(!free || self.waiting.iter().all(|job| self.is_held(*job))),
            Routing::RoundRobin | Routing::KeyPersistent => {}
        }
    }

    /// Whether somebody is at its key.
    fn is_held(&self, job: Number) -> bool {
        let key = |job: Number| self.jobs[job as usize];
        self.there.values().flatten().any(|other| key(*other) == key(job))
    }

    /// Everybody works on until nothing is left.
    fn drain(&mut self) {
        self.plan.drain();
        assert_eq!(self.plan.submit(0, Number::MAX), [Action::TurnAway(Number::MAX)]);
        let first = prop::sample::Index::default_first();
        for _ in 0..4 * (JOBS_MAX + SIZE_MAX) {
            while !self.coming.is_empty() {
                self.happen(&Event::Arrive(first));
            }
            self.happen(&Event::Finish(first));
        }
        assert!(self.plan.is_drained() && self.waiting.is_empty(), "every job gets its turn");
        assert_eq!(self.there.len(), self.size, "there are as many workers as there should be");
        assert!(self.plan.keys.is_empty(), "no key is remembered for nothing");
    }
}

trait First {
    fn default_first() -> Self;
}

impl First for prop::sample::Index {
    fn default_first() -> Self {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        proptest::strategy::ValueTree::current(&any::<Self>().new_tree(&mut runner).unwrap())
    }
}

proptest! {
    /// Each job is begun once or refused; by a worker that is free; jobs of one key one after the other where that is promised; no more
    /// wait than may; and all of them get their turn.
    #[test]
    fn jobs_are_begun_once_by_those_who_are_free(
        routing in routings(),
        drops_oldest in any::<bool>(),
        size in 1..=SIZE_MAX,
        events in prop::collection::vec(events(), 1..120),
    ) {
        let overflow = if drops_oldest { Overflow::DropOldest } else { Overflow::Refuse };
        let mut world = World::new(routing, overflow, size);
        for event in &events {
            world.happen(event);
        }
        world.drain();
    }

    /// Of jobs that find no room, the one that is declared is refused: the newest, or the oldest of all lines.
    #[test]
    fn the_job_that_is_declared_is_refused(
        routing in routings(),
        keys in prop::collection::vec(0_u64..4, JOBS_MAX + 1..30),
    ) {
        for overflow in [Overflow::Refuse, Overflow::DropOldest] {
            // Nobody is there.
            let mut plan = Plan::new(routing, overflow, JOBS_MAX, 2);
            let mut refused = Vec::new();
            for (number, key) in (0..).zip(&keys) {
                refused.extend(plan.submit(*key, number));
            }
            let expected: Vec<Number> = match overflow {
                Overflow::Refuse => (5..).take(keys.len() - JOBS_MAX).collect(),
                Overflow::DropOldest => (0..).take(keys.len() - JOBS_MAX).collect(),
            };
            prop_assert_eq!(refused, expected.into_iter().map(Action::Refuse).collect::<Vec<_>>());
        }
    }
}
