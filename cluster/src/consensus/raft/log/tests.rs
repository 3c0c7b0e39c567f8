//! What a read of the log promises while the tail moves.

use openraft::{EntryPayload, vote::RaftLeaderId};

use super::*;
use crate::{
    consensus::raft::types::Changes,
    environment::Environment,
    store::{Config, Memory},
};

pub(in crate::consensus::raft) fn log_id(index: u64) -> LogId {
    LogId::new(openraft::impls::leader_id_std::LeaderId::<u64, u64>::new(1, 1).to_committed(), index)
}

fn entry(index: u64, bytes: usize) -> Entry {
    Entry::new(log_id(index), EntryPayload::Normal(Changes { number: index, bytes: vec![7; bytes].into() }))
}

fn log(tail_bytes_max: usize) -> Log {
    let store = Store::start(Memory::new(), &Environment::simulated(1), Config::default()).unwrap();
    Log::open(store, GroupId(1), tail_bytes_max, None).unwrap()
}

async fn append(log: &mut Log, indexes: Range<u64>, bytes: usize) {
    log.append(indexes.map(|index| entry(index, bytes)), IOFlushed::noop()).await.unwrap();
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.log_id().index()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_is_whole_whatever_left_the_memory() {
    for tail_bytes_max in [0, 1_000, 1 << 20] {
        let mut log = log(tail_bytes_max);
        append(&mut log, 0..300, 10).await;
        let read = log.try_get_log_entries(3..=250).await.unwrap();
        assert_eq!(indexes(&read), (3..251).collect::<Vec<_>>());
        assert_eq!(log.try_get_log_entries(290..1_000).await.unwrap().len(), 10);
        assert!(log.try_get_log_entries(300..400).await.unwrap().is_empty());
    }
}

/// The defect that was: the tail shrank between the look at it and the read, and a prefix was returned as success.
#[tokio::test]
async fn a_read_is_whole_while_the_tail_shrinks() {
    let mut log = log(usize::MAX);
    append(&mut log, 0..2_000, 10).await;
    let shared = Arc::clone(&log.shared);
    let shrink = move || {
        for index in 0..2_000 {
            shared.lock().tail.purge(index);
            std::thread::yield_now();
        }
    };
    Environment::simulated(1).thread("shrink", shrink).unwrap();
    while Arc::strong_count(&log.shared) > 1 {
        let read = log.try_get_log_entries(0..2_000).await.unwrap();
        assert_eq!(read.len(), 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_an_error_and_never_a_short_answer() {
    let mut log = log(0);
    append(&mut log, 0..10, 10).await;
    let mut batch = Batch::new();
    batch.remove(log.keys.entry(4));
    log.store.apply(batch).await.unwrap();
    let error = log.try_get_log_entries(0..10).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut batch = Batch::new();
    (4..10).for_each(|index| batch.remove(log.keys.entry(index)));
    log.store.apply(batch).await.unwrap();
    assert!(log.try_get_log_entries(0..10).await.is_err());
    assert_eq!(log.try_get_log_entries(0..4).await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_limited_read_is_bounded_by_bytes_and_never_empty() {
    let mut log = log(0);
    append(&mut log, 0..5, BYTES_PER_READ_MAX / 2 - 100).await;
    assert_eq!(indexes(&log.limited_get_log_entries(1, 5).await.unwrap()), [1, 2]);
    append(&mut log, 5..7, BYTES_PER_READ_MAX + 1).await;
    assert_eq!(indexes(&log.limited_get_log_entries(5, 7).await.unwrap()), [5]);
    assert_eq!(log.try_get_log_entries(0..7).await.unwrap().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn purged_entries_are_missing_only_at_the_beginning() {
    let mut log = log(0);
    append(&mut log, 0..10, 10).await;
    log.purge(log_id(3)).await.unwrap();
    assert_eq!(indexes(&log.try_get_log_entries(0..6).await.unwrap()), [4, 5]);
    assert!(log.limited_get_log_entries(2, 6).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_large_append_becomes_several_batches() {
    let mut log = log(0);
    log.batch_bytes_max = 1_000;
    append(&mut log, 0..50, 300).await;
    assert_eq!(log.try_get_log_entries(0..50).await.unwrap().len(), 50);
    assert!(log.store.statistics().commits.load(std::sync::atomic::Ordering::Relaxed) > 10);
}

/// The defect that was: a removal for every index since 0.
#[tokio::test(start_paused = true)]
async fn a_purge_far_ahead_of_the_log_removes_only_what_is_stored() {
    let mut log = log(0);
    append(&mut log, 0..10, 10).await;
    let before = log.store.statistics().bytes_written.load(std::sync::atomic::Ordering::Relaxed);
    log.purge(log_id(1 << 40)).await.unwrap();
    let after = log.store.statistics().bytes_written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(after - before < 1_000);
    assert_eq!(log.first_stored().unwrap(), None);
    append(&mut log, (1 << 40) + 1..(1 << 40) + 5, 10).await;
    log.purge(log_id((1 << 40) + 2)).await.unwrap();
    assert_eq!(log.first_stored().unwrap(), Some((1 << 40) + 3));
    assert_eq!(log.try_get_log_entries(0..u64::MAX).await.unwrap().len(), 2);
}

/// Each cut looked again, on the thread of consensus, through everything that was ever removed.
#[tokio::test(start_paused = true)]
async fn only_the_first_cut_of_an_open_log_looks_for_garbage() {
    let mut log = log(0);
    append(&mut log, 0..40, 10).await;
    log.purge(log_id(9)).await.unwrap();
    assert_eq!(log.first_stored().unwrap(), Some(10));
    let mut garbage = Batch::new();
    garbage.put(log.keys.entry(2), encode(&(None::<LogId>, entry(2, 10))));
    log.store.apply(garbage).await.unwrap();
    log.purge(log_id(19)).await.unwrap();
    assert_eq!(log.first_stored().unwrap(), Some(2), "it was not looked for");
    assert_eq!(indexes(&log.try_get_log_entries(0..22).await.unwrap()), [20, 21]);
    let mut log = Log::open(log.store.clone(), GroupId(1), 0, None).unwrap();
    log.purge(log_id(29)).await.unwrap();
    assert_eq!(log.first_stored().unwrap(), Some(30));
    assert_eq!(log.try_get_log_entries(0..u64::MAX).await.unwrap().len(), 10);
}

/// Garbage of a cut that was interrupted lies below the gap that a snapshot made; a removal for every index between would take
/// for ever.
#[tokio::test(start_paused = true)]
async fn a_purge_over_a_gap_removes_only_what_is_stored() {
    let mut log = log(0);
    append(&mut log, 0..10, 10).await;
    let mut mark = Batch::new();
    mark.put(log.keys.purged(), encode(&log_id(1 << 40)));
    log.store.apply(mark).await.unwrap();
    let mut log = Log::open(log.store.clone(), GroupId(1), 0, None).unwrap();
    assert_eq!((log.last(), log.first_stored().unwrap()), (Some(log_id(1 << 40)), Some(0)));
    append(&mut log, (1 << 40) + 1..(1 << 40) + 5, 10).await;
    let before = log.store.statistics().bytes_written.load(std::sync::atomic::Ordering::Relaxed);
    log.purge(log_id((1 << 40) + 2)).await.unwrap();
    let after = log.store.statistics().bytes_written.load(std::sync::atomic::Ordering::Relaxed);
    assert!(after - before < REMOVALS_PER_BATCH_MAX * 32, "one batch of removals at each end of the gap");
    assert_eq!(log.first_stored().unwrap(), Some((1 << 40) + 3));
    assert_eq!(log.try_get_log_entries(0..u64::MAX).await.unwrap().len(), 2);
}

/// That an entry is committed is part of the record of the next one, and never lies behind what is there.
#[tokio::test(start_paused = true)]
async fn what_is_committed_is_known_again_from_the_last_record() {
    let again = |log: &Log| Log::open(log.store.clone(), GroupId(1), 0, None).unwrap();
    let mut log = log(0);
    append(&mut log, 0..3, 10).await;
    log.save_committed(Some(log_id(2))).await.unwrap();
    assert_eq!(again(&log).committed(), None, "nothing was appended since");
    append(&mut log, 3..5, 10).await;
    assert_eq!(again(&log).committed(), Some(log_id(2)));
    log.truncate_after(Some(log_id(2))).await.unwrap();
    assert_eq!((again(&log).committed(), again(&log).last()), (None, Some(log_id(2))));
    append(&mut log, 3..5, 10).await;
    log.purge(log_id(4)).await.unwrap();
    assert_eq!(again(&log).committed(), Some(log_id(4)), "what was purged was committed");
}
