//! Which ports the nodes get: the usual ones and those after them where they are free, else others.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

/// What the first node should listen on; port 0: whatever is free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) address: SocketAddr,
    /// Somebody asked for it: the first node takes it or fails.
    pub(super) is_required: bool,
}

/// Where a node listens. Port 0 for clients and operators: the node chooses, and says so when it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) gateway: SocketAddr,
    pub(super) ops: SocketAddr,
    /// Never 0: the other nodes must know it before.
    pub(super) peer: SocketAddr,
}

/// Chooses the ports of `count` nodes, all different. What is chosen is free now.
pub(super) fn choose([gateway, ops, peer]: [Wanted; 3], count: usize) -> io::Result<Vec<Ports>> {
    // Held until all are chosen, so that none is chosen twice.
    let mut held = Vec::new();
    let mut ports = Vec::with_capacity(count);
    for number in 0..count {
        let (gateway, ops) = (near(gateway, number, &mut held), near(ops, number, &mut held));
        let peer = match near(peer, number, &mut held) {
            any if any.port() == 0 => hold(any, &mut held)?,
            free => free,
        };
        ports.push(Ports { gateway, ops, peer });
    }
    Ok(ports)
}

/// The port `number` after the wanted one if it is free, else 0.
fn near(wanted: Wanted, number: usize, held: &mut Vec<TcpListener>) -> SocketAddr {
    let Wanted { mut address, is_required } = wanted;
    let first = address.port();
    if first == 0 || is_required && number == 0 {
        return address;
    }
    let port = u16::try_from(number).ok().and_then(|number| first.checked_add(number));
    address.set_port(port.unwrap_or(0));
    hold(address, held).unwrap_or_else(|_| SocketAddr::new(address.ip(), 0))
}

fn hold(address: SocketAddr, held: &mut Vec<TcpListener>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let at = listener.local_addr()?;
    held.push(listener);
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn wanted(port: u16) -> Wanted {
        Wanted { address: SocketAddr::from(([127, 0, 0, 1], port)), is_required: false }
    }

    #[test]
    fn a_port_in_use_is_not_given_to_a_node() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = other.local_addr().unwrap().port();
        let ports = choose([wanted(busy), wanted(0), wanted(busy)], 3).unwrap();
        assert_eq!(ports[0].gateway.port(), 0, "the node chooses");
        let peers: BTreeSet<_> = ports.iter().map(|ports| ports.peer.port()).collect();
        assert_eq!(peers.len(), 3, "{ports:?}");
        assert!(!peers.contains(&0) && !peers.contains(&busy), "{ports:?}");
    }

    #[test]
    fn what_somebody_asked_for_is_not_replaced_in_silence() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let required = Wanted { address, is_required: true };
        let ports = choose([required, wanted(0), wanted(0)], 2).unwrap();
        assert_eq!(ports[0].gateway, address);
        assert_ne!(ports[1].gateway, address);
    }
}
