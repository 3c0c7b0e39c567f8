//! The planned move: leadership goes to a replica that has everything, and nothing is lost or felt.
//!
//! ```text
//! target is close? ─▶ take nothing new ─▶ what is on its way commits ─▶ target has all of it on disk ─▶ transfer
//!        │ no                 │ too slow                 │ too slow                                        │ failed
//!        ▼                    └──────────▶ go on as before ◀──────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use playhouse_cluster::consensus::{Group, Leadership, RaftGroup, RaftId, TransferError};

use crate::node::supervise::CurrentHandover;

/// How long the work of the executor may take to be committed.
const QUIET_WITHIN: Duration = Duration::from_secs(1);
/// How long the target may take for what it lacks.
const CAUGHT_UP_WITHIN: Duration = Duration::from_millis(500);
/// How long the election may take. Proposals are refused meanwhile.
const ELECTED_WITHIN: Duration = Duration::from_secs(2);
/// How often the target's log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How many entries the target may lack before the move begins.
const LAG_MAX: u64 = 1_000;

/// Why leadership did not move. It is where it was, and works.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::node) enum MoveError {
    /// Another replica should be chosen.
    #[error("the target lacks {lag} entries")]
    Behind { lag: u64 },
    /// Requests under way did not commit in time.
    #[error("what was under way did not commit in time")]
    Busy,
    /// Consensus refused.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Leadership was handed on, but nobody was elected in time.
    #[error("nobody was elected in time")]
    NotElected,
}

/// Moves leadership of a group to `to`. Without an executor (the system group) there is nothing to pause.
pub(in crate::node) async fn move_leadership(
    group: &RaftGroup,
    handover: Option<&CurrentHandover>,
    to: RaftId,
) -> Result<(), MoveError> {
    // All that can be known is asked before anybody is made to wait.
    match group.check_transfer(to) {
        Ok(()) | Err(TransferError::Behind { lag: ..=LAG_MAX, .. }) => {}
        Err(TransferError::Behind { lag, .. }) => return Err(MoveError::Behind { lag }),
        Err(error) => return Err(error.into()),
    }
    let Some(handover) = handover.map(CurrentHandover::get) else { return transfer(group, to).await };
    let moved = match tokio::time::timeout(QUIET_WITHIN, handover.pause()).await {
        Ok(()) => transfer(group, to).await,
        Err(_) => Err(MoveError::Busy),
    };
    // If the executor ended, nobody listens.
    handover.resume();
    moved
}

async fn transfer(group: &RaftGroup, to: RaftId) -> Result<(), MoveError> {
    let caught_up = tokio::time::timeout(CAUGHT_UP_WITHIN, async {
        while lag(group, to)? > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<(), MoveError>(())
    });
    match caught_up.await {
        Ok(caught_up) => caught_up?,
        Err(_) => return Err(MoveError::Behind { lag: lag(group, to)? }),
    }
    group.transfer(to).await?;
    let mut leadership = group.leadership();
    let elected = leadership.wait_for(|leadership| *leadership == Leadership::Follower { leader: Some(to) });
    let elected = tokio::time::timeout(ELECTED_WITHIN, elected).await;
    elected.map_err(|_| MoveError::NotElected).map(drop)
}

fn lag(group: &RaftGroup, to: RaftId) -> Result<u64, MoveError> {
    Ok(group.progress().ok_or(TransferError::NotLeader)?.lag(to))
}
