//! Who may reach whom, by the NetworkPolicies; and which pod a Service leads to: both as rules of a packet filter.
//!
//! Comes in: the policies, and everybody there is, with addresses. Leaves: for each pod what may come in and go out.

mod filter;

use std::net::Ipv4Addr;

pub use self::filter::{Forward, filter};
use super::objects::{
    Objects,
    meta::{Labels, PortRef, Selector},
    network_policy::{Direction, IpBlock, NetworkPolicy, Peer, PolicyPort},
    pod::{Container, Protocol},
};

/// Somebody with an address: a pod of ours or of somebody else.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// Where it is.
    pub address: Ipv4Addr,
    /// In which namespace.
    pub namespace: String,
    /// What selectors see of it.
    pub labels: Labels,
    /// Its names of ports, if it has any.
    pub container: Option<Container>,
}

/// Who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// No policy is about it: everybody.
    Open,
    /// Only what is on the list.
    Only(Vec<Allow>),
}

/// A way that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// With whom.
    pub who: Who,
    /// Where. None: everywhere.
    pub ports: Vec<Ports>,
}

/// With whom a way is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// With everybody.
    Everybody,
    /// With these.
    These(Vec<Ipv4Addr>),
    /// With these addresses.
    Block(IpBlock),
}

/// Ports from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of which kind.
    pub protocol: Protocol,
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// Who may open connections with `party` in this direction.
#[must_use]
pub fn access(objects: &Objects, party: &Party, others: &[Party], direction: Direction) -> Access {
    let is_about = |policy: &&NetworkPolicy| {
        party.namespace == objects.namespace
            && policy.spec.pod_selector.matches(&party.labels)
            && policy.spec.is_about(direction)
    };
    let mut about = objects.network_policies.values().filter(is_about).peekable();
    if about.peek().is_none() {
        return Access::Open;
    }
    let allowed = |policy: &NetworkPolicy| -> Vec<Allow> {
        let spec = &policy.spec;
        let namespace = &objects.namespace;
        match direction {
            Direction::Ingress => {
                let rules = spec.ingress.iter();
                rules.flat_map(|rule| ways(&rule.from, &rule.ports, namespace, others, Some(party))).collect()
            }
            Direction::Egress => {
                let rules = spec.egress.iter();
                rules.flat_map(|rule| ways(&rule.to, &rule.ports, namespace, others, None)).collect()
            }
        }
    };
    Access::Only(about.flat_map(allowed).collect())
}

/// Names of ports are those of `target`, or, where there is none, of whoever is gone to.
fn ways(
    peers: &[Peer],
    ports: &[PolicyPort],
    namespace: &str,
    others: &[Party],
    target: Option<&Party>,
) -> Vec<Allow> {
    let has_names = ports.iter().any(|port| matches!(port.port, Some(PortRef::Name(_))));
    let with = |who: Who, target: Option<&Party>| {
        let known: Vec<_> = ports.iter().filter_map(|port| numbers(port, target)).collect();
        // A list of names that nobody has is no way at all, not one to all ports.
        (ports.is_empty() || !known.is_empty()).then_some(Allow { who, ports: known })
    };
    let mut found = Vec::new();
    let everybody = peers.is_empty().then_some(Who::Everybody);
    for who in everybody.into_iter().chain(peers.iter().map(|peer| meant(peer, namespace, others))) {
        match (&who, target) {
            (Who::These(addresses), None) if has_names => {
                let each = others.iter().filter(|other| addresses.contains(&other.address));
                found.extend(each.filter_map(|other| with(Who::These(vec![other.address]), Some(other))));
            }
            _ => found.extend(with(who, target)),
        }
    }
    found
}

fn meant(peer: &Peer, namespace: &str, others: &[Party]) -> Who {
    if let Some(block) = &peer.ip_block {
        return Who::Block(block.clone());
    }
    let is_meant = |other: &&Party| {
        let is_there = match &peer.namespace_selector {
            Some(selector) => selector.matches(&namespace_labels(&other.namespace)),
            None => other.namespace == namespace,
        };
        is_there
            && peer.pod_selector.as_ref().is_none_or(|selector: &Selector| selector.matches(&other.labels))
    };
    Who::These(others.iter().filter(is_meant).map(|other| other.address).collect())
}

/// The one label that every namespace has.
fn namespace_labels(namespace: &str) -> Labels {
    [("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())].into()
}

fn numbers(port: &PolicyPort, target: Option<&Party>) -> Option<Ports> {
    let first = match &port.port {
        None => return Some(Ports { protocol: port.protocol, first: 0, last: u16::MAX }),
        Some(named) => match (named, target) {
            (PortRef::Number(number), _) => *number,
            (PortRef::Name(_), target) => target?.container.as_ref()?.port(named)?,
        },
    };
    Some(Ports { protocol: port.protocol, first, last: port.end_port.unwrap_or(first) })
}

#[cfg(test)]
mod tests;
