//! The objects of one namespace, typed. What is not understood is refused.

pub mod disruption_budget;
pub mod meta;
pub mod network_policy;
pub mod pod;
pub mod probe;
pub mod service;
pub mod stateful_set;
pub mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::Deserialize;
use serde_json::Value;

use self::{
    disruption_budget::DisruptionBudget,
    network_policy::NetworkPolicy,
    service::Service,
    stateful_set::{PodManagementPolicy, REPLICAS_MAX, Retention, StatefulSet},
    volume::ConfigMap,
};
use super::{
    document::{ManifestError, documents, text, typed},
    unmodelled,
};

/// The version of the oldest kinds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) enum CoreV1 {
    #[serde(rename = "v1")]
    V1,
}

/// A secret as an operator made it: texts by key.
pub type Secret = BTreeMap<String, String>;

/// The objects of one namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The namespace that all of them are in.
    pub namespace: String,
    /// By name.
    pub stateful_sets: BTreeMap<String, StatefulSet>,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// By name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// By name. Manifests have none: operators make them.
    pub secrets: BTreeMap<String, Secret>,
    /// By name.
    pub network_policies: BTreeMap<String, NetworkPolicy>,
    /// By name.
    pub disruption_budgets: BTreeMap<String, DisruptionBudget>,
    /// Kind and name of what is there and is not run; [`unmodelled::KINDS`] has the reasons.
    pub not_run: BTreeSet<(String, String)>,
}

impl Objects {
    /// Reads rendered manifests.
    ///
    /// # Errors
    ///
    /// When something in them is not understood.
    pub fn read(manifests: &str) -> Result<Self, ManifestError> {
        let mut objects = Self::default();
        for document in documents(manifests)? {
            objects.add(document)?;
        }
        objects.check()?;
        Ok(objects)
    }

    fn add(&mut self, mut document: Value) -> Result<(), ManifestError> {
        let kind = text(&document, "/kind", "kind")?.to_owned();
        let version = text(&document, "/apiVersion", "apiVersion")?.to_owned();
        let name = text(&document, "/metadata/name", "name")?.to_owned();
        let object = format!("{kind} {name}");
        self.place(&object, &document)?;
        let claims = document.pointer("/spec/volumeClaimTemplates").map(Value::to_string);
        let revision = revision(&document);
        unmodelled::strip(&kind, &mut document);
        let is_new = match kind.as_str() {
            "StatefulSet" => {
                let mut set: StatefulSet = typed(&object, document)?;
                (set.revision, set.claims) = (revision, claims.unwrap_or_default());
                self.stateful_sets.insert(name, set).is_none()
            }
            "Service" => self.services.insert(name, typed(&object, document)?).is_none(),
            "ConfigMap" => self.config_maps.insert(name, typed(&object, document)?).is_none(),
            "NetworkPolicy" => self.network_policies.insert(name, typed(&object, document)?).is_none(),
            "PodDisruptionBudget" => {
                self.disruption_budgets.insert(name, typed(&object, document)?).is_none()
            }
            _ if unmodelled::reason_not_run(&kind).is_some() => self.not_run.insert((kind, name)),
            _ => return Err(ManifestError::UnknownKind { version, kind }),
        };
        if is_new { Ok(()) } else { Err(ManifestError::Twice { object }) }
    }

    /// All are in the namespace of the first one.
    fn place(&mut self, object: &str, document: &Value) -> Result<(), ManifestError> {
        let namespace = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
        if self.namespace.is_empty() {
            namespace.clone_into(&mut self.namespace);
        }
        if self.namespace == namespace {
            return Ok(());
        }
        let reason = format!("it is in {namespace}, others are in {}: one namespace is run", self.namespace);
        Err(ManifestError::NotDone { object: object.to_owned(), reason })
    }

    fn check(&self) -> Result<(), ManifestError> {
        let refused = |object: String, reason| Err(ManifestError::NotDone { object, reason });
        for (name, service) in &self.services {
            if let Some(reason) = service.not_done() {
                return refused(format!("Service {name}"), reason);
            }
        }
        for (name, set) in &self.stateful_sets {
            if let Some(reason) = Self::not_done(set).or_else(|| self.mistaken(set)) {
                return refused(format!("StatefulSet {name}"), reason);
            }
        }
        Ok(())
    }

    /// What is right and not done here.
    fn not_done(set: &StatefulSet) -> Option<String> {
        let spec = &set.spec.template.spec;
        let [container] = spec.containers.as_slice() else {
            return Some(format!("{} containers: pods of one are run", spec.containers.len()));
        };
        let security = &container.security_context;
        if set.spec.pod_management_policy != PodManagementPolicy::Parallel {
            Some("podManagementPolicy is not Parallel: only that is run".to_owned())
        } else if spec.automount_service_account_token != Some(false) {
            Some("a token of its account is mounted, unless automountServiceAccountToken is false: there is no API".to_owned())
        } else if security.privileged || !security.capabilities.add.is_empty() {
            Some("rights of root are not given to anybody".to_owned())
        } else if set.spec.persistent_volume_claim_retention_policy.when_deleted == Retention::Delete {
            Some("whenDeleted is Delete: volumes stay when a set goes".to_owned())
        } else {
            let replicas = set.spec.replicas;
            (replicas > REPLICAS_MAX).then(|| format!("{replicas} replicas: at most {REPLICAS_MAX} are run"))
        }
    }

    /// What the API server or the kubelet would refuse, too.
    fn mistaken(&self, set: &StatefulSet) -> Option<String> {
        let spec = &set.spec.template.spec;
        let claims = set.spec.volume_claim_templates.iter().map(|claim| &claim.metadata.name);
        let volumes: BTreeSet<_> = spec.volumes.iter().map(|volume| &volume.name).chain(claims).collect();
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let account = ("ServiceAccount".to_owned(), account.to_owned());
        let container = spec.container();
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        if !set.spec.selector.matches(&set.spec.template.metadata.labels) {
            Some("its selector does not choose its own pods".to_owned())
        } else if let Some(volume) = spec.volumes.iter().find(|volume| volume.source().is_none()) {
            Some(format!("the volume {} is not from exactly one place", volume.name))
        } else if let Some(mount) =
            container.volume_mounts.iter().find(|mount| !volumes.contains(&mount.name))
        {
            Some(format!("{} is mounted and is no volume", mount.name))
        } else if probes.into_iter().flatten().any(|probe| probe.handler().is_none()) {
            Some("a probe does not do exactly one thing".to_owned())
        } else {
            let is_there = account.1 == "default" || self.not_run.contains(&account);
            (!is_there).then(|| format!("there is no ServiceAccount {}", account.1))
        }
    }
}

/// The same template has the same revision, another one has another.
fn revision(set: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    set.pointer("/spec/template").map(Value::to_string).hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

#[cfg(test)]
pub(super) mod tests;
