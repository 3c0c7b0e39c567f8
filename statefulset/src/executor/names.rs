//! What the name server of a cluster answers (the DNS specification of Kubernetes, as CoreDNS has it without its cache).
//!
//! Comes in: Services, the pods behind them, and the addresses of Services. Leaves: a [`Zone`], which answers questions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{
    endpoints::{self, PodFacts},
    objects::{
        Objects,
        service::{Service, ServicePort},
    },
};

/// Where all names of a cluster end.
pub const DOMAIN: &str = "cluster.local";

/// All names that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    addresses: BTreeMap<String, BTreeSet<Ipv4Addr>>,
    targets: BTreeMap<String, BTreeSet<Target>>,
}

/// Where a port of a Service is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// A name in this zone.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Addresses.
    A,
    /// Hosts and ports.
    Srv,
    /// Something else.
    Other,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These; none: the name exists, and has nothing of that kind.
    Addresses(Vec<Ipv4Addr>),
    /// These; none: the name exists, and has nothing of that kind.
    Targets(Vec<Target>),
    /// There is no such name.
    NoSuchName,
}

impl Zone {
    /// The names of now. `given` are the addresses of Services that have one.
    #[must_use]
    pub fn of(objects: &Objects, pods: &[PodFacts], given: &BTreeMap<String, Ipv4Addr>) -> Self {
        let mut zone = Self::default();
        for (name, service) in &objects.services {
            let domain = format!("{name}.{}.svc.{DOMAIN}", objects.namespace);
            match given.get(name) {
                Some(address) if !service.is_headless() => zone.add_service(&domain, service, *address),
                _ => zone.add_pods(name, &domain, service, pods),
            }
        }
        zone
    }

    fn add_service(&mut self, domain: &str, service: &Service, address: Ipv4Addr) {
        self.add_address(domain, address);
        for port in &service.spec.ports {
            self.add_target(domain, port, Target { host: domain.to_owned(), port: port.port });
        }
    }

    fn add_pods(&mut self, name: &str, domain: &str, service: &Service, pods: &[PodFacts]) {
        for pod in endpoints::of(service, pods) {
            let host = match pod.subdomain == name {
                true => format!("{}.{domain}", pod.name),
                false => format!("{}.{domain}", pod.address.to_string().replace('.', "-")),
            };
            self.add_address(domain, pod.address);
            self.add_address(&host, pod.address);
            for port in &service.spec.ports {
                let number = pod.container.port(&port.target());
                number.into_iter().for_each(|number| {
                    self.add_target(domain, port, Target { host: host.clone(), port: number });
                });
            }
        }
    }

    fn add_address(&mut self, name: &str, address: Ipv4Addr) {
        self.addresses.entry(name.to_owned()).or_default().insert(address);
    }

    fn add_target(&mut self, domain: &str, port: &ServicePort, target: Target) {
        let name = format!("_{}._{}.{domain}", port.name, port.protocol.lower());
        for name in [name, domain.to_owned()] {
            self.targets.entry(name).or_default().insert(target.clone());
        }
    }

    /// What is said to a question; upper and lower case are the same, and so is a dot at the end.
    #[must_use]
    pub fn answer(&self, name: &str, kind: Kind) -> Answer {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (addresses, targets) = (self.addresses.get(&name), self.targets.get(&name));
        match kind {
            _ if addresses.is_none() && targets.is_none() => Answer::NoSuchName,
            Kind::Srv => Answer::Targets(targets.into_iter().flatten().cloned().collect()),
            Kind::A => Answer::Addresses(addresses.into_iter().flatten().copied().collect()),
            Kind::Other => Answer::Addresses(Vec::new()),
        }
    }
}

/// What tells a pod whom to ask, and where short names are looked up.
#[must_use]
pub fn resolver_file(name_server: Ipv4Addr, namespace: &str) -> String {
    format!(
        "search {namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\nnameserver {name_server}\noptions ndots:5\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{endpoints::tests::pods, objects::tests::objects};

    fn zone(objects: &Objects) -> Zone {
        let given = [("play".to_owned(), Ipv4Addr::new(10, 96, 0, 7))];
        Zone::of(objects, &pods(), &given.into())
    }

    fn addresses(last: &[u8]) -> Answer {
        Answer::Addresses(last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect())
    }

    #[test]
    fn a_headless_service_stands_for_its_pods() {
        let zone = zone(&objects());
        assert_eq!(zone.answer("peers.here.svc.cluster.local.", Kind::A), addresses(&[1, 2, 3]));
        assert_eq!(zone.answer("Play-1.peers.here.svc.cluster.local", Kind::A), addresses(&[2]));
    }

    #[test]
    fn its_port_stands_for_hosts_and_ports() {
        let target = |at| Target { host: format!("play-{at}.peers.here.svc.cluster.local"), port: 4370 };
        let answer = zone(&objects()).answer("_peer._tcp.peers.here.svc.cluster.local.", Kind::Srv);
        assert_eq!(answer, Answer::Targets((0..3).map(target).collect()));
    }

    #[test]
    fn who_is_not_ready_is_not_there_unless_that_is_published() {
        let mut objects = objects();
        let peers = objects.services.get_mut("peers").expect("it is there");
        peers.spec.publish_not_ready_addresses = false;
        let zone = zone(&objects);
        assert_eq!(zone.answer("peers.here.svc.cluster.local", Kind::A), addresses(&[3]));
        assert_eq!(zone.answer("play-0.peers.here.svc.cluster.local", Kind::A), Answer::NoSuchName);
    }

    #[test]
    fn a_service_with_an_address_is_one_name() {
        let zone = zone(&objects());
        let address = Answer::Addresses(vec![Ipv4Addr::new(10, 96, 0, 7)]);
        assert_eq!(zone.answer("play.here.svc.cluster.local", Kind::A), address);
        let target = Target { host: "play.here.svc.cluster.local".to_owned(), port: 80 };
        assert_eq!(
            zone.answer("_http._tcp.play.here.svc.cluster.local", Kind::Srv),
            Answer::Targets(vec![target])
        );
        assert_eq!(zone.answer("play-0.play.here.svc.cluster.local", Kind::A), Answer::NoSuchName);
    }

    #[test]
    fn a_name_without_records_of_that_kind_exists_and_others_do_not() {
        let zone = zone(&objects());
        assert_eq!(zone.answer("peers.here.svc.cluster.local", Kind::Other), Answer::Addresses(Vec::new()));
        for name in [
            "peers",
            "peers.there.svc.cluster.local",
            "example.com",
            "_ops._tcp.peers.here.svc.cluster.local",
        ] {
            assert_eq!(zone.answer(name, Kind::A), Answer::NoSuchName, "{name}");
        }
    }

    #[test]
    fn short_names_are_looked_up_in_the_namespace() {
        let file = resolver_file(Ipv4Addr::new(10, 0, 0, 53), "here");
        assert!(
            file.starts_with("search here.svc.cluster.local svc.cluster.local cluster.local\n"),
            "{file}"
        );
    }
}
