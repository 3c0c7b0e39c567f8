//! The order of each entity's lines. Pure.

use std::collections::{BTreeMap, VecDeque};

use playhouse_client::EntityName;

use super::line::Line;

/// How many lines may wait behind another of the same entity.
const WAITING_MAX: usize = 16 << 10;
/// How much they may take together, in bytes.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Lets one line of each entity go at a time.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// An entity is here while one of its lines is under way; the queue holds those that wait behind it.
    lanes: BTreeMap<EntityName, VecDeque<Line>>,
    waiting: usize,
    waiting_bytes: usize,
}

impl Lanes {
    /// Whether one more line can be taken, whatever its entity.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < WAITING_MAX && self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Takes a line; gives it back if it may go now.
    pub(super) fn admit(&mut self, line: Line) -> Option<Line> {
        match self.lanes.get_mut(&line.name) {
            Some(lane) => {
                self.waiting += 1;
                self.waiting_bytes += line.bytes();
                lane.push_back(line);
                None
            }
            None => {
                self.lanes.insert(line.name.clone(), VecDeque::new());
                Some(line)
            }
        }
    }

    /// The line under way for `name` is answered; the next one that may go, if one waits.
    pub(super) fn release(&mut self, name: &EntityName) -> Option<Line> {
        let next = self.lanes.get_mut(name)?.pop_front();
        match &next {
            Some(line) => {
                self.waiting -= 1;
                self.waiting_bytes -= line.bytes();
            }
            None => {
                self.lanes.remove(name);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::send::identity::Identities;

    fn line(number: u64, key: &str) -> Line {
        let name = EntityName::new("counter", key).unwrap();
        let command = serde_json::value::to_raw_value(&number).unwrap();
        let id = Identities::repeatable().next(&name, command.get(), false);
        Line { number, name, command, cast: false, id }
    }

    fn numbers(lines: Vec<Option<Line>>) -> Vec<Option<u64>> {
        lines.into_iter().map(|line| line.map(|line| line.number)).collect()
    }

    #[test]
    fn one_line_of_each_entity_goes_at_a_time_in_order() {
        let mut lanes = Lanes::default();
        let admitted: Vec<_> =
            [(1, "a"), (2, "b"), (3, "a"), (4, "a")].map(|(n, key)| lanes.admit(line(n, key))).into();
        assert_eq!(numbers(admitted), [Some(1), Some(2), None, None]);

        let a = EntityName::new("counter", "a").unwrap();
        let released: Vec<_> = (0..3).map(|_| lanes.release(&a)).collect();
        assert_eq!(numbers(released), [Some(3), Some(4), None]);
        assert_eq!(lanes.admit(line(5, "a")).map(|line| line.number), Some(5));
    }

    #[test]
    fn what_waits_is_bounded_and_counted_back() {
        let mut lanes = Lanes::default();
        lanes.admit(line(0, "a"));
        let mut number = 0;
        while lanes.has_room() {
            number += 1;
            lanes.admit(line(number, "a"));
        }
        assert_eq!(number, WAITING_MAX as u64);
        let a = EntityName::new("counter", "a").unwrap();
        while lanes.release(&a).is_some() {}
        assert_eq!((lanes.waiting, lanes.waiting_bytes, lanes.lanes.len()), (0, 0, 0));
    }
}
