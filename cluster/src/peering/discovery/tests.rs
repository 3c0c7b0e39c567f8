//! Discovery against answers that the test makes up.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tracing::Level;

use super::*;
use crate::{environment::Environment, peering::captured_log::CapturedLog};

type Answer<T> = Result<Vec<T>, ResolveError>;

/// Says what it was told to say, and remembers when it was asked for addresses.
struct Script {
    services: Mutex<Answer<ServiceTarget>>,
    addresses: Mutex<Answer<IpAddr>>,
    services_hang: AtomicBool,
    addresses_hang: AtomicBool,
    asked: Mutex<Vec<(String, Instant)>>,
}

impl Script {
    fn empty() -> Arc<Self> {
        Arc::new(Self {
            services: Mutex::new(Ok(Vec::new())),
            addresses: Mutex::new(Ok(Vec::new())),
            services_hang: AtomicBool::new(false),
            addresses_hang: AtomicBool::new(false),
            asked: Mutex::new(Vec::new()),
        })
    }

    fn with_addresses(addresses: &[&str]) -> Arc<Self> {
        let script = Self::empty();
        script.say_addresses(addresses);
        script
    }

    fn say_addresses(&self, addresses: &[&str]) {
        *self.addresses.lock() = Ok(addresses.iter().map(|ip| ip.parse().unwrap()).collect());
    }

    fn say_services(&self, targets: &[(&str, u16)]) {
        let target = |(host, port): &(&str, u16)| ServiceTarget { host: (*host).to_owned(), port: *port };
        *self.services.lock() = Ok(targets.iter().map(target).collect());
    }

    /// The pauses between questions since the last call.
    fn take_pauses(&self) -> Vec<Duration> {
        let asked = std::mem::take(&mut *self.asked.lock());
        asked.windows(2).map(|pair| pair[1].1 - pair[0].1).collect()
    }
}

fn failure(reason: &str) -> ResolveError {
    ResolveError { name: "peers".to_owned(), reason: reason.to_owned() }
}

impl Resolve for Script {
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answer<ServiceTarget>> {
        assert_eq!(name, "_peer._tcp.peers");
        Box::pin(async {
            if self.services_hang.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            self.services.lock().clone()
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answer<IpAddr>> {
        self.asked.lock().push((name.to_owned(), Instant::now()));
        Box::pin(async {
            if self.addresses_hang.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            self.addresses.lock().clone()
        })
    }
}

fn start(script: &Arc<Script>) -> Dns {
    start_with(script, DnsConfig::new("peers", 4370))
}

fn start_with(script: &Arc<Script>, config: DnsConfig) -> Dns {
    Dns::start(config, script.clone(), &Environment::simulated(5))
}

/// Lets a lookup happen, whatever the pause before it.
async fn later() {
    sleep(Duration::from_secs(60)).await;
}

fn known(discovery: &impl Discovery) -> Vec<String> {
    discovery.addresses().borrow().iter().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_static_list_is_there_at_once() {
    let list = StaticList::new(["b:1", "a:1", "b:1"]);
    assert_eq!(known(&list), ["a:1", "b:1"]);
}

#[tokio::test(start_paused = true)]
async fn addresses_get_the_port() {
    let discovery = start(&Script::with_addresses(&["10.0.0.2", "fd00::1"]));
    let mut addresses = discovery.addresses();
    addresses.wait_for(|known| !known.is_empty()).await.unwrap();
    assert_eq!(known(&discovery), ["10.0.0.2:4370", "[fd00::1]:4370"]);
    assert_eq!(discovery.failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_win_over_addresses() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    script.say_services(&[("b.peers", 7), ("a.peers", 4370)]);
    let discovery = start(&script);
    later().await;
    assert_eq!(known(&discovery), ["a.peers:4370", "b.peers:7"]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_published_and_repetitions_are_not() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    let discovery = start(&script);
    let mut addresses = discovery.addresses();
    later().await;
    let _ = addresses.borrow_and_update();
    later().await;
    assert!(!addresses.has_changed().unwrap());
    script.say_addresses(&["10.0.0.3"]);
    addresses.changed().await.unwrap();
    assert_eq!(known(&discovery), ["10.0.0.3:4370"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_empty_lookup_takes_nothing_away() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    let discovery = start(&script);
    later().await;
    for answer in [Err(failure("refused")), Ok(Vec::new())] {
        let failures = discovery.failures();
        *script.addresses.lock() = answer;
        later().await;
        assert_eq!(known(&discovery), ["10.0.0.2:4370"]);
        assert!(discovery.failures() > failures);
    }
    script.say_addresses(&["10.0.0.9"]);
    later().await;
    assert_eq!(known(&discovery), ["10.0.0.9:4370"]);
}

#[tokio::test(start_paused = true)]
async fn services_that_cannot_be_asked_for_do_not_become_addresses() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    *script.services.lock() = Err(failure("not implemented"));
    let discovery = start(&script);
    later().await;
    // A server that never knew services is asked for addresses.
    assert_eq!((known(&discovery), discovery.failures()), (vec!["10.0.0.2:4370".to_owned()], 0));

    script.say_services(&[("a.peers", 4370)]);
    later().await;
    *script.services.lock() = Err(failure("timed out"));
    later().await;
    assert_eq!(known(&discovery), ["a.peers:4370"]);
    assert!(discovery.failures() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_swallowed_delays_the_other_by_its_limit_only() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    script.services_hang.store(true, Relaxed);
    let discovery = start(&script);
    let began = Instant::now();
    discovery.addresses().wait_for(|known| !known.is_empty()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(10));

    script.addresses_hang.store(true, Relaxed);
    later().await;
    assert!(discovery.failures() > 0);
    script.addresses_hang.store(false, Relaxed);
    script.say_addresses(&["10.0.0.3"]);
    later().await;
    assert_eq!(known(&discovery), ["10.0.0.3:4370"]);
}

#[tokio::test(start_paused = true)]
async fn it_asks_at_the_interval_with_jitter() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    let _discovery = start(&script);
    sleep(Duration::from_secs(300)).await;
    let pauses = script.take_pauses();
    assert!(pauses.len() >= 45, "{}", pauses.len());
    let (short, long) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*short >= Duration::from_secs(4) && *long <= Duration::from_millis(6_001), "{short:?} {long:?}");
    assert!(*long - *short > Duration::from_millis(500), "{short:?} {long:?}");
}

#[tokio::test(start_paused = true)]
async fn it_backs_off_while_it_fails_and_not_after() {
    let script = Script::empty();
    let _discovery = start(&script);
    sleep(Duration::from_secs(600)).await;
    let pauses = script.take_pauses();
    for (number, pause) in pauses.iter().enumerate() {
        let most = Duration::from_millis(500 << number.min(6)).min(Duration::from_secs(30));
        let allowed = most / 2..=most + Duration::from_millis(1);
        assert!(allowed.contains(pause), "{number}: {pause:?} is not in {allowed:?}");
    }
    assert!(pauses.len() > 20, "{}", pauses.len());

    script.say_addresses(&["10.0.0.2"]);
    later().await;
    script.take_pauses();
    sleep(Duration::from_secs(100)).await;
    assert!(script.take_pauses().iter().all(|pause| *pause <= Duration::from_millis(6_001)));
}

#[tokio::test(start_paused = true)]
async fn seeds_are_always_known() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    let seeds = BTreeSet::from(["seed:1".to_owned()]);
    let discovery = start_with(&script, DnsConfig { seeds, ..DnsConfig::new("peers", 4370) });
    assert_eq!(known(&discovery), ["seed:1"]);
    later().await;
    assert_eq!(known(&discovery), ["10.0.0.2:4370", "seed:1"]);
    script.say_addresses(&["10.0.0.3"]);
    later().await;
    assert_eq!(known(&discovery), ["10.0.0.3:4370", "seed:1"]);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_bound_of_addresses() {
    let script = Script::with_addresses(&["10.0.0.3", "10.0.0.1", "10.0.0.2"]);
    let discovery = start_with(&script, DnsConfig { addresses_max: 2, ..DnsConfig::new("peers", 1) });
    later().await;
    assert_eq!(known(&discovery), ["10.0.0.1:1", "10.0.0.2:1"]);
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_changes_and_nothing_twice() {
    let log = CapturedLog::start();
    let script = Script::with_addresses(&["10.0.0.2"]);
    let _discovery = start(&script);
    let levels = async || {
        later().await;
        later().await;
        log.take().into_iter().map(|(level, _)| level).collect::<Vec<_>>()
    };
    assert_eq!(levels().await, [Level::INFO]);
    *script.addresses.lock() = Err(failure("refused"));
    assert_eq!(levels().await, [Level::WARN]);
    script.addresses.lock().as_mut().unwrap_err().reason = "timed out".to_owned();
    assert_eq!(levels().await, [Level::WARN]);
    script.say_addresses(&["10.0.0.2"]);
    assert_eq!(levels().await, [Level::INFO]);
    assert!(levels().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_dropped() {
    let script = Script::with_addresses(&["10.0.0.2"]);
    let discovery = start(&script);
    later().await;
    drop(discovery);
    script.asked.lock().clear();
    later().await;
    assert!(script.asked.lock().is_empty());
    assert_eq!(Arc::strong_count(&script), 1);
}
