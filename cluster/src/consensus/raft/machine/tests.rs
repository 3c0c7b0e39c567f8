//! What the state machine promises.

use proptest::prelude::*;

use super::*;
use crate::{
    consensus::raft::{log::tests::log_id, types::Entry},
    environment::Environment,
    store::{Config, Memory},
};

fn op() -> impl Strategy<Value = Op> {
    let slice = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    prop_oneof![(slice(), slice()).prop_map(|(k, v)| Op::Put(k, v)), slice().prop_map(Op::Remove)]
}

proptest! {
    #[test]
    fn changes_survive_the_log(ops in proptest::collection::vec(op(), 0..20)) {
        let mut batch = Batch::new();
        ops.iter().cloned().for_each(|op| batch.push(op));
        prop_assert_eq!(decode_changes(encode_changes(&batch)).unwrap(), ops);
    }

    #[test]
    fn damaged_changes_are_an_error_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode_changes(bytes.into());
    }
}

async fn machine() -> Machine {
    let store = Store::start(Memory::new(), &Environment::simulated(1), Config::default()).unwrap();
    Machine::open(store, GroupId(1), growth()).await.unwrap()
}

fn growth() -> Arc<Growth> {
    Arc::new(Growth::new(100, 100))
}

fn proposal(index: u64, number: u64) -> Result<EntryResponder<Types>, io::Error> {
    let mut batch = Batch::new();
    batch.put(number.to_string(), "");
    let changes = Changes { number, bytes: encode_changes(&batch) };
    Ok((Entry::new(log_id(index), EntryPayload::Normal(changes)), None))
}

async fn apply(machine: &mut Machine, proposals: &[(u64, u64)]) -> io::Result<()> {
    let entries = proposals.iter().map(|(index, number)| proposal(*index, *number));
    machine.apply(futures_util::stream::iter(entries)).await
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_does_not_follow_is_refused() {
    let mut machine = machine().await;
    assert!(apply(&mut machine, &[(1, 1)]).await.is_err());
    apply(&mut machine, &[(0, 1), (1, 2)]).await.unwrap();
    assert_eq!(apply(&mut machine, &[(3, 3)]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(apply(&mut machine, &[(1, 3)]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_proposal_behind_a_gap_changes_nothing_but_the_position() {
    let mut machine = machine().await;
    apply(&mut machine, &[(0, 1), (1, 3), (2, 4)]).await.unwrap();
    let state = machine.state();
    assert!(state.get(b"1").unwrap().is_some());
    assert_eq!(state.get(b"3").unwrap().or(state.get(b"4").unwrap()), None);
    assert_eq!(machine.applied.last, Some(log_id(2)));
    machine.write_back.flush().await.unwrap();
    let again = Machine::open(machine.store.clone(), GroupId(1), growth()).await.unwrap();
    assert_eq!(again.applied, machine.applied);
}

#[tokio::test(start_paused = true)]
async fn installing_a_snapshot_leaves_the_one_that_is_arriving() {
    let mut machine = machine().await;
    apply(&mut machine, &[(0, 1)]).await.unwrap();
    let (store, keys) = (machine.store.clone(), machine.keys);
    let mut batch = Batch::new();
    (1..=3).for_each(|generation| batch.put(keys.state_key(generation, b"key"), "value"));
    store.apply(batch).await.unwrap();
    let meta = SnapshotMeta { last_log_id: Some(log_id(9)), last_membership: Membership::default() };
    let data = |generation| SnapshotData::Received { generation, sequence: Sequence::default() };
    machine.install_snapshot(&meta, data(2)).await.unwrap();
    let stored = |generation| store.get(&keys.state_key(generation, b"key")).unwrap().is_some();
    assert_eq!([stored(1), stored(2), stored(3)], [false, true, true]);
    assert_eq!(store.get(&keys.state_key(0, b"1")).unwrap(), None);
    assert!(machine.install_snapshot(&meta, data(1)).await.is_err());
    Machine::open(store.clone(), GroupId(1), growth()).await.unwrap();
    assert_eq!([stored(2), stored(3)], [true, false]);
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_snapshot_are_bounded_and_lose_nothing() {
    let mut machine = machine().await;
    let proposals: Vec<_> = (0..100).map(|index| (index, index + 1)).collect();
    apply(&mut machine, &proposals).await.unwrap();
    let data = machine.state().source().take().unwrap();
    let mut keys = Vec::new();
    loop {
        let part = data.read(keys.last(), 70, 100).unwrap();
        assert!(part.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= 100);
        if part.is_empty() {
            break;
        }
        keys.extend(part.into_iter().map(|(key, _)| key));
    }
    assert_eq!(keys.len(), 100);
    assert_eq!(data.read(None, 70, usize::MAX).unwrap().len(), 70);
    assert_eq!(data.read(None, 70, 0).unwrap().len(), 1);
}

/// What is sent has the position of its own view, whatever was applied since the log was cut.
#[tokio::test(start_paused = true)]
async fn a_snapshot_is_taken_when_it_is_sent() {
    let mut machine = machine().await;
    apply(&mut machine, &[(0, 1)]).await.unwrap();
    let snapshot = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(snapshot.meta.last_log_id, Some(log_id(0)));
    apply(&mut machine, &[(1, 2)]).await.unwrap();
    let SnapshotData::Promised(source) = snapshot.snapshot else { panic!("it did not arrive") };
    let taken = source.take().unwrap();
    apply(&mut machine, &[(2, 3)]).await.unwrap();
    assert_eq!(taken.applied.meta().last_log_id, Some(log_id(1)));
    assert_eq!(taken.read(None, 9, usize::MAX).unwrap().len(), 2);
}
