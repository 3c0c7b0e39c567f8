//! The ports of a pod. Manifests, probes and the defaults of the node use the same numbers and names.

/// A port that a pod opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// As manifests call it; at most 15 lower-case letters, digits and dashes.
    pub name: &'static str,
    /// Its number.
    pub number: u16,
}

/// HTTP and WebSocket, for clients.
pub const HTTP: Port = Port { name: "http", number: 8080 };

/// Probes, metrics and administration, for operators.
pub const OPS: Port = Port { name: "ops", number: 9090 };

/// The link between nodes. Name servers tell it as `_peer._tcp`, after its name, which is what nodes ask them for.
pub const PEER: Port = Port { name: "peer", number: 4370 };

/// Every port that a pod opens.
pub const ALL: [Port; 3] = [HTTP, OPS, PEER];

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests in the world hold these; a change of one is a change of all of them.
    #[test]
    fn numbers_and_names_never_change() {
        assert_eq!(ALL.map(|port| port.number), [8080, 9090, 4370]);
        assert_eq!(ALL.map(|port| port.name), ["http", "ops", "peer"]);
    }

    #[test]
    fn names_are_such_as_a_service_may_use() {
        for Port { name, .. } in ALL {
            assert!((1..=15).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
        }
    }
}
