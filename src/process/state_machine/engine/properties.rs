//! What holds whatever happens: a machine whose steps are chosen by chance, and a clock whose alarms ring by chance.

use std::{collections::BTreeSet, time::Duration};

use proptest::{prelude::*, strategy::Strategy};

use super::*;

const EVENTS_MAX: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

/// Each message is a number of its own.
type Number = u32;

#[derive(Clone, Debug)]
enum Input {
    /// Somebody sends a message.
    Send,
    /// One of the alarms that run rings.
    Ring(prop::sample::Index),
    /// One rings that was cancelled a moment before.
    RingLate(prop::sample::Index),
}

/// What a handler says.
#[derive(Clone, Debug)]
struct Said {
    next: Option<u8>,
    repeats: bool,
    postpones: bool,
    inserts: usize,
    /// `None` cancels; `true` is a timeout without time.
    timeouts: Vec<(Slot, Option<bool>)>,
}

fn slots() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::State), Just(Slot::Event), Just(Slot::Named("a")), Just(Slot::Named("b"))]
}

fn said() -> impl Strategy<Value = Said> {
    let next = prop_oneof![2 => Just(None), 1 => (0_u8..3).prop_map(Some)];
    let order = prop_oneof![1 => Just(None), 2 => Just(Some(false)), 2 => Just(Some(true))];
    let timeouts = prop::collection::vec((slots(), order), 0..4);
    let inserts = prop_oneof![4 => Just(0_usize), 2 => 1_usize..4, 1 => 4_usize..14];
    (next, any::<bool>(), any::<bool>(), inserts, timeouts).prop_map(
        |(next, repeats, postpones, inserts, timeouts)| Said { next, repeats, postpones, inserts, timeouts },
    )
}

fn inputs() -> impl Strategy<Value = Input> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Input::Send),
        2 => index().prop_map(Input::Ring),
        1 => index().prop_map(Input::RingLate),
    ]
}

#[derive(Default)]
struct Alarms {
    set: u64,
    running: BTreeMap<u64, Number>,
    cancelled: Vec<(u64, Number)>,
}

impl Clock<Number> for Alarms {
    type Alarm = u64;

    fn set(&mut self, _: Duration, message: Number) -> u64 {
        self.set += 1;
        self.running.insert(self.set, message);
        self.set
    }

    fn cancel(&mut self, alarm: u64) {
        let message = self.running.remove(&alarm).expect("only what runs is cancelled, once");
        self.cancelled.push((alarm, message));
    }
}

/// A machine and what is known of it from outside.
struct World {
    engine: Engine<u8, Number, u64>,
    alarms: Alarms,
    /// What is still said; then nothing is done any more.
    script: std::vec::IntoIter<Said>,
    numbers: Number,
    /// How many states there were.
    epoch: u32,
    /// How many events were begun.
    events: u32,
    /// When a timeout was set: in which state, after which event.
    set: BTreeMap<Number, (u32, u32)>,
    /// In which state an event was postponed.
    postponed: BTreeMap<Number, u32>,
    /// Messages that were sent or inserted, and neither handled for good nor refused.
    open: BTreeSet<Number>,
}

impl World {
    fn new(script: Vec<Said>) -> Self {
        let (set, postponed, open) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (engine, alarms) = (Engine::new(0, EVENTS_MAX), Alarms::default());
        let script = script.into_iter();
        Self { engine, alarms, script, numbers: 0, epoch: 0, events: 0, set, postponed, open }
    }

    fn number(&mut self) -> Number {
        self.numbers += 1;
        self.numbers
    }

    fn input(&mut self, input: &Input) {
        let event = match input {
            Input::Send => {
                let number = self.number();
                self.open.insert(number);
                Some(Event::Message(number))
            }
            Input::Ring(index) if !self.alarms.running.is_empty() => {
                let alarm = *self.alarms.running.keys().nth(index.index(self.alarms.running.len())).unwrap();
                let message = self.alarms.running.remove(&alarm).unwrap();
                let event = self.engine.rang(|other| *other == alarm, message);
                assert!(event.is_some(), "an alarm that runs is an event");
                event
            }
            Input::RingLate(index) if !self.alarms.cancelled.is_empty() => {
                let (alarm, message) = *index.get(&self.alarms.cancelled);
                assert_eq!(self.engine.rang(|other| *other == alarm, message), None, "it was cancelled");
                None
            }
            Input::Ring(_) | Input::RingLate(_) => None,
        };
        let mut next = event;
        while let Some(event) = next {
            self.handle(event);
            next = self.engine.next();
        }
        assert!(self.engine.waiting.is_empty() && self.engine.over.is_empty(), "nothing is forgotten");
    }

    fn handle(&mut self, event: Event<Number>) {
        self.look_at(event);
        self.engine.begin(&mut self.alarms);
        self.events += 1;
        let idle = Said { next: None, repeats: false, postpones: false, inserts: 0, timeouts: Vec::new() };
        let said = self.script.next().unwrap_or(idle);
        let next = match said.next {
            Some(state) => Next::To(state),
            None if said.repeats => Next::Repeat,
            None => Next::Keep,
        };
        let has_changed = matches!(self.engine.turn(next, &mut self.alarms), Turn::Changed(_));
        self.epoch += u32::from(has_changed);
        let (Event::Message(number) | Event::Internal(number)) = event else {
            return self.settle(said, None, has_changed);
        };
        if said.postpones {
            // In the state in which it was handled: if that is over, it may come at once.
            self.postponed.insert(number, self.epoch - u32::from(has_changed));
            self.settle(said, Some(event), has_changed);
        } else {
            assert!(self.open.remove(&number), "handled for good once");
            self.postponed.remove(&number);
            self.settle(said, None, has_changed);
        }
    }

    fn settle(&mut self, said: Said, postponed: Option<Event<Number>>, has_changed: bool) {
        let inserted: Vec<_> = (0..said.inserts).map(|_| self.number()).collect();
        self.open.extend(&inserted);
        let before: Vec<_> = self.engine.postponed.iter().copied().collect();
        let refused = self.engine.line_up(postponed, inserted.clone(), has_changed);
        for event in &refused {
            let (Event::Message(number) | Event::Internal(number)) = event else {
                panic!("timeouts are not postponed here");
            };
            assert!(self.open.remove(number), "refused once");
        }
        self.check_order(&inserted, &before, has_changed, refused.is_empty());
        let orders: Vec<_> =
            said.timeouts.into_iter().map(|(slot, order)| (slot, self.order(order))).collect();
        self.engine.time(orders, &mut self.alarms);
        self.check_bounds();
    }

    fn order(&mut self, order: Option<bool>) -> Order<Number> {
        let Some(has_no_time) = order else { return Order::Cancel };
        let number = self.number();
        self.set.insert(number, (self.epoch, self.events));
        Order::Set(if has_no_time { Duration::ZERO } else { SECOND }, number)
    }

    /// Inserted events come first, then those that were postponed if the state changed, each in its order.
    fn check_order(&self, inserted: &[Number], before: &[Event<Number>], has_changed: bool, all_fit: bool) {
        let kept: Vec<_> = inserted.iter().map(|number| Event::Internal(*number)).collect();
        let kept = if all_fit { kept } else { self.kept(&kept) };
        let waiting: Vec<_> = self.engine.waiting.iter().copied().collect();
        assert!(waiting.starts_with(&kept), "inserted events come first");
        if has_changed {
            assert!(waiting[kept.len()..].starts_with(before), "then what was postponed, the oldest first");
            assert!(self.engine.postponed.is_empty());
        }
    }

    fn kept(&self, inserted: &[Event<Number>]) -> Vec<Event<Number>> {
        let is_open =
            |event: &&Event<Number>| matches!(event, Event::Internal(number) if self.open.contains(number));
        inserted.iter().filter(is_open).copied().collect()
    }

    fn check_bounds(&self) {
        assert!(self.engine.postponed.len() <= EVENTS_MAX);
        assert!(self.engine.waiting.len() + self.engine.postponed.len() <= 3 * EVENTS_MAX);
        let runs = |timeout: &&Timeout<u64, Number>| matches!(timeout, Timeout::Runs(_));
        let runs = self.engine.timeouts.values().filter(runs).count();
        assert_eq!(runs, self.alarms.running.len(), "each alarm that runs is that of a timeout");
    }

    fn look_at(&self, event: Event<Number>) {
        match event {
            Event::Message(number) | Event::Internal(number) => {
                let postponed = self.postponed.get(&number);
                assert!(postponed.is_none_or(|epoch| *epoch < self.epoch), "it comes again in another state");
            }
            Event::StateTimeout(number) => {
                assert_eq!(self.set[&number].0, self.epoch, "a state's timeout comes in that state");
            }
            Event::EventTimeout(number) => {
                assert_eq!(self.set[&number].1, self.events, "nothing happened since");
            }
            Event::Timeout(_, number) => assert!(self.set.contains_key(&number)),
        }
    }

    /// Everything that was sent is handled, postponed or refused.
    fn check_nothing_lost(&self) {
        let number = |event: &Event<Number>| match event {
            Event::Message(number) | Event::Internal(number) => *number,
            other => panic!("timeouts are not postponed here: {other:?}"),
        };
        let kept: Vec<_> = self.engine.postponed.iter().map(number).collect();
        let once: BTreeSet<_> = kept.iter().copied().collect();
        assert_eq!(once.len(), kept.len(), "postponed once");
        assert_eq!(once, self.open);
    }
}

proptest! {
    /// No event is lost or handled twice; what is postponed comes again in another state, in its order; timeouts of a state and of an
    /// event are cancelled by what must cancel them; everything stays within its bounds.
    #[test]
    fn events_are_handled_once_in_the_order_that_is_promised(
        script in prop::collection::vec(said(), 0..60),
        inputs in prop::collection::vec(inputs(), 1..40),
    ) {
        let mut world = World::new(script);
        for input in &inputs {
            world.input(input);
        }
        world.check_nothing_lost();
    }
}
