//! Everything that is on its way, and everybody who waits for it.

use std::{collections::BTreeMap, io::ErrorKind, sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    connection::{Connection, State},
    faults::FaultCounts,
    host::HostState,
    link::Link,
    packet::{Body, EndId, Packet, Side},
};

/// How many connections wait at a listener to be accepted; more try again, as TCP does.
const ACCEPT_QUEUE_MAX: usize = 128;
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The state of an end whose stream was dropped; nobody sees this error.
const CLOSED: ErrorKind = ErrorKind::NotConnected;

/// From one host to another.
pub(super) type Path = (Arc<str>, Arc<str>);

#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    origin: Instant,
    pub(super) hosts: BTreeMap<Arc<str>, HostState>,
    pub(super) links: BTreeMap<Path, Link>,
    /// Names under which hosts listen beside their own.
    pub(super) aliases: BTreeMap<String, Arc<str>>,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// By time and, at the same time, by the order of sending.
    pub(super) schedule: BTreeMap<(Instant, u64), Packet>,
    last_number: u64,
    ready: Vec<Waker>,
    fingerprint: u64,
    pub(super) counts: FaultCounts,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            origin: Instant::now(),
            hosts: BTreeMap::new(),
            links: BTreeMap::new(),
            aliases: BTreeMap::new(),
            connections: BTreeMap::new(),
            schedule: BTreeMap::new(),
            last_number: 0,
            ready: Vec::new(),
            fingerprint: 0,
            counts: FaultCounts::default(),
        }
    }

    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take_ready(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.ready)
    }

    pub(super) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.ready.extend(wakers);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The host `name`; made if nobody named it before.
    pub(super) fn host(&mut self, name: &str) -> &mut HostState {
        let name = self.name(name);
        self.hosts.get_mut(&name).expect("it was just made")
    }

    /// The one copy of a host's name.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some((known, _)) = self.hosts.get_key_value(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.hosts.insert(name.clone(), HostState::default());
        name
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> &mut Link {
        let path = (self.name(from), self.name(to));
        let seed = self.seed;
        self.links.entry(path).or_insert_with(|| Link::new(seed, from, to))
    }

    /// Between which hosts a packet travels; `None` if its connection was forgotten.
    pub(super) fn path(&self, packet: &Packet) -> Option<Path> {
        let connection = self.connections.get(&packet.to.connection)?;
        Some((connection.host(packet.to.peer().side).clone(), connection.host(packet.to.side).clone()))
    }

    /// Sends from the host of the other end, once that host is not frozen.
    pub(super) fn send(&mut self, to: EndId, body: Body) {
        let packet = Packet { to, body };
        let Some((from, _)) = self.path(&packet) else { return };
        let host = self.host(&from);
        if host.is_frozen {
            host.outbox.push_back(packet);
        } else {
            self.transmit(packet);
        }
    }

    /// Puts a packet on the wire.
    pub(super) fn transmit(&mut self, packet: Packet) {
        let Some((from, to)) = self.path(&packet) else { return };
        let link = self.link(&from, &to);
        if link.cut {
            link.lost.push_back(packet);
            self.counts.packets_lost += 1;
            return;
        }
        let earliest = Instant::now() + link.draw_delay();
        let side = packet.to.side as usize;
        let connection = self.connections.get_mut(&packet.to.connection).expect("it has a path");
        let at = earliest.max(connection.latest[side]);
        connection.latest[side] = at;
        self.schedule(at, packet);
    }

    fn schedule(&mut self, at: Instant, packet: Packet) {
        let number = self.next_number();
        self.schedule.insert((at, number), packet);
    }

    /// Delivers what is due and says when there is more to do.
    pub(super) fn run_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some(entry) = self.schedule.first_entry().filter(|entry| entry.key().0 <= now) {
            let packet = entry.remove();
            self.arrive(packet);
        }
        self.next_due()
    }

    fn arrive(&mut self, packet: Packet) {
        let Some((_, to)) = self.path(&packet) else { return };
        let host = self.host(&to);
        if host.takes_nothing() {
            host.inbox.push_back(packet);
        } else {
            self.deliver(packet);
        }
    }

    pub(super) fn deliver(&mut self, packet: Packet) {
        self.note(&packet);
        let Packet { to, body } = packet;
        match body {
            Body::Open(port) => self.deliver_open(to, port),
            Body::Reset => _ = self.break_end(to, ErrorKind::ConnectionReset),
            Body::Refused => _ = self.break_end(to, ErrorKind::ConnectionRefused),
            body => self.deliver_to_open(to, body),
        }
    }

    fn deliver_open(&mut self, to: EndId, port: u16) {
        let Some(connection) = self.connections.get_mut(&to.connection) else { return };
        let host = connection.host(to.side).clone();
        let listener = self.hosts.get_mut(&host).and_then(|host| host.listeners.get_mut(&port));
        let Some(listener) = listener else {
            return self.send(to.peer(), Body::Refused);
        };
        if listener.queue.len() >= ACCEPT_QUEUE_MAX {
            return self.schedule(Instant::now() + OPEN_AGAIN_AFTER, Packet { to, body: Body::Open(port) });
        }
        listener.queue.push_back(to.connection);
        self.ready.extend(listener.waker.take());
        let end = connection.end(to.side);
        end.state = State::Open;
        end.is_held = true;
        self.send(to.peer(), Body::Accepted);
    }

    fn deliver_to_open(&mut self, to: EndId, body: Body) {
        let Some(connection) = self.connections.get_mut(&to.connection) else { return };
        let end = connection.end(to.side);
        let waker = match (end.state, body) {
            (State::Broken(_), Body::Credit(_)) | (State::Broken(CLOSED), Body::Finish) => None,
            (State::Broken(_), _) => return self.send(to.peer(), Body::Reset),
            (State::Opening, Body::Accepted) => {
                end.state = State::Open;
                end.wakers()[0].take()
            }
            (_, Body::Data(bytes)) => end.push(bytes),
            (_, Body::Credit(bytes)) => end.credit(bytes),
            (_, Body::Finish) => end.finish(),
            _ => None,
        };
        self.wake(waker);
    }

    /// The end forgets the connection; says whether it knew it.
    pub(super) fn break_end(&mut self, id: EndId, kind: ErrorKind) -> bool {
        let Some(connection) = self.connections.get_mut(&id.connection) else { return false };
        let end = connection.end(id.side);
        let is_known = match end.state {
            State::Opening => id.side == Side::Dialer,
            State::Open => true,
            State::Broken(_) => false,
        };
        if is_known {
            let wakers = end.break_with(kind);
            self.wake(wakers.into_iter().flatten());
        }
        is_known
    }

    /// Nobody holds this end any more.
    pub(super) fn release(&mut self, id: EndId) {
        let Some(connection) = self.connections.get_mut(&id.connection) else { return };
        let end = connection.end(id.side);
        end.is_held = false;
        let farewell = match end.state {
            State::Broken(_) => None,
            // As TCP does: who closes without having read everything resets.
            _ if end.has_unread() => Some(Body::Reset),
            _ if end.finish_sent => None,
            _ => Some(Body::Finish),
        };
        // Whoever held it is gone: nobody is left to wake.
        end.break_with(CLOSED);
        if connection.is_forgotten() {
            self.forget(id.connection);
        } else if let Some(body) = farewell {
            self.send(id.peer(), body);
        }
    }

    /// Removes every trace of a connection that nobody holds.
    fn forget(&mut self, connection: u64) {
        self.connections.remove(&connection);
        let other = |packet: &Packet| packet.to.connection != connection;
        self.links.values_mut().for_each(|link| link.lost.retain(other));
        for host in self.hosts.values_mut() {
            host.inbox.retain(other);
            host.outbox.retain(other);
        }
    }

    fn note(&mut self, packet: &Packet) {
        let elapsed = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let [kind, content] = packet.body.digest();
        let side = packet.to.side as u64;
        let facts = [self.fingerprint, elapsed, packet.to.connection, side, kind, content];
        self.fingerprint = xxh3_64(&facts.map(u64::to_le_bytes).concat());
    }
}
