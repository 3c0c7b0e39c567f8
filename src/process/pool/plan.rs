//! Which job goes to which worker, and which must wait. Pure.
//!
//! Comes in: jobs with their keys, workers that arrive, are free or are lost, sizes. Leaves: [`Action`]s.

use std::collections::{BTreeMap, VecDeque};

/// Which worker does which job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// Jobs wait in one line; a worker that is free takes the next one.
    #[default]
    Queuer,
    /// As [`Queuer`](Self::Queuer), but jobs of one key are done one after the other, in their order, by whichever worker: while
    /// one is at a key, nobody else takes a job of it.
    StickyQueuer,
    /// Each job is put in the line of the next worker, in turn.
    RoundRobin,
    /// Each job is put in the line of the worker of its key: jobs of one key are done by one worker, in their order. When the
    /// pool gets another size, keys move to other workers as soon as nothing of them waits.
    KeyPersistent,
}

/// What happens to one job too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused.
    #[default]
    Refuse,
    /// The job that has waited longest is refused in its place.
    DropOldest,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action<J> {
    /// A worker begins a job.
    Give(usize, J),
    /// There is no room for a job.
    Refuse(J),
    /// The pool takes no more jobs.
    TurnAway(J),
    /// A worker is not needed any more.
    Dismiss(usize),
}

struct Waiting<J> {
    /// Counts jobs: the smallest has waited longest.
    number: u64,
    key: u64,
    job: J,
}

/// The place of a worker.
struct Seat<J> {
    is_there: bool,
    /// The key of the job that it is at.
    working: Option<u64>,
    line: VecDeque<Waiting<J>>,
}

pub struct Plan<J> {
    routing: Routing,
    overflow: Overflow,
    jobs_max: usize,
    /// Seats of a smaller number take new jobs; the others end what they have.
    size: usize,
    seats: BTreeMap<usize, Seat<J>>,
    /// The line of those that go to whoever is free.
    line: VecDeque<Waiting<J>>,
    /// Who is at a key, or has jobs of it in line, and how many.
    keys: BTreeMap<u64, (usize, usize)>,
    /// In all lines.
    waiting: usize,
    submitted: u64,
    turn: usize,
    drains: bool,
}

impl<J> Seat<J> {
    fn new() -> Self {
        Self { is_there: false, working: None, line: VecDeque::new() }
    }

    fn is_free(&self) -> bool {
        self.is_there && self.working.is_none()
    }
}

impl<J> Plan<J> {
    pub(super) fn new(routing: Routing, overflow: Overflow, jobs_max: usize, size: usize) -> Self {
        let seats = (0..size).map(|number| (number, Seat::new())).collect();
        let (line, keys) = (VecDeque::new(), BTreeMap::new());
        let (waiting, submitted, turn, drains) = (0, 0, 0, false);
        Self { routing, overflow, jobs_max, size, seats, line, keys, waiting, submitted, turn, drains }
    }

    /// Somebody hands in a job.
    pub(super) fn submit(&mut self, key: u64, job: J) -> Vec<Action<J>> {
        if self.drains {
            return vec![Action::TurnAway(job)];
        }
        self.submitted += 1;
        let waiting = Waiting { number: self.submitted, key, job };
        let mut actions = self.place(waiting);
        if self.waiting > self.jobs_max {
            let number = match self.overflow {
                Overflow::Refuse => self.submitted,
                Overflow::DropOldest => self.oldest(),
            };
            actions.extend(self.take_out(number).map(Action::Refuse));
        }
        actions
    }

    /// A worker is there and has nothing to do.
    pub(super) fn arrived(&mut self, number: usize) -> Vec<Action<J>> {
        match self.seats.get_mut(&number) {
            Some(seat) => {
                seat.is_there = true;
                self.next_for(number)
            }
            None => vec![Action::Dismiss(number)],
        }
    }

    /// A worker is done with its job.
    pub(super) fn free(&mut self, number: usize) -> Vec<Action<J>> {
        self.release(number);
        let mut actions = self.next_for(number);
        if self.routing == Routing::StickyQueuer {
            // One that is to leave takes no job of its key; others may have waited for that.
            actions.extend(self.offer());
        }
        actions
    }

    /// A worker ended. Those that wait for it wait for the next one in its place, unless there will be none.
    pub(super) fn lost(&mut self, number: usize) -> Vec<Action<J>> {
        self.release(number);
        if let Some(seat) = self.seats.get_mut(&number) {
            seat.is_there = false;
        }
        let mut actions = self.offer();
        if number >= self.size {
            actions.extend(self.clear(number));
        }
        actions
    }

    /// From now on there are so many places. Which of them are new, and have no worker yet.
    pub(super) fn resize(&mut self, size: usize) -> (Vec<usize>, Vec<Action<J>>) {
        // Some may still be there that were to leave.
        let new: Vec<_> = (self.size..size).filter(|number| !self.seats.contains_key(number)).collect();
        self.seats.extend(new.iter().map(|number| (*number, Seat::new())));
        self.size = size;
        let leaving: Vec<_> = self.seats.range(size..).map(|(number, _)| *number).collect();
        let mut actions = Vec::new();
        for number in leaving {
            let seat = &self.seats[&number];
            if seat.is_free() {
                self.seats.remove(&number);
                actions.push(Action::Dismiss(number));
            } else if !seat.is_there {
                actions.extend(self.clear(number));
            }
        }
        actions.extend(self.offer());
        (new, actions)
    }

    /// No more jobs.
    pub(super) fn drain(&mut self) {
        self.drains = true;
    }

    /// Whether it drains and nothing is left to be done.
    pub(super) fn is_drained(&self) -> bool {
        self.drains && self.waiting == 0 && self.working() == 0
    }

    pub(super) fn is_working(&self, number: usize) -> bool {
        self.seats.get(&number).is_some_and(|seat| seat.working.is_some())
    }

    pub(super) fn working(&self) -> usize {
        self.seats.values().filter(|seat| seat.working.is_some()).count()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts a job where it belongs, and gives it out if it need not wait.
    fn place(&mut self, waiting: Waiting<J>) -> Vec<Action<J>> {
        self.waiting += 1;
        match self.seat_for(waiting.key) {
            Some(number) => {
                self.keys.entry(waiting.key).or_insert((number, 0)).1 += 1;
                self.seats
                    .get_mut(&number)
                    .expect("jobs go to places that there are")
                    .line
                    .push_back(waiting);
                self.next_for(number)
            }
            None => {
                self.line.push_back(waiting);
                self.offer()
            }
        }
    }

    /// `None`: whoever is free.
    fn seat_for(&mut self, key: u64) -> Option<usize> {
        match self.routing {
            Routing::Queuer | Routing::StickyQueuer => None,
            Routing::RoundRobin => {
                let number = self.turn % self.size;
                self.turn = (number + 1) % self.size;
                Some(number)
            }
            Routing::KeyPersistent => Some(match self.keys.get(&key) {
                Some((number, _)) => *number,
                None => usize::try_from(key % self.size as u64).expect("less than the size"),
            }),
        }
    }

    /// Whoever is free takes from the common line.
    fn offer(&mut self) -> Vec<Action<J>> {
        if self.line.is_empty() {
            return Vec::new();
        }
        let free: Vec<_> = self
            .seats
            .range(..self.size)
            .filter(|(_, seat)| seat.is_free())
            .map(|(number, _)| *number)
            .collect();
        free.into_iter().flat_map(|number| self.next_for(number)).collect()
    }

    fn next_for(&mut self, number: usize) -> Vec<Action<J>> {
        let Some(seat) = self.seats.get_mut(&number).filter(|seat| seat.is_free()) else { return Vec::new() };
        let next = match seat.line.pop_front() {
            None if number < self.size => self.next_in_line(number),
            next => next,
        };
        match next {
            Some(Waiting { key, job, .. }) => {
                self.waiting -= 1;
                let seat = self.seats.get_mut(&number).expect("it was there just now");
                seat.working = Some(key);
                vec![Action::Give(number, job)]
            }
            None if number >= self.size => {
                self.seats.remove(&number);
                vec![Action::Dismiss(number)]
            }
            None => Vec::new(),
        }
    }

    /// The first in the common line whose key nobody is at.
    fn next_in_line(&mut self, number: usize) -> Option<Waiting<J>> {
        if self.routing != Routing::StickyQueuer {
            return self.line.pop_front();
        }
        let at = self.line.iter().position(|waiting| !self.keys.contains_key(&waiting.key))?;
        let waiting = self.line.remove(at)?;
        self.keys.insert(waiting.key, (number, 1));
        Some(waiting)
    }

    /// What a worker was at is over.
    fn release(&mut self, number: usize) {
        let key = self.seats.get_mut(&number).and_then(|seat| seat.working.take());
        if let Some(key) = key {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u64) {
        if let Some((_, count)) = self.keys.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&key);
            }
        }
    }

    /// A place without a worker goes, and those that wait for it go elsewhere.
    fn clear(&mut self, number: usize) -> Vec<Action<J>> {
        let Some(seat) = self.seats.remove(&number) else { return Vec::new() };
        self.waiting -= seat.line.len();
        seat.line.iter().for_each(|waiting| self.forget(waiting.key));
        seat.line.into_iter().flat_map(|waiting| self.place(waiting)).collect()
    }

    fn oldest(&self) -> u64 {
        let lines = self.seats.values().map(|seat| &seat.line).chain([&self.line]);
        lines.filter_map(|line| line.front()).map(|waiting| waiting.number).min().unwrap_or(self.submitted)
    }

    /// Takes a job out that is the first or the last of its line. That is the one which has waited longest, and the newest: nobody looks
    /// through all that wait.
    fn take_out(&mut self, number: u64) -> Option<J> {
        let (waiting, has_seat) = match take_end(&mut self.line, number) {
            Some(waiting) => (waiting, false),
            None => (self.seats.values_mut().find_map(|seat| take_end(&mut seat.line, number))?, true),
        };
        self.waiting -= 1;
        if has_seat {
            self.forget(waiting.key);
        }
        Some(waiting.job)
    }
}

fn take_end<J>(line: &mut VecDeque<Waiting<J>>, number: u64) -> Option<Waiting<J>> {
    let is_it = |waiting: Option<&Waiting<J>>| waiting.is_some_and(|waiting| waiting.number == number);
    if is_it(line.back()) {
        line.pop_back()
    } else if is_it(line.front()) {
        line.pop_front()
    } else {
        None
    }
}

#[cfg(test)]
mod properties;
