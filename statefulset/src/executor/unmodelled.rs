//! What is in manifests and means nothing on one machine: the whole list, with the reasons. What is not on it is understood, or
//! refused.

use serde_json::Value;

/// Fields by kind: where they are, `*` for each element of a list, and why nothing is done with them.
pub const FIELDS: &[(&str, &str, &str)] = &[
    ("StatefulSet", "/status", "the cluster writes it"),
    ("StatefulSet", "/spec/revisionHistoryLimit", "no history is kept"),
    ("StatefulSet", "/spec/template/metadata/creationTimestamp", "the cluster writes it"),
    ("StatefulSet", "/spec/template/spec/affinity", "there is one machine"),
    ("StatefulSet", "/spec/template/spec/topologySpreadConstraints", "there is one machine"),
    ("StatefulSet", "/spec/template/spec/nodeSelector", "there is one machine"),
    ("StatefulSet", "/spec/template/spec/tolerations", "there is one machine"),
    ("StatefulSet", "/spec/template/spec/priorityClassName", "nothing is preempted"),
    ("StatefulSet", "/spec/template/spec/imagePullSecrets", "no image is pulled: the program was built here"),
    (
        "StatefulSet",
        "/spec/template/spec/securityContext/seccompProfile",
        "it is the runtime's, not the pod's",
    ),
    ("StatefulSet", "/spec/template/spec/securityContext/fsGroupChangePolicy", "volumes are small"),
    ("StatefulSet", "/spec/template/spec/containers/*/imagePullPolicy", "no image is pulled"),
    (
        "StatefulSet",
        "/spec/template/spec/containers/*/resources",
        "tests share the machine, there is no quota",
    ),
    ("StatefulSet", "/spec/template/spec/containers/*/terminationMessagePath", "nobody reads a last message"),
    (
        "StatefulSet",
        "/spec/template/spec/containers/*/terminationMessagePolicy",
        "nobody reads a last message",
    ),
    ("StatefulSet", "/spec/template/spec/containers/*/securityContext/seccompProfile", "it is the runtime's"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/status", "the cluster writes it"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/apiVersion", "there is one"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/kind", "there is one"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/spec/storageClassName", "a volume is a folder here"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/spec/resources", "a folder has no size of its own"),
    ("StatefulSet", "/spec/volumeClaimTemplates/*/spec/volumeMode", "a volume is a folder here"),
    ("Service", "/status", "the cluster writes it"),
    ("Service", "/spec/sessionAffinity", "each connection is sent on by chance, as without it"),
    ("Service", "/spec/ipFamilyPolicy", "there are addresses of one family"),
    ("Service", "/spec/ipFamilies", "there are addresses of one family"),
    ("Service", "/spec/internalTrafficPolicy", "there is one machine"),
    ("Service", "/spec/externalTrafficPolicy", "there is one machine"),
    ("Service", "/spec/trafficDistribution", "there is one machine"),
    ("Service", "/spec/ports/*/appProtocol", "connections are not looked into"),
];

/// Objects that are understood enough not to be run, and why.
pub const KINDS: &[(&str, &str)] = &[
    ("CronJob", "it is a schedule; what it calls is tested with the program itself"),
    ("Gateway", "no gateway of a cluster runs here"),
    ("HTTPRoute", "no gateway of a cluster runs here"),
    ("HorizontalPodAutoscaler", "there are no metrics of a cluster; tests scale by themselves"),
    ("Ingress", "no ingress controller runs here"),
    ("PersistentVolumeClaim", "a claim of another workload; those of a StatefulSet are in its templates"),
    ("PodMonitor", "no Prometheus runs here"),
    ("PrometheusRule", "no Prometheus runs here; promtool tests the rules"),
    ("ServiceAccount", "pods have no token and speak to no API"),
    ("ServiceMonitor", "no Prometheus runs here"),
];

/// Why objects of this kind are not run. `None`: they are, or nobody knows them.
#[must_use]
pub fn reason_not_run(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, reason)| *reason)
}

/// Takes out what is on the list.
pub(super) fn strip(kind: &str, document: &mut Value) {
    for (_, path, _) in FIELDS.iter().filter(|(of, _, _)| *of == kind) {
        let parts: Vec<_> = path.split('/').skip(1).collect();
        remove(document, &parts);
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([last], Value::Object(fields)) => drop(fields.remove(*last)),
        (["*", rest @ ..], Value::Array(elements)) => elements.iter_mut().for_each(|each| remove(each, rest)),
        ([first, rest @ ..], Value::Object(fields)) => {
            fields.get_mut(*first).into_iter().for_each(|field| remove(field, rest));
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_listed_is_taken_out() {
        let mut set = json!({"status": 1, "spec": {"replicas": 3, "template": {"spec": {
            "affinity": {}, "containers": [{"resources": {}, "name": "a"}, {"imagePullPolicy": "x", "name": "b"}]}}}});
        strip("StatefulSet", &mut set);
        let left = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}});
        assert_eq!(set, left);
    }

    #[test]
    fn every_reason_is_told() {
        assert!(FIELDS.iter().all(|(_, path, reason)| path.starts_with('/') && !reason.is_empty()));
        assert!(KINDS.is_sorted(), "in order, so that nothing is there twice");
        assert!(reason_not_run("Ingress").is_some() && reason_not_run("StatefulSet").is_none());
    }
}
