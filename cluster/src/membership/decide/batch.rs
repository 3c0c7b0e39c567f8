//! Several commands at once: the configuration is copied once, and written once.
//!
//! While shards move, the leaders of hundreds of groups report their voters at the same time. Such a report touches one
//! group, so it is not worth a copy and a comparison of all of them.

use std::collections::BTreeSet;

use super::super::{ClusterState, Command, Refusal, Which};
use crate::consensus::RaftId;

/// What came of several commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The configuration after all of them. `None`: none of them changes anything.
    pub next: Option<ClusterState>,
    /// For each command the revision after it, or why it must not be obeyed.
    pub answers: Vec<Result<u64, Refusal>>,
}

impl ClusterState {
    /// Decides each of `commands` upon what those before it left, as [`decide`](Self::decide) does: one that is refused
    /// leaves nothing, and is no obstacle to any other.
    ///
    /// ```
    /// use playhouse_cluster::{consensus::RaftId, identity::{ClusterId, Incarnation}};
    /// use playhouse_cluster::membership::{
    ///     ClusterState, Command, Founding, Node, Volume, Which, bootstrap::Rules,
    /// };
    ///
    /// let founder = Node {
    ///     name: "playhouse-0".into(), raft_id: RaftId(7), incarnation: Incarnation(1), previous: Incarnation(0),
    ///     volume: Volume::New, shards: 128, zone: "a".into(), track: String::new(), release: "1".into(), protocol: (1, 1),
    /// };
    /// let rules = Rules::new("playhouse-0".into(), ["playhouse-0".into()].into()).unwrap();
    /// let founding = Founding { rules, cluster_id: ClusterId(1), shards: 128, replication_factor: 3 };
    /// let state = ClusterState::found(founding, &founder, 0).unwrap();
    ///
    /// let moved = |voter| Command::Moved { which: Which::Shard(3), voters: [RaftId(voter)].into(), at: 5 };
    /// let decided = state.decide_all([&moved(7), &moved(8)], 1);
    /// assert_eq!(decided.answers[0], Ok(2));
    /// assert!(decided.answers[1].is_err(), "nobody knows that volume");
    /// assert_eq!(decided.next.unwrap().revision(), 2);
    /// ```
    #[must_use]
    pub fn decide_all<'a>(&self, commands: impl IntoIterator<Item = &'a Command>, now_ms: u64) -> Decided {
        let mut next = self.clone();
        let answers = commands.into_iter().map(|command| next.take(command, now_ms)).collect();
        let is_new = next.revision != self.revision;
        Decided { next: is_new.then_some(next), answers }
    }

    fn take(&mut self, command: &Command, now_ms: u64) -> Result<u64, Refusal> {
        if let Command::Moved { which, voters, at } = command {
            self.take_report(*which, voters, *at, now_ms)?;
        } else if let Some(next) = self.decide(command, now_ms)? {
            *self = next;
        }
        Ok(self.revision)
    }

    /// As [`decide`](Self::decide) decides it. A report that is refused has touched nothing.
    fn take_report(
        &mut self,
        which: Which,
        voters: &BTreeSet<RaftId>,
        at: u64,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        // Besides its voters only the preferred leader may change, and only if a voter goes.
        let before = self.replicas(which).cloned();
        self.moved(which, voters, at)?;
        let is_news = self.replicas(which) != before.as_ref();
        let clock_ms = self.clock_ms;
        self.clock_ms = clock_ms.max(now_ms);
        if self.let_go() || is_news {
            self.revision += 1;
        } else {
            self.clock_ms = clock_ms;
        }
        Ok(())
    }
}
