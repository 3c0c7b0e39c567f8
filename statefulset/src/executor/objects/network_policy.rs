//! A NetworkPolicy: who may reach whom.

use serde::Deserialize;

use super::{
    meta::{Metadata, PortRef, Selector},
    pod::Protocol,
};

/// The policy, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicy {
    #[serde(rename = "apiVersion")]
    _version: Version,
    #[serde(rename = "kind")]
    _kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What it says.
    pub spec: PolicySpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
enum Version {
    #[serde(rename = "networking.k8s.io/v1")]
    NetworkingV1,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// About whom.
    #[serde(default)]
    pub pod_selector: Selector,
    /// About which directions. None: into it, and out of it if it says something about that.
    #[serde(default)]
    policy_types: Vec<Direction>,
    /// Who may come in.
    #[serde(default)]
    pub ingress: Vec<IngressRule>,
    /// Who may be gone to.
    #[serde(default)]
    pub egress: Vec<EgressRule>,
}

/// Which way connections are opened, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Direction {
    /// To it.
    Ingress,
    /// From it.
    Egress,
}

/// Who may come in, and where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressRule {
    /// From these. None: from everybody.
    #[serde(default)]
    pub from: Vec<Peer>,
    /// To these. None: to all.
    #[serde(default)]
    pub ports: Vec<PolicyPort>,
}

/// Who may be gone to, and where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    /// To these. None: to everybody.
    #[serde(default)]
    pub to: Vec<Peer>,
    /// To these ports. None: to all.
    #[serde(default)]
    pub ports: Vec<PolicyPort>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Pods.
    pub pod_selector: Option<Selector>,
    /// Of which namespaces. None: of that of the policy.
    pub namespace_selector: Option<Selector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// Addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpBlock {
    /// These.
    pub cidr: String,
    /// But not these.
    #[serde(default)]
    pub except: Vec<String>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyPort {
    /// Which. None: all.
    pub port: Option<PortRef>,
    /// Up to which.
    pub end_port: Option<u16>,
    /// Of which kind.
    #[serde(default)]
    pub protocol: Protocol,
}

impl PolicySpec {
    /// Whether it is about that direction.
    #[must_use]
    pub fn is_about(&self, direction: Direction) -> bool {
        match (self.policy_types.as_slice(), direction) {
            ([], Direction::Ingress) => true,
            ([], Direction::Egress) => !self.egress.is_empty(),
            (types, _) => types.contains(&direction),
        }
    }
}
