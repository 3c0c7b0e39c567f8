//! The StatefulSet.

use std::ops::Range;

use serde::Deserialize;

use super::{
    meta::{Metadata, Selector},
    pod::PodTemplate,
};

/// How many pods of a set are run at most: they share one machine.
pub const REPLICAS_MAX: u32 = 64;

/// The set, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatefulSet {
    #[serde(rename = "apiVersion")]
    _version: Version,
    #[serde(rename = "kind")]
    _kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: StatefulSetSpec,
    /// Which template this is, told by what is in it.
    #[serde(skip)]
    pub revision: String,
    /// The claim templates as they are written, with what means nothing here: none of it ever changes.
    #[serde(skip)]
    pub claims: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
enum Version {
    #[serde(rename = "apps/v1")]
    AppsV1,
}

/// What is wanted of a set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatefulSetSpec {
    /// How many pods.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The headless Service that gives pods their names.
    pub service_name: String,
    /// Which pods are its own.
    pub selector: Selector,
    /// How pods are made.
    #[serde(default)]
    pub pod_management_policy: PodManagementPolicy,
    /// How pods are exchanged.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// How long a pod must have been ready until it counts.
    #[serde(default)]
    pub min_ready_seconds: u64,
    /// What becomes of volumes.
    #[serde(default)]
    pub persistent_volume_claim_retention_policy: RetentionPolicy,
    /// Where numbers begin.
    #[serde(default)]
    pub ordinals: Ordinals,
    /// What a pod is.
    pub template: PodTemplate,
    /// The volumes that stay with an ordinal.
    #[serde(default)]
    pub volume_claim_templates: Vec<ClaimTemplate>,
}

/// In which order pods are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PodManagementPolicy {
    /// One after the other, each waits until the one before is ready. Refused here.
    #[default]
    OrderedReady,
    /// All at once.
    Parallel,
}

/// How pods are exchanged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategy {
    /// By whom.
    #[serde(default, rename = "type")]
    pub kind: UpdateKind,
    /// From where on.
    #[serde(default)]
    pub rolling_update: RollingUpdate,
}

/// By whom pods are exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum UpdateKind {
    /// By the controller.
    #[default]
    RollingUpdate,
    /// By whoever deletes them.
    OnDelete,
}

/// Which pods are exchanged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollingUpdate {
    /// The lowest ordinal that is exchanged.
    #[serde(default)]
    pub partition: u32,
}

/// What becomes of volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionPolicy {
    /// When the set is deleted.
    #[serde(default)]
    pub when_deleted: Retention,
    /// When there are to be fewer pods.
    #[serde(default)]
    pub when_scaled: Retention,
}

/// Whether a volume stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Retention {
    /// It stays.
    #[default]
    Retain,
    /// It goes.
    Delete,
}

/// Where numbers begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordinals {
    /// The lowest number.
    #[serde(default)]
    pub start: u32,
}

/// A volume that each ordinal has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimTemplate {
    /// How mounts call it.
    pub metadata: Metadata,
    /// What it must allow.
    pub spec: ClaimSpec,
}

/// What a volume must allow.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimSpec {
    /// Who may use it.
    pub access_modes: Vec<AccessMode>,
}

/// Who may use a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AccessMode {
    /// One machine.
    ReadWriteOnce,
    /// One pod.
    ReadWriteOncePod,
}

impl StatefulSetSpec {
    /// The numbers of the pods that are wanted.
    #[must_use]
    pub fn wanted(&self) -> Range<u32> {
        self.ordinals.start..self.ordinals.start.saturating_add(self.replicas)
    }
}

fn one() -> u32 {
    1
}
