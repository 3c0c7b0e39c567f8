//! A connection that leads nowhere never counts as alive, in whatever way it does.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{wires::Wires, *};

const SECOND: Duration = Duration::from_secs(1);

async fn wired_pair() -> (Arc<Wires>, Node, Node) {
    let wires = Arc::new(Wires::default());
    let (first, second) = pair(node(1).on(&wires), node(2).on(&wires)).await;
    (wires, first, second)
}

fn cut(wires: &Wires, one: &Node, other: &Node) {
    let [one, other] = [one, other].map(|node| host(node.id().0));
    wires.cut(&one, &other);
    wires.cut(&other, &one);
}

fn heal(wires: &Wires, one: &Node, other: &Node) {
    let [one, other] = [one, other].map(|node| host(node.id().0));
    wires.heal(&one, &other);
    wires.heal(&other, &one);
}

#[tokio::test(start_paused = true)]
async fn a_vanished_host_is_suspected_then_closed_and_comes_back() {
    let (wires, first, second) = wired_pair().await;
    let third = node(3).on(&wires).start().await;
    first.finds(&third);
    third.finds(&first);
    connected(&first, &third).await;
    let unharmed = Unharmed::note(&first, &third);
    let waiting = first.peering.request(second.id(), Lane::Bulk, SILENT, Bytes::new());

    cut(&wires, &first, &second);
    sleep(SECOND).await;
    assert!(first.is_alive(second.id()), "a pause is not a failure");
    sleep(SECOND * 3 / 2).await;
    assert!(!first.is_alive(second.id()) && !second.is_alive(first.id()));
    assert!(first.lanes_to(second.id()).is_some(), "suspected, not closed");
    sleep(SECOND * 2).await;
    assert_eq!(first.lanes_to(second.id()), None);
    assert!(matches!(in_time(waiting).await, Err(RequestError::Unreachable { .. })));
    assert!(first.statistics().silent_closed.get() >= 4, "all lanes, in both directions");
    unharmed.check().await;

    heal(&wires, &first, &second);
    connected(&first, &second).await;
    assert!(first.statistics().reconnects.get() >= 1);
    Unharmed::note(&first, &second).check().await;
    unharmed.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_can_be_reached_but_cannot_reach_us_is_suspected() {
    let (wires, first, second) = wired_pair().await;
    wires.cut("node-2", "node-1");
    eventually("both notice", || !first.is_alive(second.id()) && !second.is_alive(first.id())).await;
    sleep(SECOND * 60).await;
    assert!(!first.is_alive(second.id()) && !second.is_alive(first.id()));
    // What can be asked can still be asked.
    eventually("the way that works is used", || first.lanes_to(second.id()).is_some()).await;
    assert_eq!(first.echo(second.id(), Lane::Consensus, "hello").await.unwrap(), "hello");
    assert_eq!(second.lanes_to(first.id()), None);

    wires.heal("node-2", "node-1");
    connected(&first, &second).await;
}

/// Pings arrive and are answered, but the answers do not come back: only the other end can know that.
#[tokio::test(start_paused = true)]
async fn one_dead_control_connection_is_enough() {
    let (wires, first, second) = wired_pair().await;
    let before = first.lanes_to(second.id());
    let control = wires.cables().into_iter().find(|cable| cable.leads("node-1", "node-2")).unwrap();
    control.cut();
    eventually("both notice", || !first.is_alive(second.id()) && !second.is_alive(first.id())).await;
    connected(&first, &second).await;
    assert_ne!(first.lanes_to(second.id()), before, "everything was dialed again");
}

#[tokio::test(start_paused = true)]
async fn a_dead_lane_is_dialed_again_and_the_others_stay() {
    let (wires, first, second) = wired_pair().await;
    let before = first.lanes_to(second.id()).unwrap();
    let waiting = first.peering.request(second.id(), Lane::Consensus, SILENT, Bytes::new());
    let lanes: Vec<_> = wires.cables().into_iter().filter(|cable| cable.leads("node-1", "node-2")).collect();
    lanes.iter().skip(1).for_each(|cable| cable.cut());

    assert!(matches!(in_time(waiting).await, Err(RequestError::Unreachable { .. })));
    eventually("all are given up", || first.statistics().stalled_closed.get() == 4).await;
    connected(&first, &second).await;
    let after = first.lanes_to(second.id()).unwrap();
    assert_eq!(after[0], before[0], "the control lane stays");
    assert!(after.iter().skip(1).all(|session| !before.contains(session)));
    Unharmed::note(&first, &second).check().await;
}

/// The other end does not read any more, so a writer never gets on.
#[tokio::test(start_paused = true)]
async fn a_lane_that_takes_no_bytes_is_closed_and_the_others_stay() {
    let (wires, first, second) = wired_pair().await;
    let before = first.lanes_to(second.id()).unwrap();
    let lanes: Vec<_> = wires.cables().into_iter().filter(|cable| cable.leads("node-1", "node-2")).collect();
    lanes.iter().skip(1).for_each(|cable| cable.stuff());
    let waiting = first.peering.request(second.id(), Lane::Bulk, ECHO, vec![0; 1 << 20].into());

    assert!(matches!(in_time(waiting).await, Err(RequestError::Unreachable { .. })));
    // Either end may be the first to give a lane up.
    let stalled = || first.statistics().stalled_closed.get() + second.statistics().stalled_closed.get();
    eventually("all are given up", || stalled() >= 4).await;
    connected(&first, &second).await;
    assert_eq!(first.lanes_to(second.id()).unwrap()[0], before[0], "the control lane stays");
    Unharmed::note(&first, &second).check().await;
}

/// It accepts, says its hello, and then neither reads nor answers.
#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_but_never_answers_is_never_alive() {
    use super::super::{
        handshake::Channel,
        hello::{self, Protocols, Reply},
    };
    let (wires, first, second) = wired_pair().await;
    let unharmed = Unharmed::note(&first, &second);
    let mut listener = wires.of("node-3").listen("node-3:1").await.unwrap();
    first.finds_address("node-3:1");
    let mut held = Vec::new();
    for _ in 0..3 {
        let (connection, _) = in_time(listener.accept()).await.unwrap();
        let mut channel = in_time(Channel::accept(connection, &only(1), 1024)).await.unwrap();
        let hello =
            hello::split(&channel.receive().await.unwrap()).map(|(_, body)| hello::decode_hello(body));
        assert_eq!(hello.unwrap().unwrap().lane, Lane::Control, "no other lane before an answer");
        let welcome = Reply::Welcome(super::raw::hello_of(&node(3), Lane::Control));
        channel.send(&hello::encode(Protocols::OURS, &welcome)).await.unwrap();
        held.push(channel);
    }
    // The third attempt began, so two were given up.
    assert!(first.statistics().silent_closed.get() >= 2);
    assert!(!first.is_alive(RaftId(3)));
    unharmed.check().await;
}

#[tokio::test(start_paused = true)]
async fn the_health_of_the_store_is_heard() {
    let (_wires, first, second) = wired_pair().await;
    assert!(first.status_of(second.id()).unwrap().store_healthy);
    second.peering.set_store_healthy(false);
    eventually("it is heard", || !first.status_of(second.id()).unwrap().store_healthy).await;
    assert!(first.is_alive(second.id()), "a node with a bad disk still answers");
    second.peering.set_store_healthy(true);
    eventually("it is heard", || first.status_of(second.id()).unwrap().store_healthy).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_forgotten_when_it_is_gone_from_everywhere() {
    let (wires, first, second) = wired_pair().await;
    cut(&wires, &first, &second);
    sleep(SECOND * 1200).await;
    assert!(first.status_of(second.id()).is_some(), "its address is still discovered");
    first.seeds.send_replace(BTreeSet::new());
    let start = first.peering.link().now_ms();
    in_time_of(SECOND * 700, || first.status_of(second.id()).is_none()).await;
    assert!(first.peering.link().now_ms() - start < 2000, "it was unreachable long enough");

    let (dialed, _) = (first.statistics().dialed.get(), sleep(SECOND * 600).await);
    assert_eq!(first.statistics().dialed.get(), dialed, "and nobody dials it any more");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_replaced_at_its_address_is_forgotten_at_once() {
    let (wires, first, second) = wired_pair().await;
    cut(&wires, &first, &second);
    in_time(second.peering.stop()).await;
    eventually("it is unreachable", || first.lanes_to(second.id()).is_none()).await;
    heal(&wires, &first, &second);

    // Another volume at the same address.
    let mut other = node(5).on(&wires);
    other.config.listen = second.peering.address().to_owned();
    let other = other.start().await;
    eventually("it is found", || {
        first.status_of(other.id()).is_some_and(|status| !status.address.is_empty())
    })
    .await;
    assert_eq!(first.status_of(second.id()), None);
}

async fn in_time_of(longest: Duration, mut is_true: impl FnMut() -> bool) {
    let waiting = async {
        while !is_true() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(longest, waiting).await.expect("it becomes true");
}
