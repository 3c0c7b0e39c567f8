//! Snapshots that arrive in parts.
//!
//! Parts come from a leader that may have been deposed, or that gave up and began again; they may be late. So every
//! part says to which transfer it belongs, and a newer transfer is never disturbed by an older one.

use serde::{Deserialize, Serialize};

use super::types::Vote;

/// One attempt of one leader to send a snapshot. A leader never counts an attempt twice in one term, because it
/// does not lead again in that term after a restart. Newer attempts are greater.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) vote: Vote,
    pub(crate) attempt: u64,
}

/// Where a part belongs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its state goes under this generation.
    pub(crate) generation: u32,
    /// This one was given up for it.
    pub(crate) abandoned: Option<u32>,
}

/// The newest transfer to this replica.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    newest: Option<Arrival>,
    /// The highest generation ever given out.
    generation: u32,
}

#[derive(Debug)]
struct Arrival {
    transfer: Transfer,
    generation: u32,
    /// The number of the next part.
    next: u64,
    /// It may be installed at any time, so it is not ours to remove any more.
    ended: bool,
}

impl Arrivals {
    /// Takes part `number`; part 0 starts a new transfer. `current` is the generation of the state.
    pub(crate) fn part(&mut self, transfer: Transfer, number: u64, current: u32) -> Result<Place, String> {
        let abandoned = if number == 0 { self.begin(transfer, current)? } else { None };
        let arrival = self.arrival(transfer, number)?;
        arrival.next += 1;
        Ok(Place { generation: arrival.generation, abandoned })
    }

    /// All `count` parts were sent.
    pub(crate) fn end(&mut self, transfer: Transfer, count: u64, current: u32) -> Result<Place, String> {
        let abandoned = if count == 0 { self.begin(transfer, current)? } else { None };
        let arrival = self.arrival(transfer, count)?;
        arrival.ended = true;
        Ok(Place { generation: arrival.generation, abandoned })
    }

    /// Generations count up and are never used twice while the process runs; leftovers go at the next start.
    fn begin(&mut self, transfer: Transfer, current: u32) -> Result<Option<u32>, String> {
        if self.newest.as_ref().is_some_and(|newest| !is_newer(transfer, newest.transfer)) {
            return Err("the snapshot is older than one that arrives or arrived".to_owned());
        }
        let generation = self.generation.max(current).checked_add(1);
        self.generation = generation.ok_or("too many snapshots arrived; start the node again")?;
        let arrival = Arrival { transfer, generation: self.generation, next: 0, ended: false };
        let before = self.newest.replace(arrival);
        Ok(before.filter(|before| !before.ended).map(|before| before.generation))
    }

    fn arrival(&mut self, transfer: Transfer, number: u64) -> Result<&mut Arrival, String> {
        match &mut self.newest {
            Some(arrival) if arrival.transfer == transfer && arrival.next == number && !arrival.ended => {
                Ok(arrival)
            }
            _ => Err(format!("part {number} of a snapshot is out of order, or of another snapshot")),
        }
    }
}

/// Votes of two leaders in one term cannot be compared; neither is newer.
fn is_newer(transfer: Transfer, than: Transfer) -> bool {
    transfer > than
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(term: u64, attempt: u64) -> Transfer {
        Transfer { vote: Vote::new_committed(term, 1), attempt }
    }

    fn place(generation: u32, abandoned: Option<u32>) -> Result<Place, String> {
        Ok(Place { generation, abandoned })
    }

    #[test]
    fn parts_of_one_transfer_share_a_generation() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.part(transfer(1, 0), 0, 4), place(5, None));
        assert!(arrivals.part(transfer(1, 0), 0, 4).is_err());
        assert!(arrivals.part(transfer(1, 0), 2, 4).is_err());
        assert_eq!(arrivals.part(transfer(1, 0), 1, 4), place(5, None));
        assert!(arrivals.end(transfer(1, 0), 3, 4).is_err());
        assert_eq!(arrivals.end(transfer(1, 0), 2, 4), place(5, None));
        assert!(arrivals.end(transfer(1, 0), 2, 4).is_err());
    }

    #[test]
    fn parts_of_different_transfers_never_mix() {
        let mut arrivals = Arrivals::default();
        arrivals.part(transfer(2, 0), 0, 0).unwrap();
        assert!(arrivals.part(transfer(3, 0), 1, 0).is_err());
        assert!(arrivals.end(transfer(3, 0), 1, 0).is_err());
        assert!(arrivals.part(transfer(1, 9), 0, 0).is_err());
        assert!(arrivals.end(transfer(1, 9), 0, 0).is_err());
        assert_eq!(arrivals.end(transfer(2, 0), 1, 0), place(1, None));
    }

    #[test]
    fn a_newer_transfer_abandons_what_is_not_complete() {
        let mut arrivals = Arrivals::default();
        arrivals.part(transfer(2, 0), 0, 0).unwrap();
        assert_eq!(arrivals.part(transfer(2, 1), 0, 0), place(2, Some(1)));
        assert!(arrivals.part(transfer(2, 0), 1, 0).is_err());
        assert_eq!(arrivals.end(transfer(2, 1), 1, 0), place(2, None));
        // Complete, perhaps not yet installed: its generation stays.
        assert_eq!(arrivals.end(transfer(3, 0), 0, 0), place(3, None));
    }
}
