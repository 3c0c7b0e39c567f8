//! Whether a history of one entity could have come from one entity that does one thing at a time.
//!
//! The search of Wing and Gong with Lowe's memory: take any operation that may be next, see whether the answer fits, go
//! on, come back if that leads nowhere; never look twice at the same set of operations done with the same state.

use std::collections::BTreeSet;

use super::history::{Input, Operation, Outcome, Output};

/// How many steps a search may take.
const STEPS_MAX: usize = 2_000_000;

/// What an entity does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    revision: u64,
    value: i64,
}

impl State {
    fn after(self, input: &Input) -> (Self, Output) {
        let Self { revision, value } = self;
        match input {
            Input::Add(add) => {
                let next = Self { revision: revision + 1, value: value + add };
                (next, Output::Value(next.value))
            }
            Input::Get => (self, Output::Value(value)),
            Input::Read => (self, Output::Found { revision, value }),
            Input::Put { if_revision, .. } if *if_revision != revision => (self, Output::Mismatch),
            Input::Put { value, .. } => {
                let next = Self { revision: revision + 1, value: *value };
                (next, Output::Written { revision: next.revision })
            }
        }
    }
}

/// What the search says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none. At most so many operations could be explained.
    Not { explained: usize },
    /// Too many orders to try.
    Undecided,
}

struct Step<'a> {
    input: &'a Input,
    /// `None`: it may have happened at any time since it began, or never.
    output: Option<Output>,
    began: u64,
    ended: u64,
}

/// Judges the operations of one entity.
pub fn judge<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Verdict {
    let mut steps: Vec<_> = operations.into_iter().filter_map(step).collect();
    // Those that must be explained first: most of the time their order is the answer.
    steps.sort_by_key(|step| (step.ended, step.began));
    Search { steps: &steps, seen: BTreeSet::new(), left: STEPS_MAX, explained: 0 }.run()
}

fn step(operation: &Operation) -> Option<Step<'_>> {
    let Operation { input, began, ended, outcome, .. } = operation;
    let (output, ended) = match outcome {
        Outcome::Told(output) => (Some(*output), *ended),
        Outcome::Unknown if !input.is_read() => (None, u64::MAX),
        Outcome::Unknown | Outcome::Never => return None,
    };
    Some(Step { input, output, began: *began, ended })
}

struct Search<'a> {
    steps: &'a [Step<'a>],
    seen: BTreeSet<(Vec<u64>, State)>,
    left: usize,
    explained: usize,
}

/// A choice that can be taken back.
struct Choice {
    at: usize,
    before: State,
}

impl Search<'_> {
    fn run(mut self) -> Verdict {
        let told = self.steps.iter().filter(|step| step.output.is_some()).count();
        let mut done = vec![0u64; self.steps.len().div_ceil(64)];
        let (mut state, mut path, mut from, mut explained) = (State::default(), Vec::<Choice>::new(), 0, 0);
        loop {
            self.explained = self.explained.max(explained);
            if explained == told {
                return Verdict::Linearizable;
            }
            if self.left == 0 {
                return Verdict::Undecided;
            }
            self.left -= 1;
            if let Some((at, next)) = self.next(&mut done, state, from) {
                path.push(Choice { at, before: state });
                explained += usize::from(self.steps[at].output.is_some());
                (state, from) = (next, 0);
                continue;
            }
            let Some(Choice { at, before }) = path.pop() else {
                return Verdict::Not { explained: self.explained };
            };
            flip(&mut done, at);
            explained -= usize::from(self.steps[at].output.is_some());
            (state, from) = (before, at + 1);
        }
    }

    /// The first operation at or after `from` that may be next and leads somewhere new. It is marked as done.
    fn next(&mut self, done: &mut [u64], state: State, from: usize) -> Option<(usize, State)> {
        let first_end = self.first_end(done);
        for at in from..self.steps.len() {
            let step = &self.steps[at];
            if is_done(done, at) || step.began > first_end || self.has_older_twin(done, at) {
                continue;
            }
            let (next, output) = state.after(step.input);
            let fits = step.output.is_none_or(|told| told == output);
            // One whose outcome nobody knows is worth doing only if it changes something.
            if !fits || step.output.is_none() && next == state {
                continue;
            }
            flip(done, at);
            if self.seen.insert((done.to_vec(), next)) {
                return Some((at, next));
            }
            flip(done, at);
        }
        None
    }

    /// Whether the same, asked earlier and unknown as well, is not done yet: then that one may as well come first.
    fn has_older_twin(&self, done: &[u64], at: usize) -> bool {
        let step = &self.steps[at];
        let is_twin = |other: &Step<'_>| other.output.is_none() && other.input == step.input;
        step.output.is_none()
            && self.steps[..at]
                .iter()
                .enumerate()
                .any(|(other, older)| is_twin(older) && !is_done(done, other))
    }

    /// When the first of those that are not done ended: nothing that began later can be next.
    fn first_end(&self, done: &[u64]) -> u64 {
        let open = self.steps.iter().enumerate().find(|(at, _)| !is_done(done, *at));
        open.map_or(u64::MAX, |(_, step)| step.ended)
    }
}

fn is_done(done: &[u64], at: usize) -> bool {
    done[at / 64] & 1 << (at % 64) != 0
}

fn flip(done: &mut [u64], at: usize) {
    done[at / 64] ^= 1 << (at % 64);
}

mod tests {
    use super::*;

    fn operation(began: u64, ended: u64, input: Input, outcome: Outcome) -> Operation {
        Operation { client: 0, entity: "e".to_owned(), input, began, ended, outcome }
    }

    fn add(began: u64, ended: u64, outcome: Outcome) -> Operation {
        operation(began, ended, Input::Add(1), outcome)
    }

    fn get(began: u64, ended: u64, value: i64) -> Operation {
        operation(began, ended, Input::Get, value_is(value))
    }

    fn value_is(value: i64) -> Outcome {
        Outcome::Told(Output::Value(value))
    }

    fn is_good(history: &[Operation]) -> bool {
        match judge(history) {
            Verdict::Linearizable => true,
            Verdict::Not { .. } => false,
            Verdict::Undecided => panic!("it is small"),
        }
    }

    #[test]
    fn one_after_the_other_is_linearizable() {
        assert!(is_good(&[]));
        assert!(is_good(&[add(1, 2, value_is(1)), get(3, 4, 1), add(5, 6, value_is(2)), get(7, 8, 2)]));
    }

    #[test]
    fn what_overlaps_may_come_in_either_order() {
        let read = |value| [add(1, 4, value_is(1)), get(2, 3, value)];
        assert!(is_good(&read(0)) && is_good(&read(1)));
        assert!(!is_good(&read(2)));
    }

    #[test]
    fn a_stale_read_is_found() {
        assert!(!is_good(&[add(1, 2, value_is(1)), get(3, 4, 0)]));
        assert!(!is_good(&[add(1, 8, value_is(1)), get(2, 3, 1), get(4, 5, 0)]));
    }

    #[test]
    fn a_lost_effect_is_found() {
        assert!(!is_good(&[add(1, 2, value_is(1)), add(3, 4, value_is(1))]));
    }

    #[test]
    fn an_effect_that_came_twice_is_found() {
        assert!(!is_good(&[add(1, 2, value_is(1)), get(3, 4, 2)]));
        assert!(!is_good(&[add(1, 2, Outcome::Unknown), get(3, 4, 2)]));
    }

    #[test]
    fn an_unknown_effect_comes_whenever_it_likes_or_never() {
        let unknown = || add(1, 2, Outcome::Unknown);
        assert!(is_good(&[unknown(), get(3, 4, 0), get(5, 6, 1)]));
        assert!(is_good(&[unknown(), get(3, 4, 0), get(5, 6, 0)]));
        assert!(!is_good(&[unknown(), get(3, 4, 1), get(5, 6, 0)]));
        assert!(!is_good(&[get(1, 2, 1), add(3, 4, Outcome::Unknown)]));
    }

    #[test]
    fn an_effect_that_was_refused_for_good_must_not_show() {
        assert!(is_good(&[add(1, 2, Outcome::Never), get(3, 4, 0)]));
        assert!(!is_good(&[add(1, 2, Outcome::Never), get(3, 4, 1)]));
    }

    #[test]
    fn two_winners_of_one_revision_are_found() {
        let put = |began, ended, revision| {
            let input = Input::Put { value: 7, if_revision: 0 };
            operation(began, ended, input, Outcome::Told(Output::Written { revision }))
        };
        assert!(is_good(&[put(1, 4, 1)]));
        assert!(!is_good(&[put(1, 4, 1), put(2, 3, 1)]));
        let lost = operation(2, 3, Input::Put { value: 8, if_revision: 0 }, Outcome::Told(Output::Mismatch));
        assert!(is_good(&[put(1, 4, 1), lost.clone()]));
        assert!(!is_good(&[lost]));
    }

    /// Many that nobody knows the end of must not make the search endless.
    #[test]
    fn many_unknown_effects_can_be_judged() {
        let mut history: Vec<_> = (0..40).map(|at| add(at + 1, at + 2, Outcome::Unknown)).collect();
        history.push(get(100, 101, 20));
        assert!(is_good(&history));
        history.push(get(102, 103, 41));
        assert!(!is_good(&history));
    }
}
