//! Policies as people write them, and what they open.

use super::*;
use crate::executor::objects::tests::{MANIFESTS, objects};

const DENY: &str = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: here}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

const PEERS: &str = "
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: peers, namespace: here}
spec:
  podSelector: {matchLabels: {app: play}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: play}}}]
      ports: [{port: peer}]
  egress:
    - to: [{podSelector: {matchLabels: {app: play}}}]
      ports: [{port: peer}]
    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {dns: yes}}}]
      ports: [{port: 53, protocol: UDP}]
";

fn with(policies: &str) -> Objects {
    Objects::read(&format!("{MANIFESTS}{policies}").replace("dns: yes", "dns: 'yes'")).unwrap()
}

fn party(last: u8, namespace: &str, label: (&str, &str)) -> Party {
    let container = objects().stateful_sets["play"].spec.template.spec.containers[0].clone();
    Party {
        address: Ipv4Addr::new(10, 0, 0, last),
        namespace: namespace.to_owned(),
        labels: [(label.0.to_owned(), label.1.to_owned())].into(),
        container: (label.0 == "app").then_some(container),
    }
}

fn all() -> Vec<Party> {
    vec![
        party(1, "here", ("app", "play")),
        party(2, "here", ("app", "play")),
        party(3, "here", ("app", "stranger")),
        party(4, "kube-system", ("dns", "yes")),
        party(5, "there", ("app", "play")),
    ]
}

fn one_port(protocol: Protocol, port: u16) -> Vec<Ports> {
    vec![Ports { protocol, first: port, last: port }]
}

#[test]
fn without_a_policy_all_is_open() {
    assert_eq!(access(&objects(), &all()[0], &all(), Direction::Ingress), Access::Open);
}

#[test]
fn a_denial_without_a_way_closes_all() {
    for direction in [Direction::Ingress, Direction::Egress] {
        assert_eq!(access(&with(DENY), &all()[0], &all(), direction), Access::Only(Vec::new()));
        assert_eq!(
            access(&with(DENY), &all()[4], &all(), direction),
            Access::Open,
            "it is of another namespace"
        );
    }
}

#[test]
fn ways_add_up_and_names_of_ports_are_those_of_the_target() {
    let objects = with(&format!("{DENY}{PEERS}"));
    let peers = |last: &[u8]| Who::These(last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect());
    let peer = one_port(Protocol::Tcp, 4370);
    let into = Access::Only(vec![Allow { who: peers(&[1, 2]), ports: peer.clone() }]);
    assert_eq!(access(&objects, &all()[0], &all(), Direction::Ingress), into);
    let out_of = Access::Only(vec![
        Allow { who: peers(&[1]), ports: peer.clone() },
        Allow { who: peers(&[2]), ports: peer },
        Allow { who: peers(&[4]), ports: one_port(Protocol::Udp, 53) },
    ]);
    assert_eq!(access(&objects, &all()[0], &all(), Direction::Egress), out_of);
}

#[test]
fn a_stranger_has_no_way_in_the_rules() {
    let objects = with(&format!("{DENY}{PEERS}"));
    let machine = Ipv4Addr::new(10, 0, 0, 254);
    let into = access(&objects, &all()[0], &all(), Direction::Ingress);
    let rules = filter(machine, &into, &Access::Open, &[]);
    assert!(rules.contains("input ip saddr { 10.0.0.1, 10.0.0.2 } tcp dport 4370-4370 accept"), "{rules}");
    assert!(rules.contains("input ip saddr 10.0.0.254 accept"), "{rules}");
    assert!(!rules.contains("10.0.0.3") && rules.ends_with("input drop\n"), "{rules}");
    assert!(!rules.contains("rule ip executor output"), "what goes out is open: {rules}");
}

#[test]
fn a_name_that_nobody_has_opens_nothing() {
    let objects = with(&format!("{DENY}{}", PEERS.replace("[{port: peer}]", "[{port: unknown}]")));
    assert_eq!(access(&objects, &all()[0], &all(), Direction::Ingress), Access::Only(Vec::new()));
}

#[test]
fn a_service_leads_to_its_pods_or_says_that_nobody_is_there() {
    let (address, machine) = (Ipv4Addr::new(10, 96, 0, 1), Ipv4Addr::new(10, 0, 0, 254));
    let pod = |last| (Ipv4Addr::new(10, 0, 0, last), 8080);
    let mut service = Forward { address, port: 80, to: vec![pod(1), pod(2)] };
    let rules = filter(machine, &Access::Open, &Access::Open, &[service.clone()]);
    assert!(
        rules.contains("numgen random mod 2 map { 0 : 10.0.0.1 . 8080, 1 : 10.0.0.2 . 8080 }"),
        "{rules}"
    );
    service.to.clear();
    let rules = filter(machine, &Access::Open, &Access::Open, &[service]);
    assert!(rules.contains("reject with tcp reset") && !rules.contains("dnat"), "{rules}");
}
