//! Replicas that talk to each other in one process.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;
use crate::{
    consensus::{Lane, TransportError},
    store::{self, Memory},
};

#[derive(Default)]
struct Hub(Mutex<BTreeMap<RaftId, RaftGroup>>);

impl Transport for Hub {
    fn send(
        &self,
        to: RaftId,
        _: GroupId,
        _: Lane,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let group = self.0.lock().get(&to).cloned();
        async move {
            match group {
                Some(group) => Ok(group.receive(to, request).await),
                None => Err(TransportError { to, reason: "it is not there".to_owned() }),
            }
        }
        .boxed()
    }
}

async fn start(hub: &Arc<Hub>, own: u64) -> RaftGroup {
    let environment = Environment::simulated(own);
    let store = Store::start(Memory::new(), &environment, store::Config::default()).unwrap();
    start_with(hub, own, store, &environment).await
}

async fn start_with(hub: &Arc<Hub>, own: u64, store: Store, environment: &Environment) -> RaftGroup {
    let config = Config { log_entries_kept: 0, ..Config::default() };
    let transport: Arc<dyn Transport> = hub.clone();
    let group =
        RaftGroup::open(GroupId(1), RaftId(own), store, transport, &config, environment).await.unwrap();
    hub.0.lock().insert(RaftId(own), group.clone());
    group
}

async fn leader(groups: &[RaftGroup]) -> (RaftGroup, Term) {
    let found = || groups.iter().find_map(|group| Some((group.clone(), term_of(group)?)));
    until(|| found().is_some()).await;
    found().expect("it was found")
}

fn term_of(group: &RaftGroup) -> Option<Term> {
    match *group.leadership().borrow() {
        Leadership::Leader { term } => Some(term),
        _ => None,
    }
}

/// Waits; without a limit, paused time would run on for ever.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within two minutes");
}

struct Teller(UnboundedSender<Progress>);

impl Observer for Teller {
    fn progress(&mut self, progress: Progress) {
        drop(self.0.send(progress));
    }
}

async fn propose(group: &RaftGroup, term: Term, number: u64) -> Vec<Progress> {
    let (sender, mut receiver) = unbounded_channel();
    let mut batch = Batch::new();
    batch.put(number.to_be_bytes().to_vec(), vec![0; 100_000]);
    group.propose(term, number, batch, Box::new(Teller(sender))).await;
    let mut heard = Vec::new();
    while let Some(progress) = receiver.recv().await {
        heard.push(progress);
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_late_receives_a_snapshot_and_goes_on_with_the_log() {
    let hub = Arc::new(Hub::default());
    let groups = [start(&hub, 1).await, start(&hub, 2).await];
    groups[0].found(&[RaftId(1), RaftId(2), RaftId(3)].into()).await.unwrap();
    let (group, term) = leader(&groups).await;
    for number in 1..=30 {
        assert_eq!(propose(&group, term, number).await, [Progress::Committed, Progress::Applied]);
    }
    group.snapshot().await.unwrap();
    until(|| group.log_bounds().1 >= 30).await;
    let late = start(&hub, 3).await;
    assert_eq!(propose(&group, term, 31).await, [Progress::Committed, Progress::Applied]);
    let (from, to) = (0_u64.to_be_bytes(), u64::MAX.to_be_bytes());
    until(|| late.scan(&from, &to, 100).unwrap().len() >= 31).await;
    assert!(late.inner.state.generation() > 0, "it came as a snapshot");
}

#[tokio::test(start_paused = true)]
async fn a_proposal_behind_a_gap_is_never_said_to_be_committed() {
    let hub = Arc::new(Hub::default());
    let groups = [start(&hub, 1).await];
    groups[0].found(&[RaftId(1)].into()).await.unwrap();
    let (group, term) = leader(&groups).await;
    let failed = [Progress::Failed(ProposeError::NotCommitted)];
    assert_eq!(propose(&group, term, 1).await, [Progress::Committed, Progress::Applied]);
    assert_eq!(propose(&group, Term(term.0 + 1), 2).await, failed);
    assert_eq!(propose(&group, term, 3).await, failed);
    assert_eq!(group.get(&3_u64.to_be_bytes()).unwrap(), None);
}

/// openraft lets a restarted leader go on in its old term unless told otherwise. Its proposals would count from 1 again
/// and all be skipped.
#[tokio::test(start_paused = true)]
async fn a_restarted_leader_leads_in_a_new_term() {
    let (hub, environment) = (Arc::new(Hub::default()), Environment::simulated(1));
    let store = Store::start(Memory::new(), &environment, store::Config::default()).unwrap();
    let group = start_with(&hub, 1, store.clone(), &environment).await;
    group.found(&[RaftId(1)].into()).await.unwrap();
    let (_, before) = leader(std::slice::from_ref(&group)).await;
    assert_eq!(propose(&group, before, 1).await, [Progress::Committed, Progress::Applied]);
    group.shutdown().await;
    let again = start_with(&hub, 1, store, &environment).await;
    let (_, after) = leader(std::slice::from_ref(&again)).await;
    assert!(after > before, "{after:?} after {before:?}");
    assert_eq!(propose(&again, after, 1).await, [Progress::Committed, Progress::Applied]);
}
