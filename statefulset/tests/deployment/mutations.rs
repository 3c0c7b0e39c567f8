//! Each check complains: everything is rendered, broken in one way that was seen elsewhere, and looked at again.

use serde_json::{Value, json};

use crate::{
    checks::{ALL, complaints},
    combinations::everything,
    support::objects::Objects,
};

/// A way to break what is right, and the check that must notice.
pub struct Mutation {
    pub what: &'static str,
    pub check: &'static str,
    pub apply: fn(&mut Objects),
}

fn set<'a>(objects: &'a mut Objects, path: &str) -> &'a mut Value {
    at(objects, "StatefulSet", "playhouse", path)
}

fn at<'a>(objects: &'a mut Objects, kind: &str, name: &str, path: &str) -> &'a mut Value {
    objects.get_mut(kind, name).pointer_mut(path).unwrap_or_else(|| panic!("{kind} {name} has no {path}"))
}

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("there is no {key}"));
}

fn push(value: &mut Value, one: Value) {
    value.as_array_mut().unwrap().push(one);
}

fn monitor(kind: &str, labels: Value, port: &str) -> Value {
    let ends = json!([{ "port": port, "path": "/metrics" }]);
    let spec =
        json!({ "selector": { "matchLabels": labels }, "podMetricsEndpoints": ends, "endpoints": ends });
    json!({ "kind": kind, "metadata": { "name": "broken", "namespace": "everything" }, "spec": spec })
}

const POD: &str = "/spec/template/spec";
const NODE: &str = "/spec/template/spec/containers/0";
const JOB: &str = "/spec/jobTemplate/spec/template/spec";

macro_rules! mutations {
    ($($what:literal, $check:literal: |$objects:ident| $change:expr;)*) => {
        /// Every way that is tried.
        pub const MUTATIONS: &[Mutation] = &[$(Mutation {
            what: $what,
            check: $check,
            apply: |$objects| { $change; },
        }),*];
    };
}

mutations! {
    "an object twice", "unique": |o| { let one = o.0[0].clone(); o.0.push(one) };
    "an object elsewhere", "unique": |o| *at(o, "Service", "playhouse", "/metadata/namespace") = json!("default");
    "a Service that selects nothing", "services": |o| *at(o, "Service", "playhouse", "/spec/selector") = json!({ "app": "playhouse" });
    "a Service that selects jobs", "services": |o| remove(at(o, "Service", "playhouse", "/spec/selector"), "app.kubernetes.io/component");
    "a Service to a port that nobody opens", "services": |o| *at(o, "Service", "playhouse", "/spec/ports/0/targetPort") = json!("web");
    "a Service to another number", "services": |o| *at(o, "Service", "playhouse", "/spec/ports/0/port") = json!(80);
    "a mount without a volume", "mounts": |o| remove(&mut set(o, POD)["volumes"][0], "name");
    "a volume without a mount", "mounts": |o| push(set(o, "/spec/template/spec/volumes"), json!({ "name": "extra", "emptyDir": {} }));
    "a mount in a mount", "mounts": |o| set(o, NODE)["volumeMounts"][1]["mountPath"] = json!("/etc/playhouse/clients/inside");
    "a file of a Secret that never changes", "mounts": |o| set(o, NODE)["volumeMounts"][0]["subPath"] = json!("tokens");
    "settings without the hash", "references": |o| set(o, NODE)["envFrom"][0]["configMapRef"]["name"] = json!("playhouse-settings");
    "a misspelt Secret", "references": |o| {
        let volumes = set(o, "/spec/template/spec/volumes").as_array_mut().unwrap();
        volumes.iter_mut().find(|one| one["name"] == "cookie").unwrap()["secret"]["secretName"] = json!("playhouse-cokie")
    };
    "the account of everybody", "references": |o| remove(set(o, POD), "serviceAccountName");
    "settings that go with their revision", "kept": |o| {
        let maps = o.0.iter_mut().filter(|one| one["data"].get("playhouse.toml").is_some());
        for map in maps { remove(&mut map["metadata"]["annotations"], "argocd.argoproj.io/sync-options") }
    };
    "an ingress to a port that is not there", "routes": |o| *at(o, "Ingress", "playhouse", "/spec/rules/0/http/paths/0/backend/service/port/name") = json!("web");
    "an ingress whose paths are lost", "routes": |o| *at(o, "Ingress", "playhouse", "/spec/rules") = json!([{ "host": "playhouse.example.com" }]);
    "an ingress with TLS for another name", "routes": |o| *at(o, "Ingress", "playhouse", "/spec/tls/0/hosts/0") = json!("other.example.com");
    "a route to another Service", "routes": |o| *at(o, "HTTPRoute", "playhouse", "/spec/rules/0/backendRefs/0/name") = json!("playhouse-canary");
    "a route at no listener", "routes": |o| *at(o, "HTTPRoute", "playhouse", "/spec/parentRefs/0/sectionName") = json!("http");
    "a monitor of a port that nobody opens", "monitors": |o| o.0.push(monitor("PodMonitor", json!({ "app.kubernetes.io/component": "node" }), "web"));
    "a monitor of no pod", "monitors": |o| o.0.push(monitor("PodMonitor", json!({ "app": "playhouse" }), "ops"));
    "a monitor of jobs", "monitors": |o| o.0.push(monitor("PodMonitor", json!({ "app.kubernetes.io/name": "playhouse" }), "ops"));
    "a monitor of no Service", "monitors": |o| o.0.push(monitor("ServiceMonitor", json!({ "app": "playhouse" }), "ops"));
    "a Secret in git", "secrets": |o| o.0.push(json!({ "kind": "Secret", "metadata": { "name": "playhouse-cookie", "namespace": "everything" } }));
    "the cookie in a variable", "secrets": |o| push(set(o, "/spec/template/spec/containers/0/env"), json!({ "name": "PLAYHOUSE_COOKIE", "valueFrom": { "secretKeyRef": { "name": "a", "key": "b" } } }));
    "the cookie in settings", "secrets": |o| o.0.push(json!({ "kind": "ConfigMap", "metadata": { "name": "c", "namespace": "everything" }, "data": { "playhouse.toml": "cookie = \"x\"" } }));
    "the cookie in a variable of settings", "secrets": |o| o.0.push(json!({ "kind": "ConfigMap", "metadata": { "name": "c", "namespace": "everything" }, "data": { "PLAYHOUSE_PEER__COOKIE": "x" } }));
    "the latest image", "images": |o| set(o, NODE)["image"] = json!("registry.example.com/playhouse:latest");
    "an image whose name never matched", "images": |o| set(o, NODE)["image"] = json!("playhouse");
    "a registry with a port and no release", "images": |o| set(o, NODE)["image"] = json!("registry.example.com:5000/playhouse");
    "backups of another release", "images": |o| *at(o, "CronJob", "playhouse-backup", JOB)["initContainers"][0].get_mut("image").unwrap() = json!("registry.example.com/playhouse:0.0.9");
    "a release label of another release", "images": |o| set(o, "/spec/template/metadata/labels")["playhouse.dev/release"] = json!("0.0.9");
    "root", "restricted": |o| set(o, POD)["securityContext"]["runAsUser"] = json!(0);
    "no group for the volume", "restricted": |o| remove(&mut set(o, POD)["securityContext"], "fsGroup");
    "a capability", "restricted": |o| set(o, NODE)["securityContext"]["capabilities"] = json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] });
    "a root file system to write", "restricted": |o| remove(&mut set(o, NODE)["securityContext"], "readOnlyRootFilesystem");
    "no seccomp profile", "restricted": |o| remove(&mut set(o, POD)["securityContext"], "seccompProfile");
    "a token of the API server", "restricted": |o| set(o, POD)["automountServiceAccountToken"] = json!(true);
    "variables of Services", "restricted": |o| remove(set(o, POD), "enableServiceLinks");
    "the machine's network", "restricted": |o| set(o, POD)["hostNetwork"] = json!(true);
    "a cookie for everybody", "restricted": |o| {
        let volumes = set(o, "/spec/template/spec/volumes").as_array_mut().unwrap();
        volumes.iter_mut().find(|one| one["name"] == "cookie").unwrap()["secret"]["defaultMode"] = json!(420)
    };
    "a limit of processor", "resources": |o| set(o, NODE)["resources"]["limits"]["cpu"] = json!("2");
    "memory that is not guaranteed", "resources": |o| set(o, NODE)["resources"]["requests"]["memory"] = json!("1Gi");
    "no limit of memory", "resources": |o| remove(&mut set(o, NODE)["resources"]["limits"], "memory");
    "budgets above the limit", "memory": |o| set(o, NODE)["resources"]["limits"]["memory"] = json!("512Mi");
    "mailboxes of all shards above the limit", "memory": |o| {
        let maps = o.0.iter_mut().filter(|one| one["data"].get("PLAYHOUSE_LIMITS__MAILBOX_BYTES_MAX").is_some());
        for map in maps { map["data"]["PLAYHOUSE_LIMITS__MAILBOX_BYTES_MAX"] = json!("16MiB") }
    };
    "liveness and readiness swapped", "probes": |o| { let live = set(o, NODE)["livenessProbe"].take(); let ready = set(o, NODE)["readinessProbe"].take(); set(o, NODE)["livenessProbe"] = ready; set(o, NODE)["readinessProbe"] = live };
    "a probe on a port that nobody opens", "probes": |o| set(o, NODE)["readinessProbe"]["httpGet"]["port"] = json!("health");
    "a probe on the port of clients", "probes": |o| set(o, NODE)["livenessProbe"]["httpGet"]["port"] = json!("http");
    "liveness that kills what is busy", "probes": |o| set(o, NODE)["livenessProbe"]["failureThreshold"] = json!(1);
    "readiness with a second", "probes": |o| set(o, NODE)["readinessProbe"]["timeoutSeconds"] = json!(1);
    "a start that must not take long", "probes": |o| set(o, NODE)["startupProbe"] = json!({ "httpGet": { "path": "/startupz", "port": "ops" } });
    "a grace period as long as the pause", "end": |o| set(o, POD)["terminationGracePeriodSeconds"] = json!(30);
    "a pause as long as the grace period", "end": |o| set(o, NODE)["lifecycle"]["preStop"]["sleep"]["seconds"] = json!(30);
    "no drain budget", "end": |o| {
        let maps = o.0.iter_mut().filter(|one| one["kind"] == "ConfigMap");
        for map in maps { map["data"] = json!({}) }
    };
    "a variable that nothing reads", "variables": |o| push(set(o, "/spec/template/spec/containers/0/env"), json!({ "name": "POD_IP", "value": "127.0.0.1" }));
    "one founder after the other", "set": |o| *set(o, "/spec/podManagementPolicy") = json!("OrderedReady");
    "claims that go with pods", "set": |o| set(o, "/spec")["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = json!("Delete");
    "maxSurge", "set": |o| set(o, "/spec")["updateStrategy"]["rollingUpdate"] = json!({ "maxSurge": 1 });
    "a partition above the pods", "set": |o| set(o, "/spec")["updateStrategy"]["rollingUpdate"]["partition"] = json!(4);
    "pods that are never updated", "set": |o| set(o, "/spec")["updateStrategy"]["type"] = json!("OnDelete");
    "no headless Service", "peers": |o| *set(o, "/spec/serviceName") = json!("playhouse-headless");
    "founders that are hidden until they are ready", "peers": |o| remove(at(o, "Service", "playhouse-peers", "/spec"), "publishNotReadyAddresses");
    "a peers Service with an address", "peers": |o| remove(at(o, "Service", "playhouse-peers", "/spec"), "clusterIP");
    "a peer port with another name", "peers": |o| *at(o, "Service", "playhouse-peers", "/spec/ports/0/name") = json!("dist");
    "a selector with the release", "selector": |o| set(o, "/spec/selector/matchLabels")["playhouse.dev/release"] = json!("0.1.0");
    "a selector without the track", "selector": |o| remove(set(o, "/spec/selector/matchLabels"), "playhouse.dev/track");
    "a Service of one release", "selector": |o| at(o, "Service", "playhouse", "/spec/selector")["playhouse.dev/release"] = json!("0.1.0");
    "pods that do not say their release", "selector": |o| remove(set(o, "/spec/template/metadata/labels"), "playhouse.dev/release");
    "a claim template with the release", "claims": |o| set(o, "/spec/volumeClaimTemplates/0/metadata")["labels"] = json!({ "playhouse.dev/release": "0.1.0" });
    "a claim template that differs for ever", "claims": |o| remove(set(o, "/spec/volumeClaimTemplates/0"), "kind");
    "one claim for all pods", "claims": |o| *set(o, "/spec/volumeClaimTemplates") = json!([]);
    "a volume that is mounted elsewhere", "claims": |o| set(o, NODE)["volumeMounts"].as_array_mut().unwrap().iter_mut().find(|one| one["name"] == "data").unwrap()["mountPath"] = json!("/data");
    "a Service that misses the canary", "track": |o| at(o, "Service", "playhouse-peers", "/spec/selector")["playhouse.dev/track"] = json!("stable");
    "a budget that misses the canary", "track": |o| at(o, "PodDisruptionBudget", "playhouse", "/spec/selector/matchLabels")["playhouse.dev/track"] = json!("stable");
    "a set that takes the canary's pods", "track": |o| remove(set(o, "/spec/selector/matchLabels"), "playhouse.dev/track");
    "no spread over zones", "spread": |o| remove(set(o, POD), "topologySpreadConstraints");
    "a spread of other pods", "spread": |o| set(o, POD)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] = json!({ "app": "playhouse" });
    "machines of which there are too few", "spread": |o| set(o, POD)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!([]);
    "two budgets", "budget": |o| { let mut other = o.get("PodDisruptionBudget", "playhouse").unwrap().clone(); other["metadata"]["name"] = json!("other"); o.0.push(other) };
    "both ends of a budget", "budget": |o| at(o, "PodDisruptionBudget", "playhouse", "/spec")["minAvailable"] = json!(2);
    "a budget over jobs", "budget": |o| remove(at(o, "PodDisruptionBudget", "playhouse", "/spec/selector/matchLabels"), "app.kubernetes.io/component");
    "a budget over nothing", "budget": |o| *at(o, "PodDisruptionBudget", "playhouse", "/spec/selector/matchLabels") = json!({ "app": "playhouse" });
    "a pod that waits for its Service", "bootstrap": |o| set(o, POD)["initContainers"] = json!([{ "name": "wait", "image": "registry.example.com/playhouse:0.1.0" }]);
    "founders that nobody starts", "bootstrap": |o| *set(o, "/spec/replicas") = json!(2);
    "an autoscaler that removes nodes", "autoscaler": |o| remove(at(o, "HorizontalPodAutoscaler", "playhouse", "/spec/behavior"), "scaleDown");
    "an autoscaler of nothing", "autoscaler": |o| *at(o, "HorizontalPodAutoscaler", "playhouse", "/spec/scaleTargetRef/kind") = json!("Deployment");
    "an autoscaler by a metric that nobody tells", "autoscaler": |o| push(at(o, "HorizontalPodAutoscaler", "playhouse", "/spec/metrics"), json!({ "type": "Pods" }));
    "an autoscaler below the founders", "autoscaler": |o| *at(o, "HorizontalPodAutoscaler", "playhouse", "/spec/minReplicas") = json!(1);
    "an autoscaler above what runs", "autoscaler": |o| *at(o, "HorizontalPodAutoscaler", "playhouse", "/spec/minReplicas") = json!(5);
    "more nodes than the autoscaler allows", "autoscaler": |o| *set(o, "/spec/replicas") = json!(8);
    "backups into what goes with the pod", "backup": |o| at(o, "CronJob", "playhouse-backup", JOB)["volumes"][0] = json!({ "name": "backups", "emptyDir": {} });
    "two backups at once", "backup": |o| *at(o, "CronJob", "playhouse-backup", "/spec/concurrencyPolicy") = json!("Allow");
    "backups that nobody verifies", "backup": |o| { at(o, "CronJob", "playhouse-backup", JOB)["initContainers"].as_array_mut().unwrap().pop() };
    "backups that hang for ever", "backup": |o| remove(at(o, "CronJob", "playhouse-backup", "/spec/jobTemplate/spec"), "activeDeadlineSeconds");
    "backups that are taken again when the pruning fails", "backup": |o| *at(o, "CronJob", "playhouse-backup", "/spec/jobTemplate/spec/backoffLimit") = json!(2);
    "a VPA beside the HPA", "foreign": |o| o.0.push(json!({ "kind": "VerticalPodAutoscaler", "metadata": { "name": "a", "namespace": "everything" } }));
    "a Deployment beside the set", "foreign": |o| o.0.push(json!({ "kind": "Deployment", "metadata": { "name": "a", "namespace": "everything" } }));
    "a template of another tool", "foreign": |o| at(o, "Service", "playhouse", "/metadata")["annotations"] = json!({ "a": "{{ .Values.a }}" });
    "policies that cut peers in", "network": |o| *at(o, "NetworkPolicy", "playhouse-peers", "/spec/ingress") = json!([]);
    "policies that cut peers out", "network": |o| *at(o, "NetworkPolicy", "playhouse-peers", "/spec/egress") = json!([]);
    "policies that cut canaries off", "network": |o| at(o, "NetworkPolicy", "playhouse-peers", "/spec/ingress/0/from/0/podSelector/matchLabels")["playhouse.dev/track"] = json!("stable");
    "policies that let every namespace in", "network": |o| *at(o, "NetworkPolicy", "playhouse-peers", "/spec/ingress/0/from/0") = json!({ "namespaceSelector": {} });
    "policies without names", "network": |o| o.0.retain(|one| one["metadata"]["name"] != "dns");
    "policies that keep certificates away", "network": |o| o.0.retain(|one| one["metadata"]["name"] != "acme-solvers");
    "policies with another port", "network": |o| *at(o, "NetworkPolicy", "playhouse-clients", "/spec/ingress/0/ports/0/port") = json!(80);
    "no default", "network": |o| o.0.retain(|one| one["metadata"]["name"] != "default-deny");
    "backups that reach nobody", "network": |o| remove(at(o, "CronJob", "playhouse-backup", "/spec/jobTemplate/spec/template/metadata/labels"), "playhouse.dev/operator");
    "a namespace label that nobody sets", "network": |o| *at(o, "NetworkPolicy", "playhouse-metrics", "/spec/ingress/0/from/0/namespaceSelector") = json!({ "matchLabels": { "name": "monitoring" } });
}

#[test]
fn each_check_notices_what_it_is_for() {
    let Some(right) = everything() else { return };
    assert_eq!(complaints(&right), Vec::<String>::new());
    for Mutation { what, check, apply } in MUTATIONS {
        let mut broken = right.clone();
        apply(&mut broken);
        let found = complaints(&broken);
        let notices = found.iter().any(|complaint| complaint.starts_with(&format!("{check}: ")));
        assert!(notices, "{check} does not notice {what}; others say {found:?}");
    }
}

#[test]
fn each_check_is_proved_able_to_complain() {
    for (check, _) in ALL {
        assert!(MUTATIONS.iter().any(|one| one.check == check), "nothing breaks {check}");
    }
    for one in MUTATIONS {
        assert!(
            ALL.iter().any(|(check, _)| *check == one.check),
            "{}: there is no check {}",
            one.what,
            one.check
        );
    }
}
