//! How a group behaves, and what openraft is told of it.

use std::time::Duration;

use openraft::SnapshotPolicy;

use crate::consensus::GroupId;

/// How a Raft group behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// How large one proposal may be, encoded. A larger one is refused and its term ends. Keep it 64 KiB below the largest
    /// request that the [`Transport`](crate::consensus::Transport) carries: an entry that cannot be sent, and all behind it,
    /// would never be committed.
    pub proposal_bytes_max: usize,
    /// How often a leader tells its followers that it is there.
    pub heartbeat: Duration,
    /// So long, and up to 40 ms more, a leader waits for the next entry before it tells followers that the last one is committed.
    /// Zero where followers act on what is committed; others only apply it later.
    pub commits_held: Duration,
    /// A follower that hears nothing for a time between these two starts an election. Keep the lower one well above
    /// [`heartbeat`](Self::heartbeat), or a busy machine deposes its leaders.
    pub election: (Duration, Duration),
    /// A leader that no majority answered for so long leads no longer. Keep it above the upper
    /// [`election`](Self::election) timeout and several heartbeats, or a busy network deposes leaders.
    pub resign_after: Duration,
    /// After this many applied entries the log is cut. More makes followers catch up without a snapshot.
    pub log_entries_max: u64,
    /// After this many applied bytes the log is cut, however few entries they are.
    pub log_bytes_max: u64,
    /// How many entries stay in the log when it is cut, for followers that are a little behind.
    pub log_entries_kept: u64,
    /// A learner may become a voter when it lacks at most this many entries. More lets it vote sooner; too many make
    /// the group wait for it.
    pub lag_max: u64,
    /// How many bytes of the newest entries stay in memory although they are on disk.
    pub tail_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proposal_bytes_max: (16 << 20) - (64 << 10),
            heartbeat: Duration::from_millis(200),
            commits_held: Duration::from_millis(20),
            election: (Duration::from_millis(500), Duration::from_millis(1_000)),
            resign_after: Duration::from_secs(2),
            log_entries_max: 10_000,
            log_bytes_max: 32 << 20,
            log_entries_kept: 500,
            lag_max: 500,
            tail_bytes_max: 256 << 10,
        }
    }
}

pub(super) fn raft_config(group: GroupId, config: &Config) -> openraft::Config {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: format!("group-{}", group.0),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: ms(config.election.0),
        election_timeout_max: ms(config.election.1),
        enable_pre_vote: Some(true),
        // Our own task cuts the log, by entries and by bytes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.log_entries_kept,
        purge_batch_size: 1,
        // A leader that starts again would count its proposals from 1 in a term that has them already.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: 10_000,
        replication_lag_threshold: config.log_entries_max,
        ..openraft::Config::default()
    }
}
