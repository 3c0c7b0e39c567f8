//! A Service: a name, and often an address, for pods.

use serde::Deserialize;

use super::{
    CoreV1,
    meta::{Labels, Metadata, PortRef},
    pod::Protocol,
};

/// The Service, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    #[serde(rename = "apiVersion")]
    _version: CoreV1,
    #[serde(rename = "kind")]
    _kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// Whom it stands for.
    pub spec: ServiceSpec,
}

/// Whom a Service stands for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// Pods with these labels.
    pub selector: Labels,
    /// Which ports.
    pub ports: Vec<ServicePort>,
    /// How it is reached.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    /// Whether it stands for pods that are not ready, too.
    #[serde(default)]
    pub publish_not_ready_addresses: bool,
}

/// How a Service is reached. What is outside of the cluster is not there on one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ServiceType {
    /// From inside.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// From outside, too.
    LoadBalancer,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// How name servers call it.
    #[serde(default)]
    pub name: String,
    /// Its number.
    pub port: u16,
    target_port: Option<PortRef>,
    /// Of which kind it is.
    #[serde(default)]
    pub protocol: Protocol,
}

impl Service {
    /// Whether it has no address of its own.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip.as_deref() == Some("None")
    }

    /// What is right and not done here.
    pub(super) fn not_done(&self) -> Option<String> {
        let has_packets = || self.spec.ports.iter().any(|port| port.protocol == Protocol::Udp);
        match self.spec.cluster_ip.as_deref() {
            Some("None") => None,
            None | Some("") => {
                has_packets().then(|| "a port of UDP: only connections are sent on".to_owned())
            }
            Some(address) => Some(format!("it asks for the address {address}: addresses are given here")),
        }
    }
}

impl ServicePort {
    /// Where it leads in a pod.
    #[must_use]
    pub fn target(&self) -> PortRef {
        self.target_port.clone().unwrap_or(PortRef::Number(self.port))
    }
}
