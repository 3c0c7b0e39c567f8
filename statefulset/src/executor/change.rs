//! What the API server says when manifests are applied again: some fields of a StatefulSet never change.

use super::objects::Objects;

/// Why changed manifests are refused. Nothing of them is applied then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A cluster would refuse it: "updates to statefulset spec for fields other than … are forbidden".
    #[error("StatefulSet {set}: {field} never changes after the first deployment")]
    Immutable {
        /// Its name.
        set: String,
        /// Which field.
        field: &'static str,
    },
    /// A cluster would refuse it.
    #[error("ConfigMap {name} is immutable and has other data now")]
    ImmutableData {
        /// Its name.
        name: String,
    },
    /// Other objects are somewhere else.
    #[error("the manifests are of {now}, and were of {before}")]
    Namespace {
        /// Where they were.
        before: String,
        /// Where they are.
        now: String,
    },
}

/// Whether `now` may follow `before`.
///
/// # Errors
///
/// What must not change.
pub fn check(before: &Objects, now: &Objects) -> Result<(), ChangeError> {
    if before.namespace != now.namespace {
        return Err(ChangeError::Namespace { before: before.namespace.clone(), now: now.namespace.clone() });
    }
    for (name, map) in before.config_maps.iter().filter(|(_, map)| map.immutable) {
        if now.config_maps.get(name).is_some_and(|now| now.data != map.data) {
            return Err(ChangeError::ImmutableData { name: name.clone() });
        }
    }
    for (set, old) in &before.stateful_sets {
        let Some(new) = now.stateful_sets.get(set) else { continue };
        let is_same = [
            ("serviceName", old.spec.service_name == new.spec.service_name),
            ("selector", old.spec.selector == new.spec.selector),
            ("podManagementPolicy", old.spec.pod_management_policy == new.spec.pod_management_policy),
            ("volumeClaimTemplates", old.claims == new.claims),
        ];
        if let Some((field, _)) = is_same.into_iter().find(|(_, is_same)| !is_same) {
            return Err(ChangeError::Immutable { set: set.clone(), field });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::objects::tests::{MANIFESTS, objects};

    fn changed(from: &str, to: &str) -> Result<(), ChangeError> {
        check(&objects(), &Objects::read(&MANIFESTS.replace(from, to)).unwrap())
    }

    #[test]
    fn templates_and_numbers_change() {
        assert_eq!(changed("replicas: 3", "replicas: 5"), Ok(()));
        assert_eq!(changed("track: stable", "track: canary"), Ok(()));
    }

    #[test]
    fn identity_and_volumes_do_not() {
        let immutable = |field| Err(ChangeError::Immutable { set: "play".to_owned(), field });
        assert_eq!(changed("serviceName: peers", "serviceName: others"), immutable("serviceName"));
        assert_eq!(changed("{app: play", "{app: other"), immutable("selector"));
        assert_eq!(changed("storage: 1Gi", "storage: 2Gi"), immutable("volumeClaimTemplates"));
    }
}
