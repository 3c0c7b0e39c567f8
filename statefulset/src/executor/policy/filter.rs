//! Rules in the language of the packet filter `nft`, for the network of one pod.

use std::{fmt::Write, net::Ipv4Addr};

use super::{Access, Allow, Ports, Who};

/// A port of a Service, and the pods behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The address of the Service.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Address and port of each pod that is ready.
    pub to: Vec<(Ipv4Addr, u16)>,
}

/// All rules of a pod, as they replace those before. Connections that are open stay open, as in a cluster.
#[must_use]
pub fn filter(machine: Ipv4Addr, into: &Access, out_of: &Access, services: &[Forward]) -> String {
    let mut rules = String::from(
        "add table ip executor\n\
         add chain ip executor input { type filter hook input priority 0; }\n\
         add chain ip executor output { type filter hook output priority 0; }\n\
         add chain ip executor services { type nat hook output priority -100; }\n\
         flush table ip executor\n",
    );
    for service in services {
        forward(&mut rules, service);
    }
    // The machine of a pod always reaches it: probes come from there.
    direction(&mut rules, "input", "saddr", into, Some(machine));
    direction(&mut rules, "output", "daddr", out_of, None);
    rules
}

fn forward(rules: &mut String, Forward { address, port, to }: &Forward) {
    let rule = format!("add rule ip executor services ip daddr {address} tcp dport {port}");
    if to.is_empty() {
        // As a cluster does it: nobody is there, and says so.
        line(
            rules,
            &format!("add rule ip executor output ip daddr {address} tcp dport {port} reject with tcp reset"),
        );
        return;
    }
    let each = to.iter().enumerate().map(|(at, (pod, port))| format!("{at} : {pod} . {port}"));
    let each = each.collect::<Vec<_>>().join(", ");
    line(rules, &format!("{rule} dnat to numgen random mod {} map {{ {each} }}", to.len()));
}

fn direction(rules: &mut String, chain: &str, end: &str, access: &Access, machine: Option<Ipv4Addr>) {
    let Access::Only(ways) = access else { return };
    let rule = format!("add rule ip executor {chain}");
    let loopback = if chain == "input" { "iif" } else { "oif" };
    line(rules, &format!("{rule} {loopback} lo accept"));
    line(rules, &format!("{rule} ct state established,related accept"));
    machine.into_iter().for_each(|machine| line(rules, &format!("{rule} ip {end} {machine} accept")));
    for Allow { who, ports } in ways {
        let Some(who) = addresses(who, end) else { continue };
        if ports.is_empty() {
            line(rules, &format!("{rule} {who} accept"));
        }
        for Ports { protocol, first, last } in ports {
            line(rules, &format!("{rule} {who} {} dport {first}-{last} accept", protocol.lower()));
        }
    }
    line(rules, &format!("{rule} drop"));
}

/// `None`: nobody.
fn addresses(who: &Who, end: &str) -> Option<String> {
    match who {
        Who::Everybody => Some(String::new()),
        Who::These(all) if all.is_empty() => None,
        Who::These(all) => Some(format!("ip {end} {{ {} }}", join(all.iter()))),
        Who::Block(block) if block.except.is_empty() => Some(format!("ip {end} {}", block.cidr)),
        Who::Block(block) => {
            Some(format!("ip {end} {} ip {end} != {{ {} }}", block.cidr, join(block.except.iter())))
        }
    }
}

fn join(all: impl Iterator<Item = impl ToString>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

fn line(rules: &mut String, text: &str) {
    writeln!(rules, "{text}").expect("a text takes all");
}
