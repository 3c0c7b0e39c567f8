//! Who reaches whom, as the network policies say: what must go through does, and nothing else.

use playhouse_statefulset::{label, port};

use super::unless;
use crate::support::{
    network::{Call, End, lets_through},
    objects::Objects,
};

/// Without policies everything goes through, and nothing is promised.
pub fn policies(objects: &Objects) -> Vec<String> {
    let nodes = objects.nodes();
    let Some(node) = nodes.first().filter(|_| objects.of_kind("NetworkPolicy").count() > 0) else {
        return Vec::new();
    };
    let home = node.namespace;
    let node = End { namespace: home.to_owned(), labels: node.labels.clone() };
    let mut canary = node.clone();
    canary.labels.insert(label::TRACK.to_owned(), "canary".to_owned());
    let operator = End::new(home, &[(label::OPERATOR, "true")]);
    let client = End::new(home, &[(label::CLIENT, "true")]);
    let neighbour = End::new(home, &[("app", "other")]);
    let stranger = End::new(
        "elsewhere",
        &[(label::NAME, "playhouse"), (label::OPERATOR, "true"), (label::CLIENT, "true")],
    );
    let twin = End { namespace: "elsewhere".to_owned(), labels: node.labels.clone() };
    let ingress = End::new("ingress-nginx", &[]);
    let prometheus = End::new("monitoring", &[(label::NAME, "prometheus")]);
    let solver = End::new(home, &[("acme.cert-manager.io/http01-solver", "true")]);
    let dns = End::new("kube-system", &[("k8s-app", "kube-dns")]);

    let [http, ops, peer] = port::ALL.map(|port| u64::from(port.number));
    let mut rows: Vec<(&str, &End, &End, &str, u64, bool)> = vec![
        ("a node to a node", &node, &node, "TCP", peer, true),
        ("a node to a canary", &node, &canary, "TCP", peer, true),
        ("a canary to a node", &canary, &node, "TCP", peer, true),
        ("a node of elsewhere", &twin, &node, "TCP", peer, false),
        ("a node to one of elsewhere", &node, &twin, "TCP", peer, false),
        ("a neighbour to the peer port", &neighbour, &node, "TCP", peer, false),
        ("an ingress to the peer port", &ingress, &node, "TCP", peer, false),
        ("Prometheus to the peer port", &prometheus, &node, "TCP", peer, false),
        ("an ingress to clients' port", &ingress, &node, "TCP", http, true),
        ("an ingress to a canary", &ingress, &canary, "TCP", http, true),
        ("a stranger to clients' port", &stranger, &node, "TCP", http, false),
        ("a neighbour to clients' port", &neighbour, &node, "TCP", http, false),
        ("Prometheus to metrics", &prometheus, &node, "TCP", ops, true),
        ("Prometheus to a canary", &prometheus, &canary, "TCP", ops, true),
        ("an ingress to operators' port", &ingress, &node, "TCP", ops, false),
        ("a stranger to operators' port", &stranger, &node, "TCP", ops, false),
        ("an operator to operators' port", &operator, &node, "TCP", ops, true),
        ("an operator to the peer port", &operator, &node, "TCP", peer, false),
        ("a client to operators' port", &client, &node, "TCP", ops, false),
        ("a node to names", &node, &dns, "UDP", 53, true),
        ("a node to names by TCP", &node, &dns, "TCP", 53, true),
        ("an operator to names", &operator, &dns, "UDP", 53, true),
        ("an ingress to a solver of certificates", &ingress, &solver, "TCP", 8089, true),
        ("an ingress to a solver's other ports", &ingress, &solver, "TCP", http, false),
        ("a stranger to a solver", &stranger, &solver, "TCP", 8089, false),
        ("a neighbour to a solver", &neighbour, &solver, "TCP", 8089, false),
        ("a node to the world", &node, &stranger, "TCP", 443, false),
        ("a stranger to a neighbour", &stranger, &neighbour, "TCP", 80, false),
    ];
    // Backups are operators by their labels.
    let jobs: Vec<_> = objects
        .pods()
        .iter()
        .filter(|pod| pod.owner.starts_with("CronJob"))
        .map(|pod| End { namespace: home.to_owned(), labels: pod.labels.clone() })
        .collect();
    rows.extend(jobs.iter().map(|job| ("a job to operators' port", job, &node, "TCP", ops, true)));
    let wrong = rows.into_iter().filter_map(|(what, from, to, protocol, port, wanted)| {
        let found = lets_through(objects, Call { from, to, protocol, port });
        unless(found == wanted, || format!("{what} ({protocol} {port}) goes through: {found}"))
    });
    wrong.chain(selectors(objects)).collect()
}

/// Clusters set one label on namespaces by themselves.
fn selectors(objects: &Objects) -> Vec<String> {
    let text: String = objects.of_kind("NetworkPolicy").map(ToString::to_string).collect();
    let namespaces = text.split("\"namespaceSelector\":").skip(1);
    namespaces
        .filter_map(|rest| {
            unless(
                rest.split('}').next().is_some_and(|one| one.contains("kubernetes.io/metadata.name")),
                || "a namespace is selected by a label that clusters do not set".to_owned(),
            )
        })
        .collect()
}
