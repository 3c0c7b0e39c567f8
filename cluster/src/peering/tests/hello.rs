//! Who knows the cookie may still be refused, and is told why.

use tokio::net::TcpListener;

use super::{
    super::hello::{Protocols, Reply},
    raw, *,
};

#[tokio::test]
async fn members_of_two_clusters_stay_apart() {
    let (one, other) = (Some(ClusterId(1)), Some(ClusterId(2)));
    let (first, second) =
        pair(Setup { cluster_id: one, ..node(1) }, Setup { cluster_id: one, ..node(2) }).await;
    let unharmed = Unharmed::note(&first, &second);
    let third = Setup { cluster_id: other, ..node(3) }.start().await;

    third.finds(&first);
    first.finds(&third);
    let kind = RefusalKind::OtherCluster;
    eventually("each refuses the other and is told", || {
        [&first, &third].iter().all(|node| {
            node.statistics().refused(kind).get() >= 1 && node.statistics().refused_by_peer(kind).get() >= 1
        })
    })
    .await;

    assert!(third.peering.peers().borrow().is_empty());
    assert_eq!(third.statistics().sessions_opened.get(), 0);
    unharmed.check().await;
}

#[tokio::test]
async fn a_node_without_a_cluster_is_let_in_and_its_joining_is_heard() {
    let (first, second) = pair(Setup { cluster_id: Some(ClusterId(1)), ..node(1) }, node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    assert_eq!(first.status_of(second.id()).unwrap().peer.cluster_id, None);
    assert_eq!(second.status_of(first.id()).unwrap().peer.cluster_id, Some(ClusterId(1)));

    second.peering.set_cluster_id(ClusterId(1));
    eventually("it is heard", || first.status_of(second.id()).unwrap().peer.cluster_id == Some(ClusterId(1)))
        .await;
    unharmed.check().await;
}

#[tokio::test]
async fn two_nodes_that_join_different_clusters_part() {
    let (first, second) = pair(node(1), node(2)).await;
    first.peering.set_cluster_id(ClusterId(1));
    second.peering.set_cluster_id(ClusterId(2));
    eventually("they part", || {
        first.lanes_to(second.id()).is_none() && second.lanes_to(first.id()).is_none()
    })
    .await;
    let refused = || {
        let kind = RefusalKind::OtherCluster;
        first.statistics().refused(kind).get() + second.statistics().refused(kind).get()
    };
    eventually("and stay apart", || refused() >= 4).await;
    assert!(!first.is_alive(second.id()) && !second.is_alive(first.id()));
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let hello = raw::hello_of(&Setup { shards: 64, ..node(3) }, Lane::Control);
    let refusal = raw::refusal(first.peering.address(), &cookie(1), &hello).await;
    assert_eq!(refusal, Refusal::OtherShards { here: 128, there: 64 });
    assert_eq!(first.statistics().refused(RefusalKind::OtherShards).get(), 1);
    unharmed.check().await;
}

#[tokio::test]
async fn an_older_incarnation_is_refused() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let log = CapturedLog::start();
    for lane in [Lane::Control, Lane::Consensus] {
        let hello = raw::hello_of(&Setup { incarnation: 9, ..node(2) }, lane);
        let refusal = raw::refusal(first.peering.address(), &cookie(1), &hello).await;
        assert_eq!(refusal, Refusal::OldIncarnation { newest: Incarnation(10) });
    }
    assert_eq!(first.statistics().refused(RefusalKind::OldIncarnation).get(), 2);
    let words = ["a peer is refused", "raft_id=2", "a newer incarnation of that node is known, 10"];
    assert_eq!(warned(&log, &words), 1, "said once, counted each time");
    unharmed.check().await;
}

#[tokio::test]
async fn a_newer_incarnation_replaces_all_sessions_of_the_older() {
    let (first, second) = pair(node(1), node(2)).await;
    let (third, _) = {
        let third = node(3).start().await;
        first.finds(&third);
        third.finds(&first);
        connected(&first, &third).await;
        (third, ())
    };
    let unharmed = Unharmed::note(&first, &third);
    let waiting = first.peering.request(second.id(), Lane::Bulk, SILENT, Bytes::new());

    let hello = raw::hello_of(&Setup { incarnation: 11, ..node(2) }, Lane::Control);
    let _newer = raw::enter(first.peering.address(), &cookie(1), &hello).await;

    let lost = in_time(waiting).await.unwrap_err();
    assert!(matches!(lost, RequestError::Unreachable { to: RaftId(2), .. }), "{lost}");
    let status = first.status_of(RaftId(2)).unwrap();
    assert_eq!(status.peer.incarnation, Incarnation(11));
    assert_eq!(status.liveness, Liveness::Suspect, "it was never heard");
    eventually("the older is refused from now on", || {
        second.statistics().refused_by_peer(RefusalKind::OldIncarnation).get() >= 1
    })
    .await;
    assert_eq!(first.status_of(RaftId(2)).unwrap().peer.incarnation, Incarnation(11));
    unharmed.check().await;
}

#[tokio::test]
async fn a_dialer_without_a_common_protocol_is_told_what_is_spoken() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let later = Protocols { oldest: 2, newest: 3 };
    let log = CapturedLog::start();

    let mut channel = raw::connect(first.peering.address(), &cookie(1)).await.unwrap();
    let hello = raw::hello_of(&node(3), Lane::Control);
    let (spoken, reply) = raw::say(&mut channel, later, &hello).await;

    assert_eq!(spoken, Protocols::OURS);
    assert_eq!(reply, Reply::Refused(Refusal::NoCommonProtocol { oldest: 1, newest: 1 }));
    assert_eq!(first.statistics().refused(RefusalKind::NoCommonProtocol).get(), 1);
    let words = ["a peer is refused", "no common protocol: this node speaks 1 to 1"];
    assert_eq!(warned(&log, &words), 1);
    unharmed.check().await;
}

#[tokio::test]
async fn an_acceptor_without_a_common_protocol_gets_no_session() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    first.finds_address(&listener.local_addr().unwrap().to_string());

    let welcome = Reply::Welcome(raw::hello_of(&node(3), Lane::Control));
    let later = Protocols { oldest: 2, newest: 3 };
    let _channel = raw::answer(&listener, &only(1), later, &welcome).await;

    let kind = RefusalKind::NoCommonProtocol;
    eventually("it is counted", || first.statistics().refused_by_peer(kind).get() == 1).await;
    assert_eq!(first.status_of(RaftId(3)), None);
    unharmed.check().await;
}

#[test]
fn neighbouring_releases_overlap_and_speak_the_newest_common_protocol() {
    let protocols = |oldest, newest| Protocols { oldest, newest };
    assert_eq!(protocols(1, 2).agree(protocols(2, 3)), Some(2));
    assert_eq!(protocols(2, 3).agree(protocols(1, 2)), Some(2));
    assert_eq!(protocols(1, 9).agree(protocols(3, 5)), Some(5));
    assert_eq!(protocols(1, 1).agree(protocols(2, 2)), None);
    assert_eq!(protocols(5, 4).agree(protocols(1, 9)), None, "an empty range overlaps with nothing");
}

#[tokio::test]
async fn hellos_without_sense_are_counted() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let good = raw::hello_of(&node(3), Lane::Control);
    let multiline = super::super::hello::Hello { name: "a\nb".to_owned(), ..good.clone() };
    let messages = [
        Vec::new(),
        b"PLHO".to_vec(),
        b"WHAT\x01\0\x01\0".to_vec(),
        super::super::hello::encode(Protocols::OURS, &multiline),
        [super::super::hello::encode(Protocols::OURS, &good), vec![0]].concat(),
    ];
    for (number, message) in messages.into_iter().enumerate() {
        let mut channel = raw::connect(first.peering.address(), &cookie(1)).await.unwrap();
        channel.send(&message).await.unwrap();
        eventually("it is counted", || first.statistics().garbage_handshakes.get() == number as u64 + 1)
            .await;
    }
    assert_eq!(first.status_of(RaftId(3)), None);
    unharmed.check().await;
}

#[tokio::test]
async fn what_peers_would_refuse_is_refused_at_start() {
    for name in ["", "two\nlines", &"long".repeat(500)] {
        let setup = node(1);
        let local = Local { name: name.to_owned(), ..setup.local() };
        let environment = Environment::simulated(1);
        let seeds = Arc::new(watch::Sender::new(BTreeSet::new()));
        let started = Peering::start(
            setup.config,
            local,
            None,
            Arc::new(only(1)),
            seeds,
            BTreeMap::new(),
            Arc::new(Pushed::default()),
            environment,
        );
        assert!(matches!(started.await, Err(PeeringError::Local(_))), "{name}");
    }
}
