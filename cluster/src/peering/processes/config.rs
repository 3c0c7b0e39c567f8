//! Settings of remote references.

use super::StartError;

/// What one frame that waits costs beside its bytes: it stands in several queues, in several allocations.
pub(super) const MESSAGE_BYTES: usize = 512;
/// Credit for less is not worth a frame, and one head of a frame must always fit.
const WINDOW_BYTES_MIN: usize = 4 << 10;
/// A window must fit in the send buffer of a session.
const WINDOW_BYTES_MAX: usize = 4 << 20;
/// The largest frame of any sort, sent or read: a larger one would hold up all others for too long. It is fixed, so that nodes
/// of different settings understand each other.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;
/// Less is not worth a process.
const FRAME_BYTES_MIN: usize = 4 << 10;

/// Bounds of remote references. Reaching one is an error that somebody receives. Each is for one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest message, with what stands before it. One that is larger is refused at once (`TooLarge`); a reply that is
    /// larger is not sent, so its call ends at the deadline. It bounds what this node sends; what it reads has at most 64 MiB,
    /// whatever its peers may send. 4 KiB to 64 MiB.
    pub frame_bytes_max: usize,
    /// How many bytes of casts and calls may wait to be sent; each message counts 512 more. Past this the sender receives
    /// `Full`. Keep it above `frame_bytes_max`.
    pub waiting_bytes_max: usize,
    /// How many calls may wait for an answer. Past this the caller receives `Full`. A call that timed out counts as long as
    /// the peer may still have an answer for it. No more wait than `answers_bytes_max` / `frame_bytes_max` in any case: that
    /// is 128 by default, so this says something only where messages are 32 KiB or smaller, or answers have more room.
    pub calls_max: usize,
    /// How many bytes of answers a peer may be made to keep, if each answer is as large as it may be: at most
    /// `answers_bytes_max` / `frame_bytes_max` calls wait at a time. Keep it the same on all nodes: a session that has to
    /// send more than twice as much (beside what may wait) is closed. Not below `frame_bytes_max`.
    pub answers_bytes_max: usize,
    /// How many bytes may be on the way to a session that does not read: 4 KiB to 4 MiB.
    pub window_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            waiting_bytes_max: 8 << 20,
            calls_max: 4096,
            answers_bytes_max: 128 << 20,
            window_bytes_max: 256 << 10,
        }
    }
}

impl Config {
    /// How many calls may wait, by number and by bytes.
    pub(super) fn calls(&self) -> usize {
        self.calls_max.min(self.answers_bytes_max / self.frame_bytes_max)
    }

    /// What a session that keeps the rules never has to write at once: its own messages, the answers that its peer asked for
    /// (those of one batch, and those that came meanwhile), and what it says to begin with.
    pub(super) fn backlog_bytes_max(&self) -> usize {
        self.waiting_bytes_max + 2 * self.answers_bytes_max + FRAME_BYTES_MAX
    }

    pub(super) fn check(&self) -> Result<(), StartError> {
        let rules = [
            (
                (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&self.frame_bytes_max),
                "frame_bytes_max must be 4 KiB to 64 MiB",
            ),
            (
                self.waiting_bytes_max >= self.frame_bytes_max + MESSAGE_BYTES,
                "waiting_bytes_max must be above frame_bytes_max",
            ),
            (self.calls_max > 0, "calls_max must not be zero"),
            (
                self.answers_bytes_max >= self.frame_bytes_max,
                "answers_bytes_max must not be below frame_bytes_max",
            ),
            (
                (WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).contains(&self.window_bytes_max),
                "window_bytes_max must be 4 KiB to 4 MiB",
            ),
        ];
        match rules.iter().find(|(is_kept, _)| !is_kept) {
            None => Ok(()),
            Some((_, rule)) => Err(StartError::Config(rule)),
        }
    }
}
