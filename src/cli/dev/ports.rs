//! Which ports the nodes get: the usual ones and those after them where they are free, else others.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use tokio::net::TcpSocket;

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

/// Keeps what the system chose from being given to somebody else: also to a connection, of which a cluster that forms makes many. Who wants
/// to listen there may.
#[derive(Debug, Default)]
pub(super) struct Reserved(Vec<TcpSocket>);

/// Chooses the ports of `count` nodes, all different. What is chosen is free now; keep what is reserved until they listen.
pub(super) fn choose([gateway, ops, peer]: [Wanted; 3], count: usize) -> io::Result<(Vec<Ports>, Reserved)> {
    // Held until all are chosen, so that none is chosen twice.
    let mut held = Vec::new();
    let mut reserved = Reserved::default();
    let mut ports = Vec::with_capacity(count);
    for number in 0..count {
        let (gateway, ops) = (near(gateway, number, &mut held), near(ops, number, &mut held));
        let peer = match near(peer, number, &mut held) {
            any if any.port() == 0 => reserved.any(any)?,
            free => free,
        };
        ports.push(Ports { gateway, ops, peer });
    }
    Ok((ports, reserved))
}

impl Reserved {
    /// A port that nobody has.
    fn any(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(false)?;
        socket.bind(address)?;
        // From now on it is no obstacle for a listener, because it does not listen itself: see socket(7), SO_REUSEADDR.
        socket.set_reuseaddr(true)?;
        let at = socket.local_addr()?;
        self.0.push(socket);
        Ok(at)
    }
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
        let (ports, _reserved) = choose([wanted(busy), wanted(0), wanted(busy)], 3).unwrap();
        assert_eq!(ports[0].gateway.port(), 0, "the node chooses");
        let peers: BTreeSet<_> = ports.iter().map(|ports| ports.peer.port()).collect();
        assert_eq!(peers.len(), 3, "{ports:?}");
        assert!(!peers.contains(&0) && !peers.contains(&busy), "{ports:?}");
    }

    /// It was free between the choice and the node: then a connection of another node got it now and then.
    #[test]
    fn a_port_that_was_chosen_is_for_a_listener_only() {
        let (ports, reserved) = choose([wanted(0); 3], 1).unwrap();
        let taken = TcpSocket::new_v4().unwrap().bind(ports[0].peer);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let listener = TcpListener::bind(ports[0].peer).unwrap();
        let client = std::net::TcpStream::connect(ports[0].peer).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        drop(reserved);
    }

    #[test]
    fn what_somebody_asked_for_is_not_replaced_in_silence() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let required = Wanted { address, is_required: true };
        let (ports, _reserved) = choose([required, wanted(0), wanted(0)], 2).unwrap();
        assert_eq!(ports[0].gateway, address);
        assert_ne!(ports[1].gateway, address);
    }
}
