//! What one node says to another about processes: the frames of the lane of mail.
//!
//! A process of the sender of a frame is called `mine`, one of its receiver `yours`; both are numbers, since the connection says
//! which starts of which nodes are meant.

use serde::{Deserialize, Serialize};

use crate::process::{ExitReason, ProcessId};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Frame<'a> {
    /// A message. `calls` are the places for answers in it.
    Message {
        yours: u64,
        /// Which type it is of.
        name: u64,
        calls: Vec<u64>,
        body: &'a [u8],
    },
    /// There will be no answer, because the message was not taken.
    Refused { call: u64, why: Refusal },
    /// The answer to a call.
    Answer { call: u64, body: &'a [u8] },
    /// Nobody waits for the answer any more.
    Forget { call: u64 },
    /// There will be no answer: the place for it was dropped, by a process that lives on or ended for this reason.
    NoAnswer { call: u64, reason: Option<ExitReason> },
    /// Say so when it ends; at once if it has ended.
    Watch { yours: u64 },
    /// Nobody wants to know any more.
    Unwatch { yours: u64 },
    /// It has ended for this reason; `None`: there is no such process.
    Ended { mine: u64, reason: Option<ExitReason> },
    /// The two are linked from now on. The sender says when `mine` ends.
    Link { mine: u64, yours: u64 },
    /// They are linked no more.
    Unlink { mine: u64, yours: u64 },
    /// Something that a process of the receiver is to do.
    Order { yours: u64, order: Order },
    /// Whether it has not ended.
    IsAlive { call: u64, yours: u64 },
    /// Start a process.
    Spawn { call: u64, kind: &'a str, arguments: &'a [u8] },
    /// These processes are in the group from now on, each with the name of its messages.
    Joined { group: &'a str, mine: Vec<(u64, u64)> },
    /// They are not any more.
    Left { group: &'a str, mine: Vec<u64> },
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    NoProc,
    Full,
    TooLarge,
    /// The bytes are no message of its, or the answer cannot be encoded.
    NotPortable,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::NoProc, Self::Full, Self::TooLarge, Self::NotPortable];

    /// For metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoProc => "no_process",
            Self::Full => "full",
            Self::TooLarge => "too_large",
            Self::NotPortable => "not_portable",
        }
    }
}

/// What a process is to do, told by somebody on another node.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::process) enum Order {
    Stop(ExitReason),
    Kill,
    Drain,
    /// It is to be linked with this one, wherever that is.
    Link(ProcessId),
    Unlink(ProcessId),
}
