//! What can go wrong, and how often it did.

use std::{io::ErrorKind, ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

use super::{
    connection::Connection,
    packet::{Body, EndId, Side},
    world::World,
};

/// How often each kind of fault was injected. Calls that changed nothing do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Directions cut, by themselves or in a partition.
    pub cuts: u64,
    /// Directions healed.
    pub heals: u64,
    /// Delays changed.
    pub delays: u64,
    /// Pairs of hosts whose connections were broken.
    pub resets: u64,
    /// Hosts frozen.
    pub freezes: u64,
    /// Hosts thawed.
    pub thaws: u64,
    /// Hosts whose process was killed.
    pub crashes: u64,
    /// Hosts that fell silent.
    pub silent_crashes: u64,
    /// Packets that a cut lost; what shows that a cut hit something.
    pub packets_lost: u64,
    /// Connections broken by resets and crashes.
    pub connections_broken: u64,
}

impl World {
    pub(super) fn cut(&mut self, from: &str, to: &str) {
        if std::mem::replace(&mut self.link(from, to).cut, true) {
            return;
        }
        self.counts.cuts += 1;
        let on_the_way = |world: &Self, packet| {
            world.path(packet).is_some_and(|(start, end)| &*start == from && &*end == to)
        };
        let keys: Vec<_> = self
            .schedule
            .iter()
            .filter(|(_, packet)| on_the_way(self, packet))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let packet = self.schedule.remove(&key).expect("it was just seen");
            if let Some(connection) = self.connections.get_mut(&packet.to.connection) {
                connection.latest[packet.to.side as usize] = Instant::now();
            }
            // Into the cut link, where it is lost.
            self.transmit(packet);
        }
    }

    pub(super) fn heal(&mut self, from: &str, to: &str) {
        let link = self.link(from, to);
        if !std::mem::replace(&mut link.cut, false) {
            return;
        }
        let lost = std::mem::take(&mut link.lost);
        self.counts.heals += 1;
        lost.into_iter().for_each(|packet| self.transmit(packet));
    }

    pub(super) fn heal_all(&mut self) {
        let paths: Vec<_> = self.links.keys().cloned().collect();
        for (from, to) in paths {
            self.heal(&from, &to);
        }
    }

    pub(super) fn partition(&mut self, groups: &[&[&str]]) {
        for (number, group) in groups.iter().enumerate() {
            let others = groups.iter().enumerate().filter(|(other, _)| *other != number);
            for to in others.flat_map(|(_, other)| other.iter()) {
                group.iter().filter(|from| *from != to).for_each(|from| self.cut(from, to));
            }
        }
    }

    pub(super) fn set_delay(&mut self, from: &str, to: &str, range: RangeInclusive<Duration>) {
        self.counts.delays += 1;
        self.link(from, to).set_delay(range);
    }

    pub(super) fn reset(&mut self, a: &str, b: &str) {
        self.counts.resets += 1;
        for connection in self.connections_where(|connection| connection.is_between(a, b)) {
            let [dialer, acceptor] = [Side::Dialer, Side::Acceptor]
                .map(|side| self.break_end(EndId { connection, side }, ErrorKind::ConnectionReset));
            self.counts.connections_broken += u64::from(dialer || acceptor);
        }
    }

    pub(super) fn freeze(&mut self, name: &str) {
        let host = self.host(name);
        if !std::mem::replace(&mut host.is_frozen, true) {
            self.counts.freezes += 1;
        }
    }

    pub(super) fn thaw(&mut self, name: &str) {
        let host = self.host(name);
        if !std::mem::replace(&mut host.is_frozen, false) {
            return;
        }
        self.counts.thaws += 1;
        self.go_on(name);
    }

    /// A host that had fallen silent answers again, knowing nothing of what it did before.
    pub(super) fn light(&mut self, name: &str) {
        let host = self.host(name);
        if std::mem::replace(&mut host.is_dark, false) {
            self.go_on(name);
        }
    }

    pub(super) fn crash(&mut self, name: &str, silently: bool) {
        let counter = if silently { &mut self.counts.silent_crashes } else { &mut self.counts.crashes };
        *counter += 1;
        let host = self.host(name);
        host.boot += 1;
        host.is_frozen = false;
        host.is_dark = silently;
        host.outbox.clear();
        let listeners = std::mem::take(&mut host.listeners);
        self.break_ends_at(name);
        for listener in listeners.into_values() {
            self.wake(listener.waker);
            for connection in listener.queue {
                self.release(EndId { connection, side: Side::Acceptor });
            }
        }
        self.go_on(name);
    }

    fn break_ends_at(&mut self, name: &str) {
        for side in [Side::Dialer, Side::Acceptor] {
            for connection in self.connections_where(|connection| **connection.host(side) == *name) {
                let end = EndId { connection, side };
                if self.break_end(end, ErrorKind::ConnectionAborted) {
                    self.counts.connections_broken += 1;
                    self.probe(end);
                }
            }
        }
    }

    /// The peer of `end` asks whether it still exists, if its window is full: it cannot find out by sending.
    fn probe(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        if connection.end(end.peer().side).room().is_none() {
            self.send(end, Body::Probe);
        }
    }

    /// Delivers and sends what waited at a host, and wakes everybody there.
    fn go_on(&mut self, name: &str) {
        if self.host(name).takes_nothing() {
            return;
        }
        let outbox = std::mem::take(&mut self.host(name).outbox);
        outbox.into_iter().for_each(|packet| self.transmit(packet));
        let inbox = std::mem::take(&mut self.host(name).inbox);
        inbox.into_iter().for_each(|packet| self.deliver(packet));
        let listeners: Vec<_> =
            self.host(name).listeners.values_mut().filter_map(|listener| listener.waker.take()).collect();
        self.wake(listeners);
        for side in [Side::Dialer, Side::Acceptor] {
            for connection in self.connections_where(|connection| **connection.host(side) == *name) {
                let connection = self.connections.get_mut(&connection).expect("it was just seen");
                let wakers = connection.end(side).wakers();
                self.wake(wakers.into_iter().flatten());
            }
        }
    }

    fn connections_where(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let wanted = self.connections.iter().filter(|(_, connection)| wanted(connection));
        wanted.map(|(id, _)| *id).collect()
    }
}
