//! Entries that travel ahead of the answers.

use std::time::Duration;

use super::mesh::*;
use crate::{consensus::raft::group::*, store};

fn followers<'a>(nodes: &'a [Node], leader: &Node) -> Vec<&'a Node> {
    nodes.iter().filter(|node| node.group.own() != leader.group.own()).collect()
}

fn last_log(node: &Node) -> u64 {
    let metrics = node.group.inner.raft.data_metrics();
    let metrics = metrics.borrow_watched();
    metrics.last_log.map_or(0, |last| last.index())
}

/// One request after the other would take a sync each.
#[tokio::test(start_paused = true)]
async fn entries_are_sent_while_the_follower_still_syncs_the_ones_before() {
    const SYNC: Duration = Duration::from_millis(100);
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=1, 10).await;
    let followers = followers(&nodes, &node);
    let caught_up =
        || followers.iter().all(|other| node.group.progress().unwrap().lag(other.group.own()) == 0);
    until("nothing is on its way", caught_up).await;
    let before = node.group.progress().unwrap();
    followers.iter().for_each(|node| node.disk.faults().set_latency(SYNC));
    mesh.counts.lock().restart();
    let began = Instant::now();
    let mut proposals = Vec::new();
    for number in 2..=11 {
        proposals.push(propose(&node.group, term, number, 10).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() < SYNC);
    for follower in &followers {
        assert_eq!(last_log(follower), before.last_log + 10, "all of them arrived");
        assert_eq!(node.group.progress().unwrap().matched[&follower.group.own()], before.last_log);
    }
    assert!(mesh.counts.lock().in_flight_most >= 20, "ten requests to each: {:?}", mesh.counts.lock());
    for news in proposals {
        assert_eq!(heard(news).await, [Progress::Committed, Progress::Applied]);
    }
    assert!(began.elapsed() < 3 * SYNC, "{:?}", began.elapsed());
}

/// That entries are committed is told with the next ones; by itself only when none follow.
#[tokio::test(start_paused = true)]
async fn a_commit_takes_no_request_of_its_own_while_entries_follow() {
    const ENTRIES: u64 = 50;
    let mesh = Mesh::new(1, Duration::from_millis(1));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=1, 10).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    mesh.counts.lock().restart();
    for number in 2..=ENTRIES + 1 {
        apply(&node.group, term, number..=number, 10).await;
    }
    let sent = mesh.counts.lock().sent;
    assert!(sent < 2 * ENTRIES as usize + 20, "{sent} requests to two followers, heartbeats among them");

    let applied = *node.group.applied().borrow();
    let have_applied = || nodes.iter().all(|node| *node.group.applied().borrow() == applied);
    assert!(!have_applied(), "the last commit is not told yet");
    let began = Instant::now();
    until("followers have applied it", have_applied).await;
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}, before the next heartbeat", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn late_reordered_and_lost_messages_lose_and_reorder_no_entry() {
    for seed in 1..=5 {
        let mesh = Mesh::new(seed, Duration::from_millis(40));
        let nodes = mesh.found(3, &Config::default()).await;
        leader(&nodes).await;
        nodes.iter().for_each(|node| node.disk.faults().set_latency(Duration::from_millis(7)));
        *mesh.lose_one_in.lock() = 50;
        let mut committed = 0;
        for _ in 0..20 {
            let (node, term) = leader(&nodes).await;
            let mut proposals = Vec::new();
            for number in 1..=20 {
                proposals.push(propose(&node.group, term, number, 1_000).await);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for news in proposals {
                committed += usize::from(heard(news).await.last() == Some(&Progress::Applied));
            }
            node.group.transfer_anywhere().await;
        }
        *mesh.lose_one_in.lock() = 0;
        let (node, _) = leader(&nodes).await;
        let applied = |node: &Node| (*node.group.applied().borrow(), state(&node.group));
        until("all are equal", || nodes.iter().all(|other| applied(other) == applied(&node))).await;
        assert!(committed > 200, "{committed} of 400");
    }
}

impl RaftGroup {
    /// Moves leadership on, so that the next proposals count from 1 again; by an election if nobody can take it.
    async fn transfer_anywhere(&self) {
        let term = term_of(self);
        let voters = self.replicas().borrow().voters.clone();
        for to in voters {
            if self.transfer(to).await.is_ok() {
                break;
            }
        }
        tokio::time::timeout(Duration::from_secs(3), async {
            while term.is_some() && term_of(self) == term {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .ok();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_ahead_to_a_silent_follower_is_bounded() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config { log_bytes_max: 1 << 30, ..Config::default() }).await;
    let (node, term) = leader(&nodes).await;
    let silent = followers(&nodes, &node)[0].group.own();
    mesh.cut(silent.0, node.group.own().0, Cut::Silent);
    mesh.counts.lock().restart();
    apply(&node.group, term, 1..=400, 100_000).await;
    let counts = *mesh.counts.lock();
    assert!(counts.bytes_most < 10 << 20, "{counts:?}");
    assert!(counts.in_flight_most < 100, "{counts:?}");
    mesh.heal();
    until("it catches up", || node.group.progress().unwrap().lag(silent) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_came_in_order_are_taken_in_order_before_anybody_waits() {
    let mesh = Mesh::new(1, Duration::ZERO);
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=20, 10).await;
    let late = mesh.start(9, &Config::default()).await;
    let log = crate::consensus::raft::log::Log::open(node.store.clone(), GROUP, 0, None).unwrap();
    let mut log_reader = log.clone();
    let entries =
        openraft::storage::RaftLogReader::try_get_log_entries(&mut log_reader, 0..15).await.unwrap();
    let mut before = None;
    let mut answers = Vec::new();
    for entry in entries {
        let last = openraft::entry::RaftEntry::log_id(&entry);
        let request = openraft::raft::AppendEntriesRequest {
            vote: log.vote().unwrap(),
            prev_log_id: before,
            entries: vec![entry],
            leader_commit: None,
        };
        let question = crate::consensus::raft::network::Question::Append(request);
        let request = crate::consensus::raft::types::encode(&question);
        answers.push(late.group.receive(node.group.own(), request));
        before = Some(last);
    }
    // The last one first: an order of its own would make all but one conflict.
    for answer in answers.into_iter().rev() {
        type Answer =
            Result<openraft::raft::AppendEntriesResponse<crate::consensus::raft::types::Types>, String>;
        let answer: Answer = crate::codec::decode(&answer.await).unwrap();
        assert_eq!(answer.map(|answer| answer.is_success()), Ok(true));
    }
}

/// A vote is a promise; one that is forgotten in a crash could be given twice in a term.
#[tokio::test(start_paused = true)]
async fn a_vote_is_on_disk_before_it_is_told() {
    use crate::consensus::raft::{
        log::Log,
        network::Question,
        types::{Types, Vote, encode},
    };
    let mesh = Mesh::new(1, Duration::ZERO);
    let node = mesh.start(1, &Config::default()).await;
    node.disk.faults().set_latency(Duration::from_millis(100));
    let vote = Vote::new(7, 77);
    let question = Question::Vote(openraft::raft::VoteRequest::new(vote, None));
    let began = Instant::now();
    let answer = node.group.receive(RaftId(77), encode(&question)).await;
    let answer: Result<openraft::raft::VoteResponse<Types>, String> = crate::codec::decode(&answer).unwrap();
    assert!(answer.unwrap().vote_granted);
    let found = node.disk.crash(store::Crash::LoseUnsynced);
    assert!(began.elapsed() >= Duration::from_millis(100));
    let store = Store::start(found, &node.environment, store::Config::default()).unwrap();
    assert_eq!(Log::open(store, GROUP, 0, None).unwrap().vote(), Some(vote));
}

#[tokio::test(start_paused = true)]
async fn reads_that_wait_together_share_a_round() {
    let mesh = Mesh::new(1, Duration::from_millis(2));
    let nodes = mesh.found(3, &Config::default()).await;
    let (node, term) = leader(&nodes).await;
    apply(&node.group, term, 1..=5, 10).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    mesh.counts.lock().restart();
    let reads = (0..1_000).map(|_| node.group.read_barrier(term));
    let began = Instant::now();
    for read in futures_util::future::join_all(reads).await {
        assert_eq!(read, Ok(()));
    }
    let counts = *mesh.counts.lock();
    assert!(counts.sent <= 8, "{counts:?}");
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
}
