//! What goes over open sessions: requests, answers, pushed frames, and what a bad peer makes of them.

use std::sync::Arc;

use super::{
    super::{frame, frame::Kind, hello::Hello},
    raw,
    wires::Wires,
    *,
};
use crate::consensus::{self, GroupId, Transport};

fn encryption(encryption: Encryption) -> impl FnOnce(&mut Config) {
    move |config| config.encryption = encryption
}

/// One frame as a peer would write it.
fn framed(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::begin(&mut bytes, kind);
    bytes.extend(body);
    frame::finish(&mut bytes, 0);
    bytes
}

#[tokio::test]
async fn frames_larger_than_a_noise_message_arrive_whole() {
    for kind in [Encryption::On, Encryption::Off] {
        let (first, second) = pair(node(1).with(encryption(kind)), node(2).with(encryption(kind))).await;
        for bytes in [65_518, 65_519, 65_520, 5 << 20] {
            let body: Bytes = (0..bytes).map(|at| (at % 251) as u8).collect();
            assert_eq!(first.echo(second.id(), Lane::Bulk, body.clone()).await.unwrap(), body);
            let session = first.peering.session(second.id(), Lane::Shard(1)).unwrap();
            session.push(|buffer| buffer.extend(&body)).unwrap();
            eventually("it arrives", || second.pushed.frames.lock().last().is_some_and(|last| last == &body))
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_is_plain_only_if_both_ends_say_so() {
    const MARK: &[u8] = b"nobody else should read this";
    for (one, other, is_plain) in [
        (Encryption::Off, Encryption::Off, true),
        (Encryption::Off, Encryption::On, false),
        (Encryption::On, Encryption::Off, false),
        (Encryption::On, Encryption::On, false),
    ] {
        let wires = Arc::new(Wires::default());
        let (first, second) =
            pair(node(1).with(encryption(one)).on(&wires), node(2).with(encryption(other)).on(&wires)).await;
        assert_eq!(first.echo(second.id(), Lane::Consensus, MARK).await.unwrap(), MARK);
        assert_eq!(wires.cables().iter().any(|cable| cable.has_seen(MARK)), is_plain);
        let says_who = |cable: &Arc<wires::Cable>| cable.has_seen(b"node-1") || cable.has_seen(b"stable");
        assert!(!wires.cables().iter().any(says_who), "hellos are always sealed");
    }
}

#[tokio::test]
async fn requests_arrive_in_the_order_of_the_calls() {
    let (first, second) = pair(node(1), node(2)).await;
    let numbers: Vec<Bytes> = (0..5_000_u32).map(|number| number.to_le_bytes().to_vec().into()).collect();
    let request = |number: &Bytes| first.peering.request(second.id(), Lane::Consensus, NOTE, number.clone());
    let answers: Vec<_> = numbers.iter().map(request).collect();
    // Backwards: the order of the calls counts, not that of the polls.
    for answer in answers.into_iter().rev() {
        in_time(answer).await.unwrap();
    }
    assert_eq!(*second.arrived.lock(), numbers);
}

#[tokio::test]
async fn pushed_frames_arrive_in_order_in_both_directions_and_in_batches() {
    let (first, second) = pair(node(1), node(2)).await;
    let near = first.peering.session(second.id(), Lane::Shard(0)).unwrap();
    let far =
        second.pushed.opened.lock().iter().find(|far| !far.is_dialer() && far.lane() == near.lane()).cloned();
    let far = far.expect("the acceptor was told, too");
    assert!(near.is_dialer() && near.peer().name == "node-2" && far.peer().name == "node-1");

    let frames: Vec<Vec<u8>> = (0..1000_u16).map(|number| number.to_le_bytes().to_vec()).collect();
    for frame in &frames {
        near.push(|buffer| buffer.extend(frame)).unwrap();
        far.push(|buffer| buffer.extend(frame)).unwrap();
    }
    eventually("all arrive", || {
        *second.pushed.frames.lock() == frames && *first.pushed.frames.lock() == frames
    })
    .await;
    assert!(second.pushed.batches.lock().len() < 10, "they were written at once and are handed out together");
    assert!(
        first.peering.session(second.id(), Lane::Control).is_none(),
        "only shard lanes carry pushed frames"
    );
    assert_eq!(second.statistics().traffic(LaneClass::Shard).frames_in.get() / 1000, 1);
}

#[tokio::test]
async fn a_full_buffer_is_an_error_and_loses_nothing_that_was_taken() {
    let (first, second) = pair(node(1).with(|config| config.send_bytes_max = 10_000), node(2)).await;
    let session = first.peering.session(second.id(), Lane::Shard(0)).unwrap();
    // The writer cannot run before the test waits.
    let fits = (0..).take_while(|_| session.push(|buffer| buffer.extend([1; 995])).is_ok()).count();
    assert_eq!(fits, 10);
    assert_eq!(session.push(|buffer| buffer.extend([1; 995])), Err(PushError::Full));
    assert!(session.is_open());
    // Other lanes have room.
    assert_eq!(first.echo(second.id(), Lane::Consensus, "hello").await.unwrap(), "hello");
    eventually("what was taken arrives", || second.pushed.frames.lock().len() == fits).await;
    session.push(|buffer| buffer.extend([1; 995])).unwrap();

    let answers: Vec<_> =
        (0..12).map(|_| first.peering.request(second.id(), Lane::Bulk, ECHO, vec![2; 980].into())).collect();
    let mut full = 0;
    for answer in answers {
        full += usize::from(in_time(answer).await == Err(RequestError::Full));
    }
    assert_eq!(full, 2);
}

#[tokio::test]
async fn a_frame_that_is_too_large_for_either_end_is_not_sent() {
    let small = |config: &mut Config| config.frame_bytes_max = 2000;
    for (one, other) in [(node(1).with(small), node(2)), (node(1), node(2).with(small))] {
        let (first, second) = pair(one, other).await;
        let unharmed = Unharmed::note(&first, &second);
        let session = first.peering.session(second.id(), Lane::Shard(0)).unwrap();
        assert_eq!(session.push(|buffer| buffer.extend([1; 2001])), Err(PushError::TooLarge));
        session.push(|buffer| buffer.extend([1; 2000])).unwrap();
        eventually("the largest arrives", || second.pushed.frames.lock().len() == 1).await;
        let request = first.echo(second.id(), Lane::Bulk, vec![1; 2000]).await;
        assert!(matches!(request, Err(RequestError::Refused(_))), "{request:?}");
        let answer = in_time(first.peering.request(second.id(), Lane::Bulk, LONG, "3000".into())).await;
        assert!(matches!(answer, Err(RequestError::Refused(_))), "{answer:?}");
        unharmed.check().await;
    }
}

#[tokio::test]
async fn a_panic_while_encoding_leaves_nothing_of_the_frame() {
    let (first, second) = pair(node(1), node(2)).await;
    let session = first.peering.session(second.id(), Lane::Shard(0)).unwrap();
    let half = std::panic::AssertUnwindSafe(|| {
        session.push(|buffer| {
            buffer.extend(b"half");
            panic!("on purpose");
        })
    });
    assert!(std::panic::catch_unwind(half).is_err());
    session.push(|buffer| buffer.extend(b"whole")).unwrap();
    eventually("the next arrives", || *second.pushed.frames.lock() == [b"whole"]).await;
}

#[tokio::test]
async fn unanswered_requests_are_bounded_at_both_ends() {
    let (first, second) = pair(
        node(1).with(|config| config.requests_max = 3),
        node(2).with(|config| config.requests_bytes_max = 4000),
    )
    .await;
    let unharmed = Unharmed::note(&first, &second);
    let ask = |lane, bytes| first.peering.request(second.id(), lane, SILENT, vec![0; bytes].into());

    let waiting = [ask(Lane::Shard(0), 1), ask(Lane::Shard(0), 1), ask(Lane::Shard(0), 1)];
    assert_eq!(in_time(ask(Lane::Shard(0), 1)).await, Err(RequestError::Full), "our bound");
    drop(waiting);
    let again = ask(Lane::Shard(0), 1);
    let _held = ask(Lane::Shard(1), 3000);
    assert_eq!(in_time(ask(Lane::Shard(1), 3000)).await, Err(RequestError::Full), "the bound of the peer");

    assert_eq!(second.statistics().requests_refused.get(), 1);
    drop(again);
    unharmed.check().await;
}

/// What the service does with the request goes on, so connecting again must not give more room.
#[tokio::test]
async fn a_new_session_gives_no_room_that_older_requests_still_hold() {
    let (first, second) = pair(node(1), node(2).with(|config| config.requests_bytes_max = 4000)).await;
    let ask = |bytes| first.peering.request(second.id(), Lane::Bulk, SILENT, vec![0; bytes].into());
    let held = ask(3000);
    assert_eq!(in_time(ask(3000)).await, Err(RequestError::Full), "the first has arrived");
    first.peering.link().table.dialed(second.id(), Lane::Bulk).unwrap().close("for the test");
    assert!(matches!(in_time(held).await, Err(RequestError::Unreachable { .. })));
    connected(&first, &second).await;
    assert_eq!(in_time(ask(3000)).await, Err(RequestError::Full));
    assert_eq!(second.statistics().requests_refused.get(), 2);
}

#[tokio::test]
async fn requests_without_session_service_or_peer_fail_at_once() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let nobody = first.echo(RaftId(77), Lane::Bulk, "hello").await;
    assert!(matches!(nobody, Err(RequestError::Unreachable { to: RaftId(77), .. })));
    let no_lane = first.echo(second.id(), Lane::Shard(200), "hello").await;
    assert!(matches!(no_lane, Err(RequestError::Unreachable { .. })));
    let no_service = first.peering.request(second.id(), Lane::Bulk, ServiceId(99), Bytes::new());
    assert!(matches!(in_time(no_service).await, Err(RequestError::Refused(_))));

    let waiting = first.peering.request(second.id(), Lane::Bulk, SILENT, Bytes::new());
    unharmed.check().await;
    let link = first.peering.link();
    link.table.dialed(second.id(), Lane::Bulk).unwrap().close("for the test");
    let lost = waiting.await.unwrap_err();
    assert_eq!(lost, RequestError::Unreachable { to: second.id(), reason: "for the test".to_owned() });
    connected(&first, &second).await;
    Unharmed::note(&first, &second).check().await;
}

/// Each costs its sender the session, and nobody else anything.
#[tokio::test]
async fn bad_frames_close_the_session_that_brought_them() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let statistics = first.statistics();
    let oversized = ((16 << 20) + 2_u32).to_le_bytes().to_vec();
    let bad: [(Vec<u8>, bool); 8] = [
        (oversized, true),
        (u32::MAX.to_le_bytes().to_vec(), true),
        (vec![0; 4], false),
        (vec![1, 0, 0, 0, 99], false),
        (framed(Kind::Pushed, b"not on this lane"), false),
        (framed(Kind::Answer, &[0; 9]), false),
        (framed(Kind::Request, &[0; 5]), false),
        (framed(Kind::Ping, &[9; 40]), false),
    ];
    for (bytes, is_oversized) in bad {
        let before = (statistics.oversized_frames.get(), statistics.garbage_frames.get());
        let log = CapturedLog::start();
        let mut raw = enter(&first, raw::hello_of(&node(3), Lane::Control)).await;
        raw.send(&bytes).await;
        raw.closed().await;
        let now = (statistics.oversized_frames.get(), statistics.garbage_frames.get());
        let more = (u64::from(is_oversized), u64::from(!is_oversized));
        assert_eq!(now, (before.0 + more.0, before.1 + more.1), "{bytes:?}");
        let why = if is_oversized { "at most 16777216 are allowed" } else { "error=" };
        assert_eq!(warned(&log, &["a peer broke the protocol", "node-3", "Control", why]), 1, "{bytes:?}");
    }
    unharmed.check().await;
}

#[tokio::test]
async fn bytes_that_were_changed_on_the_way_close_the_session() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    for bytes in [vec![0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], vec![0, 0]] {
        let before = first.statistics().garbage_frames.get();
        let mut raw = enter(&first, raw::hello_of(&node(3), Lane::Control)).await;
        raw.send_unsealed(&bytes).await;
        raw.closed().await;
        assert_eq!(first.statistics().garbage_frames.get(), before + 1);
    }
    unharmed.check().await;
}

async fn enter(node: &Node, hello: Hello) -> raw::Raw {
    raw::enter(node.peering.address(), &cookie(1), &hello).await
}

#[tokio::test]
async fn consensus_reaches_the_replica_of_its_group() {
    let (first, second) = pair(node(1), node(2)).await;
    let service = ConsensusService::new(|group, from, request: Bytes| {
        Box::pin(async move {
            match group {
                GroupId(7) => Ok(format!("{from:?} says {request:?}").into()),
                _ => Err("no such group".to_owned()),
            }
        }) as BoxFuture<'static, _>
    });
    // As a third node, which has this service.
    let third = node(3);
    let local = third.local();
    let seeds = Arc::new(watch::Sender::new(BTreeSet::from([first.peering.address().to_owned()])));
    let services = BTreeMap::from([(CONSENSUS, Arc::new(service) as Arc<dyn Service>)]);
    let (cookies, ignored) = (Arc::new(only(1)), Arc::new(Pushed::default()));
    let environment = Environment::simulated(3);
    let third = Peering::start(third.config, local, None, cookies, seeds, services, ignored, environment);
    let third = third.await.unwrap();
    first.finds_address(third.address());
    eventually("all lanes are up", || first.lanes_to(RaftId(3)).is_some()).await;

    let transport = ConsensusTransport::new(first.peering.clone());
    for lane in [consensus::Lane::Consensus, consensus::Lane::Bulk] {
        let answer = in_time(transport.send(RaftId(3), GroupId(7), lane, "vote".into())).await;
        assert_eq!(answer.unwrap(), r#"RaftId(1) says b"vote""#);
    }
    let lane = consensus::Lane::Consensus;
    let other = in_time(transport.send(RaftId(3), GroupId(8), lane, "vote".into())).await.unwrap_err();
    assert_eq!((other.to, other.reason.as_str()), (RaftId(3), "no such group"));
    let missing = in_time(transport.send(RaftId(9), GroupId(7), lane, "vote".into())).await.unwrap_err();
    assert_eq!(missing.to, RaftId(9));
    Unharmed::note(&first, &second).check().await;
}

proptest::proptest! {
    /// The entries of the fuzz targets, with a few bytes each time.
    #[test]
    fn decoders_neither_panic_nor_contradict_themselves(
        bodies in proptest::collection::vec((0..5_u8, proptest::collection::vec(0..12_u8, 0..70)), 0..8),
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
    ) {
        let kinds = [Kind::Pushed, Kind::Request, Kind::Answer, Kind::Ping, Kind::Pong];
        let stream = bodies.iter().flat_map(|(kind, body)| framed(kinds[usize::from(*kind)], body));
        fuzzing::frames(&stream.chain(noise.iter().copied()).collect::<Vec<_>>());
        fuzzing::frames(&noise);
        fuzzing::hello(&noise);
        fuzzing::hello(&[b"PLHO\x01\0\x01\0", &noise[..]].concat());
        let hello = super::super::hello::encode(
            super::super::hello::Protocols::OURS,
            &raw::hello_of(&node(1), Lane::Shard(1)),
        );
        fuzzing::hello(&[&hello[..hello.len() - noise.len().min(hello.len())], &noise[..]].concat());
        fuzzing::hello(&hello);
    }
}
