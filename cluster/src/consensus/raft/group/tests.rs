//! Replicas that talk to each other in one process.

use std::collections::BTreeMap;

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
                Some(group) => Ok(group.receive(request).await),
                None => Err(TransportError { to, reason: "it is not there".to_owned() }),
            }
        }
        .boxed()
    }
}

async fn start(hub: &Arc<Hub>, own: u64) -> RaftGroup {
    let environment = Environment::simulated(own);
    let store = Store::start(Memory::new(), &environment, store::Config::default()).unwrap();
    let config = Config { log_entries_kept: 0, ..Config::default() };
    let transport: Arc<dyn Transport> = hub.clone();
    let group =
        RaftGroup::open(GroupId(1), RaftId(own), store, transport, &config, &environment).await.unwrap();
    hub.0.lock().insert(RaftId(own), group.clone());
    group
}

async fn leader(groups: &[RaftGroup]) -> (RaftGroup, Term) {
    loop {
        for group in groups {
            if let Leadership::Leader { term } = *group.leadership().borrow() {
                return (group.clone(), term);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
    while group.log_bounds().1 < 30 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = start(&hub, 3).await;
    assert_eq!(propose(&group, term, 31).await, [Progress::Committed, Progress::Applied]);
    let (from, to) = (0_u64.to_be_bytes(), u64::MAX.to_be_bytes());
    while late.scan(&from, &to, 100).unwrap().len() < 31 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
