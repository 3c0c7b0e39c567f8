//! Who does not know the cookie gets nothing, and disturbs nobody.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{wires::Wires, *};

#[tokio::test]
async fn a_wrong_cookie_opens_nothing() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let stranger = Setup { cookies: only(9), ..node(3) }.start().await;

    stranger.finds(&first);
    first.finds(&stranger);
    eventually("both ends count it", || {
        first.statistics().authentication_failures.get() >= 2
            && stranger.statistics().authentication_failures.get() >= 2
    })
    .await;

    assert!(stranger.peering.peers().borrow().is_empty());
    assert_eq!(first.peering.peers().borrow().len(), 1);
    assert_eq!(stranger.statistics().sessions_opened.get(), 0);
    unharmed.check().await;
}

#[tokio::test]
async fn cookies_are_exchanged_one_node_after_the_other() {
    const OLD: u8 = 1;
    const NEW: u8 = 2;
    let steps = [
        (only(OLD), both(OLD, NEW)),
        (both(OLD, NEW), both(NEW, OLD)),
        (only(OLD), both(NEW, OLD)),
        (both(OLD, NEW), only(NEW)),
        (both(NEW, OLD), only(NEW)),
    ];
    for (one, other) in steps {
        let (first, second) =
            pair(Setup { cookies: one, ..node(1) }, Setup { cookies: other, ..node(2) }).await;
        Unharmed::note(&first, &second).check().await;
    }
    let (first, second) = (
        Setup { cookies: only(OLD), ..node(1) }.start().await,
        Setup { cookies: only(NEW), ..node(2) }.start().await,
    );
    first.finds(&second);
    second.finds(&first);
    eventually("without a common cookie they stay apart", || {
        first.statistics().dial_failures.get() >= 2 && second.statistics().dial_failures.get() >= 2
    })
    .await;
    assert!(first.peering.peers().borrow().is_empty() && second.peering.peers().borrow().is_empty());
}

/// Noise's first message proves nothing about who sends it now.
#[tokio::test]
async fn a_replayed_first_message_keeps_no_state_and_replaces_nothing() {
    let (first, second) = pair(node(1), node(2)).await;
    let recorded = first_message(&second).await;
    let unharmed = Unharmed::note(&first, &second);
    let opened = first.statistics().sessions_opened.get();
    let peers = first.peering.peers().borrow().clone();
    let log = CapturedLog::start();

    // The real one goes on afterwards, so both ways to go on wrongly are tried: not at all, and with other bytes.
    for garbage in [&[][..], &[0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]]
    {
        let before = first.statistics().unproven.get();
        let mut replay = TcpStream::connect(first.peering.address()).await.unwrap();
        replay.write_all(&recorded).await.unwrap();
        let mut answer = [0; 50];
        in_time(replay.read_exact(&mut answer)).await.expect("the recorded message is a right one");
        replay.write_all(garbage).await.unwrap();
        replay.shutdown().await.unwrap();
        eventually("it is counted", || first.statistics().unproven.get() == before + 1).await;
    }

    assert_eq!(first.statistics().sessions_opened.get(), opened);
    assert_eq!(*first.peering.peers().borrow(), peers);
    let words = ["an incoming connection failed", "the handshake was begun but not continued"];
    assert_eq!(warned(&log, &words), 1, "said once in a minute, counted each time");
    unharmed.check().await;
}

/// What `node` sends first to somebody it dials.
async fn first_message(node: &Node) -> Vec<u8> {
    let tap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    node.finds_address(&tap.local_addr().unwrap().to_string());
    let (mut stream, _) = in_time(tap.accept()).await.unwrap();
    let mut message = vec![0; 50];
    in_time(stream.read_exact(&mut message)).await.unwrap();
    message
}

#[tokio::test]
async fn garbage_is_turned_away() {
    let (first, second) = pair(node(1), node(2)).await;
    let unharmed = Unharmed::note(&first, &second);
    let count = || {
        let statistics = first.statistics();
        statistics.garbage_handshakes.get() + statistics.authentication_failures.get()
    };
    let shapes: [&[u8]; 5] =
        [b"", b"GET / HTTP/1.1\r\nHost: playhouse\r\n\r\n", &[0xff; 4096], &[0, 48, 1, 2, 3], &[0; 50]];
    for (number, bytes) in shapes.into_iter().enumerate() {
        let mut stream = TcpStream::connect(first.peering.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        eventually("it is counted", || count() == number as u64 + 1).await;
    }
    assert_eq!(first.statistics().sessions_opened.get(), second.statistics().sessions_opened.get());
    unharmed.check().await;
}

/// One silent connection stops nobody, and a thousand of them stop a peer for no longer than a handshake may take.
#[tokio::test(start_paused = true)]
async fn a_thousand_silent_connections_do_not_keep_a_peer_out() {
    let wires = Arc::new(Wires::default());
    let (first, second) = pair(node(1).on(&wires), node(2).on(&wires)).await;
    let unharmed = Unharmed::note(&first, &second);
    let third = node(3).on(&wires).start().await;
    let start = first.peering.link().now_ms();

    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(wires.of("stranger").connect(first.peering.address()).await.unwrap());
    }
    eventually("all arrived", || first.statistics().half_open_refused.get() >= 872).await;
    third.finds(&first);
    first.finds(&third);
    connected(&first, &third).await;

    let config = &first.peering.link().config;
    let longest = config.handshake_timeout + config.redial_max + Duration::from_secs(1);
    assert!(first.peering.link().now_ms() - start <= longest.as_millis() as u64);
    assert_eq!(first.statistics().handshake_timeouts.get(), 128, "only so many were ever in their handshake");
    unharmed.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_few_silent_connections_are_not_even_noticed() {
    let wires = Arc::new(Wires::default());
    let (first, third) = (node(1).on(&wires).start().await, node(3).on(&wires).start().await);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(wires.of("stranger").connect(first.peering.address()).await.unwrap());
    }
    eventually("all arrived", || first.statistics().accepted.get() == 100).await;
    let start = first.peering.link().now_ms();

    third.finds(&first);
    first.finds(&third);
    connected(&first, &third).await;

    assert!(first.peering.link().now_ms() - start < 1000);
    assert_eq!(first.statistics().handshake_timeouts.get(), 0, "they are all still there");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(first.statistics().handshake_timeouts.get(), 100);
}

#[test]
fn keys_of_a_cookie_differ_by_purpose_and_are_not_shown() {
    let cookie = cookie(1);
    let keys = [cookie.key(), cookie.derive_other("a").key(), cookie.derive_other("b").key()].map(|key| *key);
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    assert!(!keys.contains(&[1; 32]));
    assert_eq!(cookie.derive_other("a"), cookie.derive_other("a"));
    assert_eq!(
        format!("{cookie:?} {:?}", only(1)),
        "Cookie(hidden) Cookies { first: Cookie(hidden), second: None }"
    );
    assert_eq!(Cookie::derive(&[1; 31]), Err(CookieError { bytes: 31 }));
    assert_ne!(Cookie::derive(&[1; 33]).unwrap(), cookie, "every byte counts");
}
