//! A network of a test's own: each node has a name space with one interface, and a switch joins them. Ways between nodes can be
//! cut, as silently as a broken cable does it.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::{nodes::Ports, privileges::run};

/// Which part of the private addresses is used; distinct for each process.
#[derive(Clone, Copy)]
struct Subnet(u8);

/// The network. Gone when dropped.
pub struct Network {
    subnet: Subnet,
    nodes: usize,
}

impl Subnet {
    fn address(self, host: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.0, u8::try_from(host).expect("there are few hosts"))
    }

    fn space(self, node: usize) -> String {
        format!("playhouse-{}-{node}", self.0)
    }

    fn switch(self) -> String {
        format!("phsw{}", self.0)
    }
}

impl Network {
    /// # Errors
    ///
    /// Why there is none; usually because only root may make one, or iproute2 or iptables is missing.
    pub fn new(nodes: usize) -> Result<Self, String> {
        let subnet = Subnet(u8::try_from(std::process::id() % 250).expect("it is small"));
        let network = Self { subnet, nodes };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let (subnet, switch) = (self.subnet, self.subnet.switch());
        ip(&["link", "add", &switch, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", subnet.address(254)), "dev", &switch])?;
        ip(&["link", "set", &switch, "up"])?;
        for node in 0..self.nodes {
            let (space, port) = (subnet.space(node), format!("{switch}p{node}"));
            ip(&["netns", "add", &space])?;
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            ip(&["link", "set", &port, "master", &switch, "up"])?;
            let address = format!("{}/24", subnet.address(node + 1));
            ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            self.rules(node, &["-L", "INPUT", "-n"])?;
        }
        Ok(())
    }

    /// Where the nodes listen.
    pub fn ports(&self) -> Vec<Ports> {
        let at = |node: usize, port| SocketAddr::new(IpAddr::from(self.subnet.address(node + 1)), port);
        let ports = |node| Ports { gateway: at(node, 8080), ops: at(node, 9090), peer: at(node, 4370) };
        (0..self.nodes).map(ports).collect()
    }

    /// What runs a program in the place of a node.
    pub fn wrapper(&self, node: usize) -> Vec<OsString> {
        let space = self.subnet.space(node);
        ["ip", "netns", "exec", &space].map(OsString::from).into()
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub fn cut(&self, from: usize, to: usize) {
        let from = self.subnet.address(from + 1).to_string();
        self.rules(to, &["-A", "INPUT", "-s", &from, "-j", "DROP"]).unwrap();
    }

    /// Everything arrives again.
    pub fn heal(&self) {
        (0..self.nodes).for_each(|node| self.rules(node, &["-F", "INPUT"]).unwrap());
    }

    fn rules(&self, node: usize, arguments: &[&str]) -> Result<(), String> {
        let space = self.subnet.space(node);
        ip(&[&["netns", "exec", &space, "iptables", "-w"], arguments].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            drop(ip(&["netns", "delete", &self.subnet.space(node)]));
        }
        drop(ip(&["link", "delete", &self.subnet.switch()]));
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run("ip", arguments)
}
