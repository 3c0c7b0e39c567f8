//! What a pod is: one container, its files, and what it may do.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    meta::{Metadata, PortRef},
    probe::{Handler, Probe},
    volume::{KeyRef, Mount, Volume},
};

/// What each pod of a set is made from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodTemplate {
    /// Labels and annotations.
    #[serde(default)]
    pub metadata: Metadata,
    /// What runs.
    pub spec: PodSpec,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    /// One, here.
    pub containers: Vec<Container>,
    /// Files.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Who runs it.
    #[serde(default)]
    pub security_context: PodSecurity,
    /// Who it is to the API.
    pub service_account_name: Option<String>,
    /// Must be false: there is no API that would take a token.
    pub automount_service_account_token: Option<bool>,
    /// Whether variables tell it of Services, as they do unless it says no.
    #[serde(default = "yes")]
    pub enable_service_links: bool,
    /// From SIGTERM to SIGKILL.
    #[serde(default = "thirty")]
    pub termination_grace_period_seconds: u64,
    /// Must be `Always`.
    #[serde(default)]
    #[serde(rename = "restartPolicy")]
    _restart_policy: RestartPolicy,
    /// Must be `ClusterFirst`.
    #[serde(default)]
    #[serde(rename = "dnsPolicy")]
    _dns_policy: DnsPolicy,
    /// Must be the default one.
    #[serde(default)]
    #[serde(rename = "schedulerName")]
    _scheduler: Scheduler,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum RestartPolicy {
    #[default]
    Always,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum DnsPolicy {
    #[default]
    ClusterFirst,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum Scheduler {
    #[default]
    #[serde(rename = "default-scheduler")]
    Default,
}

/// Who runs the containers of a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// As which user.
    pub run_as_user: Option<u32>,
    /// As which group.
    pub run_as_group: Option<u32>,
    /// Whether root is refused.
    #[serde(default)]
    pub run_as_non_root: bool,
    /// The group that volumes belong to.
    pub fs_group: Option<u32>,
}

/// A program and what it needs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// What it is called in a registry; the program that was built here runs in its place.
    pub image: String,
    /// Instead of the entry point of the image.
    #[serde(default)]
    pub command: Vec<String>,
    /// Instead of the arguments of the image.
    #[serde(default)]
    pub args: Vec<String>,
    /// Where it starts.
    pub working_dir: Option<PathBuf>,
    /// Variables.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// Variables from whole objects.
    #[serde(default)]
    pub env_from: Vec<VariablesFrom>,
    /// Names of ports.
    #[serde(default)]
    pub ports: Vec<ContainerPort>,
    /// Where files are.
    #[serde(default)]
    pub volume_mounts: Vec<Mount>,
    /// Whether it has started; until then nothing else is asked.
    pub startup_probe: Option<Probe>,
    /// Whether it must be started anew.
    pub liveness_probe: Option<Probe>,
    /// Whether Services send to it.
    pub readiness_probe: Option<Probe>,
    /// What happens around it.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What it may do.
    #[serde(default)]
    pub security_context: ContainerSecurity,
}

/// What happens around a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lifecycle {
    /// Before SIGTERM.
    pub pre_stop: Option<Handler>,
}

/// What a container may do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerSecurity {
    /// As which user.
    pub run_as_user: Option<u32>,
    /// As which group.
    pub run_as_group: Option<u32>,
    /// Whether root is refused.
    #[serde(default)]
    pub run_as_non_root: bool,
    /// Whether nothing but volumes can be written.
    #[serde(default)]
    pub read_only_root_filesystem: bool,
    /// Whether it may gain rights.
    pub allow_privilege_escalation: Option<bool>,
    /// Must not be.
    #[serde(default)]
    pub privileged: bool,
    /// Which rights of root it has.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// Rights of root.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Those that it gets.
    #[serde(default)]
    pub add: Vec<String>,
    /// Those that it loses.
    #[serde(default)]
    pub drop: Vec<String>,
}

/// A port by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    /// How others call it.
    #[serde(default)]
    pub name: String,
    /// Its number.
    pub container_port: u16,
    /// Of which kind it is.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Of which kind a port is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Connections.
    #[default]
    Tcp,
    /// Packets.
    Udp,
}

impl Protocol {
    /// As name servers and rules spell it.
    #[must_use]
    pub fn lower(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is; `$(NAME)` stands for an earlier one.
    pub value: Option<String>,
    /// Where it comes from.
    pub value_from: Option<Source>,
}

/// Where a variable comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// From the pod itself.
    FieldRef(FieldRef),
    /// From a ConfigMap.
    ConfigMapKeyRef(KeyRef),
    /// From a Secret.
    SecretKeyRef(KeyRef),
}

/// A field of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldRef {
    /// Of which API; there is one.
    #[serde(default)]
    pub api_version: String,
    /// Which.
    pub field_path: String,
}

/// Variables from a whole object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VariablesFrom {
    /// Before each name.
    #[serde(default)]
    pub prefix: String,
    /// A ConfigMap.
    pub config_map_ref: Option<NameRef>,
    /// A Secret.
    pub secret_ref: Option<NameRef>,
}

/// Another object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRef {
    /// Which.
    pub name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

impl PodSpec {
    /// The one container: [`Objects::read`](super::Objects::read) takes no pod with another number of them.
    ///
    /// # Panics
    ///
    /// When this was not read.
    #[must_use]
    pub fn container(&self) -> &Container {
        self.containers.first().expect("a pod that was read has one container")
    }
}

impl Container {
    /// The number of a port that was named.
    #[must_use]
    pub fn port(&self, port: &PortRef) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => {
                self.ports.iter().find(|known| known.name == *name).map(|known| known.container_port)
            }
        }
    }
}

fn yes() -> bool {
    true
}

fn thirty() -> u64 {
    30
}
