//! The network of the cluster: a machine with a switch, to which each pod has a cable.
//!
//! Comes in: who is there, and the rules that each shall have. Leaves: name spaces with an address.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{
    run::{RunError, feed, script},
    space::Space,
};

/// Where the machine is: probes come from there.
pub(super) const MACHINE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// Where the name server is.
pub(super) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 53);

/// How many networks this process has made.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A machine and its switch. Everything goes with it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) machine: Space,
    serial: u32,
    pods: AtomicU32,
}

/// A name space with an address.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) space: Space,
    pub(super) address: Ipv4Addr,
}

impl Network {
    pub(super) fn new() -> Result<Self, RunError> {
        let serial = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let machine = Space::new(serial, "machine")?;
        let name = machine.name();
        script(&format!(
            "ip -n {name} link add switch type bridge\n\
             ip -n {name} addr add {MACHINE}/16 dev switch\n\
             ip -n {name} addr add {NAME_SERVER}/16 dev switch\n\
             ip -n {name} link set switch up\n"
        ))?;
        Ok(Self { machine, serial, pods: AtomicU32::new(0) })
    }

    /// A place that nobody had before.
    pub(super) fn place(&self) -> Result<Place, RunError> {
        let number = self.pods.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 244, 1, 1).to_bits() + number);
        let space = Space::new(self.serial, &number.to_string())?;
        let (machine, pod) = (self.machine.name(), space.name());
        script(&format!(
            "ip -n {machine} link add cable{number} type veth peer name eth0 netns {pod}\n\
             ip -n {machine} link set cable{number} master switch up\n\
             ip -n {pod} addr add {address}/16 dev eth0\n\
             ip -n {pod} link set eth0 up\n\
             ip -n {pod} route add default via {MACHINE}\n"
        ))?;
        Ok(Place { space, address })
    }

    /// The address of the Service of that number.
    pub(super) fn service(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 0, 1).to_bits() + number)
    }
}

impl Place {
    /// Exchanges its rules at once.
    pub(super) fn filter(&self, rules: &str) -> Result<(), RunError> {
        feed("ip", &["netns", "exec", self.space.name(), "nft", "-f", "-"], rules)
    }
}
