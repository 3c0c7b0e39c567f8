//! What the network promises, on a paused clock.

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, advance, timeout},
};

use super::*;
use crate::environment::{Connection, Listener};

type Stream = Box<dyn Connection>;

const LONG: Duration = Duration::from_secs(3_600);

/// Hosts `a` and `b`, and a connection that `a` opened.
struct Story {
    network: SimulatedNetwork,
    listener: Box<dyn Listener>,
    a: Stream,
    b: Stream,
}

impl Story {
    async fn new() -> Self {
        Self::of(SimulatedNetwork::new(1)).await
    }

    async fn of(network: SimulatedNetwork) -> Self {
        let mut listener = network.host("b").listen("b:4370").await.unwrap();
        let a = network.host("a").connect("b:4370").await.unwrap();
        let (b, from) = listener.accept().await.unwrap();
        assert!(from.starts_with("a:"), "{from}");
        Self { network, listener, a, b }
    }
}

async fn text(stream: &mut Stream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(LONG, stream.read_exact(&mut bytes)).await.expect("it arrives").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// On the paused clock this lets everything happen that is due.
async fn everything_arrives() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Nothing can be read, however long one waits.
async fn is_silent(stream: &mut Stream) {
    let mut byte = [0];
    let read = timeout(LONG, stream.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?}");
}

async fn read_fails(stream: &mut Stream) -> ErrorKind {
    let read = timeout(LONG, stream.read(&mut [0])).await.expect("the end is told");
    read.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_and_later() {
    let mut story = Story::new().await;
    let (from, to) = (Duration::from_millis(20), Duration::from_millis(90));
    story.network.set_delay("a", "b", from..=to);

    let sent = Instant::now();
    let words: Vec<_> = (0..200).map(|number| format!("{number:04}")).collect();
    for word in &words {
        story.a.write_all(word.as_bytes()).await.unwrap();
    }
    assert_eq!(Instant::now(), sent);

    assert_eq!(text(&mut story.b, 4).await, "0000");
    assert!(sent.elapsed() >= from, "{:?}", sent.elapsed());
    assert_eq!(text(&mut story.b, 4 * 199).await, words[1..].concat());
    assert!(sent.elapsed() <= to + Duration::from_millis(1), "{:?}", sent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn directions_have_delays_of_their_own() {
    let mut story = Story::new().await;
    let slow = Duration::from_secs(5);
    story.network.set_delay("a", "b", slow..=slow);

    story.b.write_all(b"quick").await.unwrap();
    let sent = Instant::now();
    assert_eq!(text(&mut story.a, 5).await, "quick");
    assert!(sent.elapsed() <= Duration::from_millis(4), "{:?}", sent.elapsed());

    story.a.write_all(b"slow").await.unwrap();
    let sent = Instant::now();
    assert_eq!(text(&mut story.b, 4).await, "slow");
    assert_eq!(sent.elapsed(), slow);
}

#[tokio::test(start_paused = true)]
async fn a_packet_does_not_overtake_a_slower_one() {
    let mut story = Story::new().await;
    let slow = Duration::from_secs(9);
    story.network.set_delay("a", "b", slow..=slow);
    story.a.write_all(b"first ").await.unwrap();
    story.network.set_delay("a", "b", Duration::ZERO..=Duration::ZERO);
    story.a.write_all(b"second").await.unwrap();
    assert_eq!(text(&mut story.b, 12).await, "first second");
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_reader() {
    let mut story = Story::new().await;
    let bytes = vec![7; WINDOW_BYTES_MAX];
    story.a.write_all(&bytes).await.unwrap();
    assert!(timeout(LONG, story.a.write_all(b"more")).await.is_err());

    text(&mut story.b, 3).await;
    assert_eq!(timeout(LONG, story.a.write(b"more")).await.unwrap().unwrap(), 3);
    assert!(timeout(LONG, story.a.write(b"more")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_silent_and_one_way() {
    let mut story = Story::new().await;
    story.network.cut("a", "b");
    story.a.write_all(b"lost").await.unwrap();
    story.b.write_all(b"heard").await.unwrap();
    assert_eq!(text(&mut story.a, 5).await, "heard");
    is_silent(&mut story.b).await;

    // No error, ever: the writer waits when the window is full.
    story.a.write_all(&vec![0; WINDOW_BYTES_MAX - 4]).await.unwrap();
    assert!(timeout(LONG, story.a.write(b"x")).await.is_err());

    let counts = story.network.faults();
    assert_eq!((counts.cuts, counts.heals, counts.connections_broken), (1, 0, 0));
    assert!(counts.packets_lost > 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_the_way_back_holds_acknowledgements() {
    let mut story = Story::new().await;
    story.network.cut("b", "a");
    let bytes = "x".repeat(WINDOW_BYTES_MAX);
    story.a.write_all(bytes.as_bytes()).await.unwrap();
    assert_eq!(text(&mut story.b, WINDOW_BYTES_MAX).await, bytes);
    assert!(timeout(LONG, story.a.write(b"x")).await.is_err());

    story.network.heal("b", "a");
    assert_eq!(timeout(LONG, story.a.write(b"x")).await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_into_a_cut_comes_after_it_in_order() {
    let mut story = Story::new().await;
    story.a.write_all(b"arrived, ").await.unwrap();
    everything_arrives().await;
    story.a.write_all(b"on its way, ").await.unwrap();
    story.network.cut("a", "b");
    story.a.write_all(b"during").await.unwrap();

    assert_eq!(text(&mut story.b, 9).await, "arrived, ");
    is_silent(&mut story.b).await;
    story.network.heal("a", "b");
    story.a.write_all(b", after").await.unwrap();
    assert_eq!(text(&mut story.b, 25).await, "on its way, during, after");
}

#[tokio::test(start_paused = true)]
async fn who_connects_through_a_cut_hangs_until_it_heals() {
    let mut story = Story::new().await;
    let host = story.network.host("a");
    for (from, to) in [("a", "b"), ("b", "a")] {
        story.network.cut(from, to);
        assert!(timeout(LONG, host.connect("b:4370")).await.is_err());
        let mut attempt = host.connect("b:4370");
        assert!(timeout(LONG, &mut attempt).await.is_err());
        story.network.heal_all();
        timeout(LONG, attempt).await.unwrap().unwrap();
    }
    // The attempt that was given up never reached `b` through the first cut; through the second it did, and ended.
    let mut ended = 0;
    while let Ok(accepted) = timeout(LONG, story.listener.accept()).await {
        let (mut stream, _) = accepted.unwrap();
        ended += usize::from(timeout(LONG, stream.read(&mut [0])).await.is_ok());
    }
    assert_eq!(ended, 3);
}

#[tokio::test(start_paused = true)]
async fn a_partition_cuts_groups_from_each_other_only() {
    let network = SimulatedNetwork::new(3);
    let hosts = ["a", "b", "c", "d"];
    let mut listeners = Vec::new();
    for host in hosts {
        listeners.push(network.host(host).listen("0.0.0.0:1").await.unwrap());
    }
    network.partition(&[&["a", "b"], &["c"]]);
    let reaches = async |from: &str, to: &str| {
        let connected = timeout(LONG, network.host(from).connect(&format!("{to}:1"))).await;
        connected.is_ok_and(|stream| stream.is_ok())
    };
    for (from, to, expected) in
        [("a", "b", true), ("a", "c", false), ("c", "b", false), ("d", "c", true), ("a", "d", true)]
    {
        assert_eq!(reaches(from, to).await, expected, "{from} → {to}");
    }
    assert_eq!(network.faults().cuts, 4);
    network.heal_all();
    assert_eq!(network.faults().heals, 4);
    assert!(reaches("a", "c").await);
}

#[tokio::test(start_paused = true)]
async fn nobody_listens_is_refused() {
    let story = Story::new().await;
    for address in ["b:1", "a:4370", "nowhere:4370"] {
        let refused = timeout(LONG, story.network.host("a").connect(address)).await.unwrap();
        assert_eq!(refused.err().expect("refused").kind(), ErrorKind::ConnectionRefused, "{address}");
    }
    drop(story.listener);
    let refused = story.network.host("a").connect("b:4370").await;
    assert_eq!(refused.err().expect("refused").kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_like_those_of_a_machine() {
    let network = SimulatedNetwork::new(1);
    let (a, b) = (network.host("a"), network.host("b"));
    let kind = |listener: std::io::Result<Box<dyn Listener>>| listener.err().expect("an error").kind();

    let mut chosen = a.listen("0.0.0.0:0").await.unwrap();
    let other = a.listen("a:0").await.unwrap();
    assert_ne!(chosen.address(), other.address());
    assert!(chosen.address().starts_with("a:"));
    b.connect(&chosen.address()).await.unwrap();
    assert!(chosen.accept().await.unwrap().1.starts_with("b:"));
    a.connect(&chosen.address().replace("a:", "localhost:")).await.unwrap();
    assert!(chosen.accept().await.unwrap().1.starts_with("a:"));

    assert_eq!(kind(a.listen(&chosen.address()).await), ErrorKind::AddrInUse);
    assert_eq!(kind(a.listen("b:1").await), ErrorKind::AddrNotAvailable);
    assert_eq!(kind(a.listen("b").await), ErrorKind::InvalidInput);
    let _alias = b.listen("b.example:7").await.unwrap();
    a.connect("b.example:7").await.unwrap();
    a.connect("b:7").await.unwrap();
    // A port is free again when its listener is gone.
    let address = other.address();
    drop(other);
    a.listen(&address).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_both_ends_and_only_that_pair() {
    let mut story = Story::new().await;
    let mut c = story.network.host("c").connect("b:4370").await.unwrap();
    let (mut with_c, _) = story.listener.accept().await.unwrap();
    story.a.write_all(b"unread").await.unwrap();

    story.network.reset("b", "a");
    assert_eq!(read_fails(&mut story.a).await, ErrorKind::ConnectionReset);
    assert_eq!(read_fails(&mut story.b).await, ErrorKind::ConnectionReset);
    assert_eq!(story.b.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    c.write_all(b"well").await.unwrap();
    assert_eq!(text(&mut with_c, 4).await, "well");

    let counts = story.network.faults();
    assert_eq!((counts.resets, counts.connections_broken), (1, 1));
    story.network.host("a").connect("b:4370").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reset_wakes_who_waits() {
    let Story { network, a, b: _b, listener: _listener } = Story::new().await;
    let (mut reader, mut writer) = tokio::io::split(a);
    writer.write_all(&vec![0; WINDOW_BYTES_MAX]).await.unwrap();
    let fault = async {
        tokio::time::sleep(LONG).await;
        network.reset("a", "b");
    };
    let mut byte = [0];
    let (read, written, ()) = tokio::join!(reader.read(&mut byte), writer.write(b"x"), fault);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_host_neither_takes_nor_gives_then_everything_comes_at_once() {
    let mut story = Story::new().await;
    story.network.freeze("b");
    story.a.write_all(b"one ").await.unwrap();
    is_silent(&mut story.b).await;
    story.a.write_all(b"two").await.unwrap();
    assert!(timeout(LONG, story.b.write(b"x")).await.is_err());
    assert!(timeout(LONG, story.b.shutdown()).await.is_err());
    let mut attempt = story.network.host("a").connect("b:4370");
    assert!(timeout(LONG, &mut attempt).await.is_err());
    assert!(timeout(LONG, story.listener.accept()).await.is_err());
    let mut own = story.network.host("b").connect("b:4370");
    assert!(timeout(LONG, &mut own).await.is_err());

    story.network.thaw("b");
    let thawed = Instant::now();
    assert_eq!(text(&mut story.b, 7).await, "one two");
    assert_eq!(Instant::now(), thawed);
    timeout(LONG, attempt).await.unwrap().unwrap();
    timeout(LONG, own).await.unwrap().unwrap();
    assert_eq!((story.network.faults().freezes, story.network.faults().thaws), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_thaw_wakes_who_waits() {
    let Story { network, a: _a, mut b, mut listener } = Story::new().await;
    network.freeze("b");
    let thaw = async {
        tokio::time::sleep(LONG).await;
        network.thaw("b");
    };
    let connect = network.host("c").connect("b:4370");
    let (written, accepted, _connected, ()) = tokio::join!(b.write(b"x"), listener.accept(), connect, thaw);
    assert_eq!(written.unwrap(), 1);
    assert!(accepted.unwrap().1.starts_with("c:"));
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_noticed_by_who_sends() {
    let mut story = Story::new().await;
    story.b.write_all(b"last").await.unwrap();
    story.network.crash("b");
    assert_eq!(text(&mut story.a, 4).await, "last");
    is_silent(&mut story.a).await;
    story.a.write_all(b"anybody?").await.unwrap();
    assert_eq!(read_fails(&mut story.a).await, ErrorKind::ConnectionReset);
    let refused = story.network.host("a").connect("b:4370").await;
    assert_eq!(refused.err().expect("refused").kind(), ErrorKind::ConnectionRefused);

    // What is left of the process can do nothing.
    assert_eq!(read_fails(&mut story.b).await, ErrorKind::ConnectionAborted);
    assert_eq!(story.listener.accept().await.err().expect("gone").kind(), ErrorKind::NetworkDown);
    assert_eq!((story.network.faults().crashes, story.network.faults().connections_broken), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_with_a_full_window_hears_of_a_crash() {
    let mut story = Story::new().await;
    story.a.write_all(&vec![0; WINDOW_BYTES_MAX]).await.unwrap();
    assert!(timeout(LONG, story.a.write(b"x")).await.is_err());
    story.network.crash("b");
    let written = timeout(LONG, story.a.write(b"x")).await.expect("it is told");
    assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_silent_crash_is_not_noticed_until_the_host_returns() {
    let mut story = Story::new().await;
    let before = story.network.host("b");
    story.network.crash_silently("b");
    story.a.write_all(b"anybody?").await.unwrap();
    is_silent(&mut story.a).await;
    let mut attempt = story.network.host("a").connect("b:4370");
    assert!(timeout(LONG, &mut attempt).await.is_err());
    assert_eq!(before.listen("b:4370").await.err().expect("gone").kind(), ErrorKind::NetworkDown);
    // The streams of the dead process say nothing when they are dropped, whenever that is.
    drop((story.b, story.listener));
    is_silent(&mut story.a).await;

    let mut listener = story.network.host("b").listen("b:4370").await.unwrap();
    assert_eq!(read_fails(&mut story.a).await, ErrorKind::ConnectionReset);
    // The attempt was answered before anybody listened, as after a boot.
    assert!(timeout(LONG, attempt).await.unwrap().is_err());
    story.network.host("a").connect("b:4370").await.unwrap();
    timeout(LONG, listener.accept()).await.unwrap().unwrap();
    assert_eq!((story.network.faults().silent_crashes, story.network.faults().crashes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_stream_after_its_bytes() {
    let mut story = Story::new().await;
    story.a.write_all(b"bye").await.unwrap();
    story.a.shutdown().await.unwrap();
    assert_eq!(story.a.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut rest = String::new();
    story.b.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");

    // The other direction is still open.
    story.b.write_all(b"you too").await.unwrap();
    drop(story.b);
    assert_eq!(text(&mut story.a, 7).await, "you too");
    assert_eq!(story.a.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_without_reading_resets() {
    let mut story = Story::new().await;
    story.a.write_all(b"unread").await.unwrap();
    everything_arrives().await;
    drop(story.b);
    assert_eq!(read_fails(&mut story.a).await, ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn writing_to_who_closed_resets() {
    let mut story = Story::new().await;
    drop(story.b);
    assert_eq!(story.a.read(&mut [0]).await.unwrap(), 0);
    story.a.write_all(b"anybody?").await.unwrap();
    everything_arrives().await;
    assert_eq!(read_fails(&mut story.a).await, ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_closes_resets_who_waits_in_its_queue() {
    let story = Story::new().await;
    let mut waiting = story.network.host("c").connect("b:4370").await.unwrap();
    drop(story.listener);
    assert_eq!(read_fails(&mut waiting).await, ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_connections_that_ended() {
    let story = Story::new().await;
    story.network.cut("a", "b");
    for _ in 0..100 {
        assert!(timeout(Duration::from_secs(1), story.network.host("a").connect("b:4370")).await.is_err());
    }
    drop((story.a, story.b));
    story.network.shared.with(|world| {
        assert!(world.connections.is_empty());
        assert!(world.links.values().all(|link| link.lost.is_empty()));
    });
}

/// Three hosts talk at once through delays and faults; what everybody read and when, and the fingerprint.
async fn noisy_run(seed: u64) -> (Vec<String>, u64) {
    let network = SimulatedNetwork::new(seed);
    let environment = network.environment("script", seed);
    let trace = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let origin = Instant::now();
    for host in ["a", "b", "c"] {
        let (network, trace) = (network.host(host), trace.clone());
        let mut listener = network.listen("0.0.0.0:1").await.unwrap();
        environment.spawn(async move {
            while let Ok((mut stream, from)) = listener.accept().await {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    trace.lock().push(format!("{:?} {from} → {host}: {length}", origin.elapsed()));
                }
            }
        });
    }
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("a", "c")] {
        let network = network.host(from);
        environment.spawn(async move {
            let mut stream = network.connect(&format!("{to}:1")).await.unwrap();
            while stream.write_all(&[1; 3000]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    for step in 0..20 {
        tokio::time::sleep(environment.random_duration(Duration::ZERO, Duration::from_millis(40))).await;
        match step % 5 {
            0 => network.cut("a", "b"),
            1 => network.freeze("c"),
            2 => network.heal_all(),
            3 => network.thaw("c"),
            _ => network.reset("b", "c"),
        }
    }
    (std::mem::take(&mut trace.lock()), network.fingerprint())
}

fn paused<T>(run: impl Future<Output = T>) -> T {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(run)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, again, other) = (paused(noisy_run(7)), paused(noisy_run(7)), paused(noisy_run(8)));
    assert!(first.0.len() > 50, "{}", first.0.len());
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_network_share_a_wall_clock_and_no_random_numbers() {
    let network = SimulatedNetwork::new(1);
    let early = network.environment("a", 1);
    advance(LONG).await;
    let late = network.environment("b", 2);
    assert_eq!(early.wall_ms(), late.wall_ms());
    assert_ne!(early.random_u64(), late.random_u64());
    let listener = late.network().listen("0.0.0.0:4370").await.unwrap();
    assert_eq!(listener.address(), "b:4370");
    early.network().connect(&listener.address()).await.unwrap();
}

/// A run in which nobody holds the network any more has no task left that would keep the clock busy.
#[tokio::test(start_paused = true)]
async fn the_clock_ends_with_the_network() {
    let network = SimulatedNetwork::new(1);
    tokio::task::yield_now().await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(network);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), tasks - 1);
}
