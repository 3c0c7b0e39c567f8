//! Which sessions there are: one per peer, incarnation and lane, and none to ourselves.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{raw, wires::Wires, *};

#[tokio::test(start_paused = true)]
async fn a_node_that_dials_itself_stops_to() {
    let wires = Arc::new(Wires::default());
    let (first, second) = (node(1).on(&wires).start().await, node(2).on(&wires).start().await);
    first.finds(&first);
    eventually("it notes it", || first.statistics().refused_by_peer(RefusalKind::Myself).get() == 1).await;
    first.finds(&second);
    second.finds(&first);
    connected(&first, &second).await;

    sleep(Duration::from_secs(600)).await;
    assert_eq!(first.statistics().refused(RefusalKind::Myself).get(), 1, "once is enough");
    assert_eq!(first.peering.peers().borrow().len(), 1, "nobody is a peer of itself");
    Unharmed::note(&first, &second).check().await;
}

#[tokio::test]
async fn another_incarnation_of_our_own_raft_id_is_refused() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    for incarnation in [9, 11] {
        let hello = raw::hello_of(&Setup { incarnation, ..node(1) }, Lane::Control);
        let refusal = raw::refusal(first.peering.address(), &cookie(1), &hello).await;
        assert_eq!(refusal, Refusal::RaftIdInUse);
    }
    unharmed.check().await;
}

#[tokio::test]
async fn a_second_connection_of_a_lane_replaces_the_first() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let address = first.peering.address();
    let control = raw::hello_of(&node(3), Lane::Control);
    let shard = raw::hello_of(&node(3), Lane::Shard(0));

    let old = raw::enter(address, &cookie(1), &control).await;
    let old_shard = raw::enter(address, &cookie(1), &shard).await;
    let new_shard = raw::enter(address, &cookie(1), &shard).await;
    old_shard.closed().await;
    let _new = raw::enter(address, &cookie(1), &control).await;
    old.closed().await;
    // A lane lives no longer than its control lane.
    new_shard.closed().await;

    eventually("each that opened closed", || first.pushed.closed.lock().len() == 2).await;
    assert!(first.status_of(RaftId(3)).is_some());
    unharmed.check().await;
}

#[tokio::test]
async fn a_lane_without_a_control_lane_is_refused() {
    let first = node(1).start().await;
    let hello = raw::hello_of(&node(3), Lane::Bulk);
    let refusal = raw::refusal(first.peering.address(), &cookie(1), &hello).await;
    assert_eq!(refusal, Refusal::NoControlLane);
    assert_eq!(first.status_of(RaftId(3)), None);
}

#[tokio::test]
async fn too_many_peers_or_sessions_are_refused() {
    let few_peers = node(1).with(|config| config.peers_max = 1).start().await;
    let few_sessions = node(1).with(|config| config.sessions_max = 1).start().await;
    for first in [few_peers, few_sessions] {
        let address = first.peering.address();
        let _entered = raw::enter(address, &cookie(1), &raw::hello_of(&node(2), Lane::Control)).await;
        eventually("it is open", || first.status_of(RaftId(2)).is_some()).await;
        let hello = raw::hello_of(&node(3), Lane::Control);
        assert_eq!(raw::refusal(address, &cookie(1), &hello).await, Refusal::Full);
        assert_eq!(first.status_of(RaftId(3)), None);
        assert!(first.status_of(RaftId(2)).is_some());
    }
}

/// A name and an address of it lead to the same node: the sessions must not replace each other for ever.
#[tokio::test]
async fn a_peer_with_two_addresses_is_connected_once() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let alias = second.peering.address().replace("127.0.0.1", "localhost");
    assert_ne!(alias, second.peering.address());

    first.finds_address(&alias);
    let kind = RefusalKind::AlreadyConnected;
    eventually("it is noticed", || first.statistics().refused(kind).get() >= 1).await;
    unharmed.check().await;
}

#[tokio::test]
async fn two_raft_ids_of_one_name_are_both_let_in() {
    let first = node(1).start().await;
    let address = first.peering.address();
    for raft_id in [5, 6] {
        let hello = raw::hello_of(&node(raft_id), Lane::Control);
        let hello = super::super::hello::Hello { name: "same".to_owned(), ..hello };
        std::mem::forget(raw::enter(address, &cookie(1), &hello).await);
    }
    eventually("both are peers", || {
        let peers = first.peering.peers().borrow().clone();
        peers.values().filter(|status| status.peer.name == "same").count() == 2
    })
    .await;
}

#[tokio::test]
async fn stopping_writes_what_was_given_and_closes_everything() {
    let (first, second) = pair(node(1), node(2)).await;
    let session = first.peering.session(second.id(), Lane::Shard(0)).unwrap();
    session.push(|buffer| buffer.extend(b"last words")).unwrap();
    let waiting = first.peering.request(second.id(), Lane::Consensus, SILENT, Bytes::new());

    in_time(first.peering.stop()).await;

    assert!(matches!(in_time(waiting).await, Err(RequestError::Unreachable { .. })));
    assert_eq!(session.push(|buffer| buffer.extend(b"too late")), Err(PushError::Closed));
    eventually("the last words arrive", || *second.pushed.frames.lock() == [b"last words"]).await;
    eventually("the other end notices", || !second.is_alive(first.id())).await;
    let opened = first.pushed.opened.lock().len();
    assert_eq!(first.pushed.closed.lock().len(), opened, "each that opened closed");
    in_time(first.peering.stop()).await; // Again: nothing.
}

/// Nobody is left to stop it.
#[tokio::test]
async fn dropping_the_last_handle_closes_everything() {
    let (first, second) = pair(node(1), node(2)).await;
    drop(first);
    eventually("the other end notices", || {
        second.lanes_to(RaftId(1)).is_none() && !second.is_alive(RaftId(1))
    })
    .await;
}

/// Whatever closes when, on several threads: it comes back, and each shard lane that opened closes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_close_at_any_time_come_back() {
    let quick = |config: &mut Config| config.redial_min = Duration::from_millis(1);
    let (first, second) = pair(node(1).with(quick), node(2).with(quick)).await;
    let random = Environment::simulated(7);
    for _ in 0..50 {
        let nodes = if random.random_u64().is_multiple_of(2) { [&first, &second] } else { [&second, &first] };
        let lane = [Lane::Control, Lane::Bulk, Lane::Shard(0)][random.random_u64() as usize % 3];
        let waiting = nodes[0].peering.request(nodes[1].id(), lane, SILENT, Bytes::new());
        // A watcher that calls us while it looks must not stop anybody.
        for (peer, _) in nodes[0].peering.peers().borrow().iter() {
            if let Some(session) = nodes[0].peering.link().table.dialed(*peer, lane) {
                session.close("for the test");
            }
        }
        assert!(matches!(in_time(waiting).await, Err(RequestError::Unreachable { .. })));
        if random.random_u64().is_multiple_of(4) {
            connected(&first, &second).await;
        }
    }
    connected(&first, &second).await;
    Unharmed::note(&first, &second).check().await;
    in_time(async { tokio::join!(first.peering.stop(), second.peering.stop()) }).await;
    for node in [&first, &second] {
        let mut opened: Vec<_> = node.pushed.opened.lock().iter().map(|session| session.id()).collect();
        let mut closed = node.pushed.closed.lock().clone();
        opened.sort_unstable();
        closed.sort_unstable();
        assert_eq!(opened, closed);
        let statistics = node.statistics();
        assert_eq!(statistics.sessions_opened.get(), statistics.sessions_closed.get());
    }
}
