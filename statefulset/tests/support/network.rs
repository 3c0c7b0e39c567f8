//! Which connections NetworkPolicies let through.

use serde_json::Value;

use super::objects::{Labels, Objects, list, selects, text};

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct End {
    pub namespace: String,
    pub labels: Labels,
}

/// A connection to a port of TCP, or of another protocol.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub from: &'a End,
    pub to: &'a End,
    pub protocol: &'a str,
    pub port: u64,
}

impl End {
    pub fn new(namespace: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { namespace: namespace.to_owned(), labels }
    }

    /// What every cluster sets, and nothing else.
    fn namespace_labels(&self) -> Labels {
        [("kubernetes.io/metadata.name".to_owned(), self.namespace.clone())].into()
    }
}

/// Whether both ends allow it.
pub fn lets_through(objects: &Objects, call: Call<'_>) -> bool {
    direction(objects, call, "Egress") && direction(objects, call, "Ingress")
}

/// Policies of one end count, if there are any: then one of their rules must allow it.
fn direction(objects: &Objects, call: Call<'_>, way: &str) -> bool {
    let (own, peer) = if way == "Egress" { (call.from, call.to) } else { (call.to, call.from) };
    let mut policies = objects.of_kind("NetworkPolicy").filter(|policy| applies(policy, own, way)).peekable();
    if policies.peek().is_none() {
        return true;
    }
    let (rules, peers) = if way == "Egress" { ("egress", "to") } else { ("ingress", "from") };
    policies.any(|policy| {
        let home = text(&policy["metadata"]["namespace"]);
        list(&policy["spec"][rules])
            .iter()
            .any(|rule| names(&rule[peers], peer, home) && opens(&rule["ports"], call))
    })
}

fn applies(policy: &Value, end: &End, way: &str) -> bool {
    let types = list(&policy["spec"]["policyTypes"]);
    let is_of_way = match (types.is_empty(), way) {
        (true, "Ingress") => true,
        (true, _) => policy["spec"].get("egress").is_some(),
        (false, way) => types.iter().any(|one| one == way),
    };
    let is_at_home = policy["metadata"]["namespace"] == end.namespace.as_str();
    is_of_way && is_at_home && selects(&policy["spec"]["podSelector"], &end.labels)
}

/// No list of peers means everybody.
fn names(peers: &Value, peer: &End, home: &str) -> bool {
    let named = |one: &Value| {
        if one.get("ipBlock").is_some() {
            return false; // No pod of these tests has such an address.
        }
        let in_namespace = match one.get("namespaceSelector") {
            Some(selector) => selects(selector, &peer.namespace_labels()),
            None => peer.namespace == home,
        };
        in_namespace && one.get("podSelector").is_none_or(|selector| selects(selector, &peer.labels))
    };
    peers.is_null() || list(peers).iter().any(named)
}

fn opens(ports: &Value, call: Call<'_>) -> bool {
    let opened = |one: &Value| {
        let protocol = one.get("protocol").map_or("TCP", text);
        let is_numbered = match (&one["port"], &one["endPort"]) {
            (Value::Null, _) => true,
            (first, Value::Null) => *first == call.port,
            (first, last) => (first.as_u64()..=last.as_u64()).contains(&Some(call.port)),
        };
        protocol == call.protocol && is_numbered
    };
    ports.is_null() || list(ports).iter().any(opened)
}
