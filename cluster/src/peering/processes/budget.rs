//! What waits to be sent to one peer, in bytes, and how it is counted off again.
//!
//! `ractor_cluster` moves a message through four queues without bound before it writes it. So each message is charged when
//! it enters the first and released when its frame leaves the last; in between it carries its charge in its metadata, which
//! stands at the end of the frame:
//!
//! ```text
//! mark u32 · process u64 · bytes u32        little-endian
//! ```

use std::collections::BTreeMap;

use parking_lot::Mutex;
use ractor::{ActorCell, ActorStatus};

const MARK: [u8; 4] = *b"PHch";
/// How long a [`Charge`] is on the wire.
pub(super) const CHARGE_BYTES: usize = 16;

/// What one message was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    /// To which process it goes.
    pub(super) process: u64,
    pub(super) bytes: u32,
}

impl Charge {
    pub(super) fn encode(self) -> Vec<u8> {
        [&MARK[..], &self.process.to_le_bytes(), &self.bytes.to_le_bytes()].concat()
    }

    /// The charge in the last bytes of a frame, if it carries one.
    pub(super) fn decode(tail: &[u8]) -> Option<Self> {
        let (mark, rest) = tail.last_chunk::<CHARGE_BYTES>()?.split_first_chunk()?;
        let (process, bytes) = rest.split_first_chunk()?;
        let bytes = u32::from_le_bytes(bytes.try_into().ok()?);
        (*mark == MARK).then_some(Self { process: u64::from_le_bytes(*process), bytes })
    }
}

/// What waits to be sent to one peer.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// All that was ever charged.
    charged: u64,
    processes: BTreeMap<u64, Account>,
}

#[derive(Debug)]
struct Account {
    mirror: ActorCell,
    bytes: usize,
}

impl Waiting {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Counts a message for `mirror`. False: there is no room.
    pub(super) fn charge(&self, mirror: &ActorCell, charge: Charge) -> bool {
        let bytes = charge.bytes as usize;
        let mut state = self.state.lock();
        if state.bytes + bytes > self.bytes_max {
            state.forget_stopped();
        }
        if state.bytes + bytes > self.bytes_max {
            return false;
        }
        state.bytes += bytes;
        state.charged += bytes as u64;
        let account = state.processes.entry(charge.process);
        account.or_insert_with(|| Account { mirror: mirror.clone(), bytes: 0 }).bytes += bytes;
        true
    }

    /// A message left, or was not taken.
    pub(super) fn release(&self, charge: Charge) {
        let mut state = self.state.lock();
        // Unknown: its mirror stopped, and all that waited for it was forgotten.
        let Some(account) = state.processes.get_mut(&charge.process) else { return };
        let bytes = account.bytes.min(charge.bytes as usize);
        account.bytes -= bytes;
        if account.bytes == 0 {
            state.processes.remove(&charge.process);
        }
        state.bytes -= bytes;
    }

    /// All that was ever charged: where in the stream of messages the last one stands.
    pub(super) fn charged(&self) -> u64 {
        self.state.lock().charged
    }

    /// Whether all up to there has left, or as much as that. What waited for a mirror that stopped never leaves.
    pub(super) fn has_left(&self, position: u64) -> bool {
        let mut state = self.state.lock();
        state.forget_stopped();
        state.charged - state.bytes as u64 >= position
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    /// What waited in the mailbox of a mirror that stopped was dropped with it.
    fn forget_stopped(&mut self) {
        self.processes.retain(|_, account| account.mirror.get_status() != ActorStatus::Stopped);
        self.bytes = self.processes.values().map(|account| account.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use ractor::{Actor, ActorProcessingErr, ActorRef};

    use super::*;

    struct Anybody;

    impl Actor for Anybody {
        type Msg = ();
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    async fn anybody() -> ActorCell {
        Actor::spawn(None, Anybody, ()).await.unwrap().0.get_cell()
    }

    #[test]
    fn a_charge_is_found_at_the_end_of_a_frame() {
        let charge = Charge { process: 7, bytes: 900 };
        let frame = [b"what stands before".as_slice(), &charge.encode()].concat();
        assert_eq!(Charge::decode(&frame), Some(charge));
        assert_eq!(Charge::decode(&frame[..frame.len() - 1]), None);
        assert_eq!(Charge::decode(b"short"), None);
    }

    #[tokio::test]
    async fn room_comes_back_when_a_message_leaves() {
        let (waiting, mirror) = (Waiting::new(1000), anybody().await);
        let charge = Charge { process: 1, bytes: 600 };
        assert!(waiting.charge(&mirror, charge));
        assert!(!waiting.charge(&mirror, charge));
        let position = waiting.charged();
        assert!(!waiting.has_left(position));
        waiting.release(charge);
        assert!(waiting.has_left(position));
        assert_eq!(waiting.bytes(), 0);
        assert!(waiting.charge(&mirror, charge));
        // A peer cannot be released more than it was charged.
        waiting.release(Charge { process: 1, bytes: u32::MAX });
        waiting.release(Charge { process: 2, bytes: 1 });
        assert_eq!(waiting.bytes(), 0);
    }

    #[tokio::test]
    async fn what_waited_for_a_mirror_that_stopped_counts_no_more() {
        let (waiting, one, other) = (Waiting::new(1000), anybody().await, anybody().await);
        assert!(waiting.charge(&one, Charge { process: 1, bytes: 600 }));
        assert!(waiting.charge(&other, Charge { process: 2, bytes: 400 }));
        one.stop_and_wait(None, None).await.unwrap();
        assert!(waiting.charge(&other, Charge { process: 2, bytes: 600 }));
        assert!(!waiting.charge(&other, Charge { process: 2, bytes: 1 }));
        // A frame of the one that stopped, which had left the mailbox before.
        waiting.release(Charge { process: 1, bytes: 600 });
        assert_eq!(waiting.bytes(), 1000);
    }

    /// Calls that had timed out waited for it for ever, and nothing else looked: a call takes its permit before it is charged.
    #[tokio::test]
    async fn what_waited_for_a_mirror_that_stopped_holds_up_no_call() {
        let (waiting, mirror) = (Waiting::new(1000), anybody().await);
        assert!(waiting.charge(&mirror, Charge { process: 1, bytes: 600 }));
        let position = waiting.charged();
        assert!(!waiting.has_left(position));
        mirror.stop_and_wait(None, None).await.unwrap();
        assert!(waiting.has_left(position));
        assert_eq!(waiting.bytes(), 0);
    }
}
