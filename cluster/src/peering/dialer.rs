//! Dials every discovered address for ever: first the control lane; once the peer answers on it, the others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::environment::watch;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{
    Cookie, Lane, Session,
    handshake::{Channel, HandshakeError},
    hello::Refusal,
    link::Link,
};

/// Which addresses have a task, and which are this node's own.
pub(super) struct Dialer {
    link: Arc<Link>,
    discovered: watch::Receiver<BTreeSet<String>>,
    known: Mutex<Known>,
    /// A task ended: its address may have been discovered again meanwhile.
    ended: Notify,
}

#[derive(Default)]
struct Known {
    dialed: BTreeSet<String>,
    own: BTreeSet<String>,
    /// Those past the maximum, of which it was told.
    excess: BTreeSet<String>,
}

impl Dialer {
    pub(super) fn new(link: Arc<Link>, discovered: watch::Receiver<BTreeSet<String>>) -> Arc<Self> {
        Arc::new(Self { link, discovered, known: Mutex::default(), ended: Notify::new() })
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut discovered = self.discovered.clone();
        let mut is_known_for_ever = false;
        loop {
            let addresses = discovered.borrow_and_update().clone();
            self.start_missing(&addresses);
            tokio::select! {
                biased;
                () = self.ended.notified() => {}
                changed = discovered.changed(), if !is_known_for_ever => is_known_for_ever = changed.is_err(),
            }
        }
    }

    fn start_missing(self: &Arc<Self>, addresses: &BTreeSet<String>) {
        let mut known = self.known.lock();
        known.own.retain(|address| addresses.contains(address));
        known.excess.retain(|address| addresses.contains(address));
        for address in addresses {
            if known.dialed.contains(address) || known.own.contains(address) {
                continue;
            }
            if known.dialed.len() < self.link.config.addresses_max {
                known.excess.remove(address);
                known.dialed.insert(address.clone());
                self.start(address.clone());
            } else if known.excess.len() < self.link.config.addresses_max
                && known.excess.insert(address.clone())
            {
                self.link.statistics.addresses_refused.increment();
                tracing::warn!(address, "more addresses were discovered than are dialed; this one is not");
            }
        }
    }

    fn start(self: &Arc<Self>, address: String) {
        let dialer = Arc::clone(self);
        self.link.tasks.spawn_until_stop(async move {
            let is_own = Target::new(&dialer, &address).dial_until_gone().await;
            let mut known = dialer.known.lock();
            known.dialed.remove(&address);
            if is_own {
                known.own.insert(address);
            }
            dialer.ended.notify_one();
        });
    }
}

/// One address.
struct Target<'a> {
    link: &'a Arc<Link>,
    discovered: &'a watch::Receiver<BTreeSet<String>>,
    address: &'a str,
    /// What was said about it last, so that it is said once.
    said: Mutex<String>,
}

impl<'a> Target<'a> {
    fn new(dialer: &'a Dialer, address: &'a str) -> Self {
        Self { link: &dialer.link, discovered: &dialer.discovered, address, said: Mutex::default() }
    }

    /// Returns when the address is not worth dialing any more; true: because it is our own.
    async fn dial_until_gone(&self) -> bool {
        let mut backoff = Backoff::new(self.link);
        let mut reached = self.link.environment.now();
        loop {
            match self.dial(Lane::Control, None).await {
                Ok(control) => {
                    if self.hold(&control).await {
                        backoff.reset();
                    }
                    reached = self.link.environment.now();
                }
                Err(HandshakeError::RefusedByPeer(Refusal::Myself)) => return true,
                Err(HandshakeError::Refused(Refusal::AlreadyConnected)) => {
                    reached = self.link.environment.now();
                    backoff.be_patient();
                }
                Err(_) => {}
            }
            backoff.pause().await;
            if self.is_gone(reached) {
                return false;
            }
        }
    }

    fn is_gone(&self, reached: Instant) -> bool {
        let is_discovered = self.discovered.borrow().contains(self.address);
        !is_discovered && self.link.environment.now() - reached >= self.link.config.forget_after
    }

    /// Keeps the other lanes up until the control lane closes. Returns whether the peer ever answered.
    async fn hold(&self, control: &Arc<Session>) -> bool {
        tokio::select! {
            biased;
            () = control.closed() => return false,
            () = control.pulse.answered() => {}
        }
        let shared = self.link.shared_lanes_to(control.peer().raft_id);
        let lanes = Lane::others(self.link.config.shard_lanes.get(), shared);
        let kept = join_all(lanes.map(|lane| self.keep(lane, control)));
        tokio::select! {
            biased;
            () = control.closed() => {}
            // The peer has none of them.
            _ = kept => control.closed().await,
        }
        true
    }

    /// Dials a lane again and again, unless the peer does not have it: that stays so until it starts again, and then there is
    /// another control lane.
    async fn keep(&self, lane: Lane, control: &Session) {
        let mut backoff = Backoff::new(self.link);
        loop {
            match self.dial(lane, Some(control)).await {
                Ok(session) => {
                    if self.outlive(&session).await {
                        backoff.reset();
                    }
                }
                Err(HandshakeError::RefusedByPeer(Refusal::NoSuchLane)) => return,
                Err(_) => {}
            }
            backoff.pause().await;
        }
    }

    /// Returns when the session has ended; whether it was in order. One of processes may answer and end at once, again and
    /// again, because of what is said on it.
    async fn outlive(&self, session: &Session) -> bool {
        let opened = self.link.environment.now();
        tokio::select! {
            biased;
            () = session.closed() => return false,
            () = session.pulse.answered() => session.closed().await,
        }
        let lived = self.link.environment.now() - opened;
        !session.lane().is_shared() || lived >= self.link.config.redial_max
    }

    async fn dial(&self, lane: Lane, control: Option<&Session>) -> Result<Arc<Session>, HandshakeError> {
        let outcome = self.dial_with_any_cookie(lane, control).await;
        match &outcome {
            Ok(session) if session.lane() == Lane::Control => self.said.lock().clear(),
            Ok(_) | Err(HandshakeError::RefusedByPeer(Refusal::NoSuchLane)) => {}
            Err(error) => {
                self.link.statistics.dial_failures.increment();
                self.say(error);
            }
        }
        outcome
    }

    /// While cookies are exchanged, a peer may still have, or already have, only the other one.
    async fn dial_with_any_cookie(
        &self,
        lane: Lane,
        control: Option<&Session>,
    ) -> Result<Arc<Session>, HandshakeError> {
        let cookies = self.link.cookies.cookies();
        let outcome = self.dial_in_time(lane, control, &cookies.first).await;
        match (&outcome, &cookies.second) {
            (Err(HandshakeError::Unanswered | HandshakeError::Unauthenticated), Some(second)) => {
                self.dial_in_time(lane, control, second).await
            }
            _ => outcome,
        }
    }

    async fn dial_in_time(
        &self,
        lane: Lane,
        control: Option<&Session>,
        cookie: &Cookie,
    ) -> Result<Arc<Session>, HandshakeError> {
        self.link.statistics.dialed.increment();
        let dialing = async {
            let connection = self.link.environment.network().connect(self.address).await?;
            let channel = Channel::dial(connection, cookie, self.link.config.hello_bytes_max).await?;
            self.link.introduce(channel, lane, self.address, control).await
        };
        let outcome = timeout(self.link.config.handshake_timeout, dialing).await;
        outcome.unwrap_or(Err(HandshakeError::Timeout))
    }

    /// An address that leads to ourselves, or to a peer that is connected, is nothing to worry about.
    fn say(&self, error: &HandshakeError) {
        let quiet = [Refusal::Myself, Refusal::AlreadyConnected];
        if let HandshakeError::Refused(refusal) | HandshakeError::RefusedByPeer(refusal) = error
            && quiet.contains(refusal)
        {
            return;
        }
        let text = error.to_string();
        let mut said = self.said.lock();
        if *said != text {
            tracing::warn!(
                address = self.address,
                error = error as &dyn std::error::Error,
                "cannot connect to a peer"
            );
            *said = text;
        }
    }
}

/// Pauses that double, with jitter so that nodes that lost each other do not meet again and again.
struct Backoff<'a> {
    link: &'a Link,
    next: Duration,
}

impl<'a> Backoff<'a> {
    fn new(link: &'a Link) -> Self {
        Self { link, next: link.config.redial_min }
    }

    fn reset(&mut self) {
        self.next = self.link.config.redial_min;
    }

    fn be_patient(&mut self) {
        self.next = self.link.config.redial_max;
    }

    /// Ends early when an unknown peer reached us: it may be the one that is dialed.
    async fn pause(&mut self) {
        let pause = self.link.environment.random_duration(self.next / 2, self.next);
        self.next = (self.next * 2).min(self.link.config.redial_max);
        tokio::select! {
            biased;
            () = self.link.redial.notified() => {}
            () = sleep(pause) => {}
        }
    }
}
