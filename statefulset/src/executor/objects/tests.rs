//! A small set, and what is refused.

use super::*;

/// A set with all that these tests need, and its Services.
pub(in crate::executor) const MANIFESTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: play, namespace: here}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: here}
data: {A: one, file.toml: two}
---
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: here}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app: play}
  ports: [{name: peer, port: 4370, targetPort: peer}]
---
apiVersion: v1
kind: Service
metadata: {name: play, namespace: here}
spec:
  selector: {app: play}
  ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: play, namespace: here}
spec:
  replicas: 3
  serviceName: peers
  podManagementPolicy: Parallel
  minReadySeconds: 5
  selector: {matchLabels: {app: play}}
  template:
    metadata: {labels: {app: play, track: stable}}
    spec:
      serviceAccountName: play
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 40
      securityContext: {fsGroup: 65532, runAsNonRoot: true}
      affinity: {whatever: this}
      containers:
        - name: play
          image: registry.example/play:1
          args: [run, --name, $(NAME)]
          env:
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
          ports: [{name: http, containerPort: 8080}, {name: peer, containerPort: 4370}]
          livenessProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 10, failureThreshold: 3}
          readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 2}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: secret, mountPath: /secret, readOnly: true}
      volumes:
        - {name: secret, secret: {secretName: cookie, defaultMode: 288}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// They, read.
pub(in crate::executor) fn objects() -> Objects {
    Objects::read(MANIFESTS).unwrap()
}

fn refusal(from: &str, to: &str) -> String {
    assert!(MANIFESTS.contains(from), "{from} is there to be replaced");
    Objects::read(&MANIFESTS.replacen(from, to, 1)).unwrap_err().to_string()
}

/// As they are reviewed: a field of theirs that nobody here knows would be refused.
#[test]
fn every_rendered_environment_is_read() {
    for (name, nodes) in [("development", 1), ("staging", 3), ("production", 3)] {
        let path = format!("{}/../kustomize/rendered/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let objects = Objects::read(&std::fs::read_to_string(path).unwrap());
        let objects = objects.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(objects.stateful_sets["playhouse"].spec.replicas, nodes, "{name}");
    }
}

#[test]
fn what_is_written_is_read() {
    let objects = objects();
    let set = &objects.stateful_sets["play"];
    assert_eq!((set.spec.replicas, set.spec.min_ready_seconds), (3, 5));
    assert!(set.spec.template.spec.enable_service_links, "links are there unless somebody says no");
    assert!(objects.services["peers"].is_headless() && !objects.services["play"].is_headless());
}

#[test]
fn a_field_that_nobody_knows_is_refused_with_its_place() {
    let said = refusal("minReadySeconds", "minReadySecond");
    assert!(said.contains("StatefulSet play") && said.contains("minReadySecond"), "{said}");
    let said = refusal("periodSeconds: 2", "periodSecond: 2");
    assert!(said.contains("spec.template.spec.containers[0].readinessProbe"), "{said}");
    let said = refusal("      containers:", "      hostNetwork: true\n      containers:");
    assert!(said.contains("hostNetwork"), "{said}");
}

#[test]
fn a_kind_that_nobody_knows_is_refused() {
    let said = refusal("kind: ServiceAccount", "kind: ClusterAutoscaler");
    assert!(said.contains("ClusterAutoscaler of v1 is not known"), "{said}");
}

#[test]
fn an_object_is_there_once() {
    let said = refusal("metadata: {name: peers", "metadata: {name: play");
    assert_eq!(said, "Service play is there twice");
}

#[test]
fn what_is_not_done_here_is_refused() {
    for (from, to, reason) in [
        ("podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady", "not Parallel"),
        ("      automountServiceAccountToken: false\n", "", "automountServiceAccountToken"),
        ("clusterIP: None", "clusterIP: 10.0.0.7", "asks for the address 10.0.0.7"),
        ("port: 80,", "port: 80, protocol: UDP,", "only connections"),
        ("replicas: 3", "replicas: 65", "at most 64"),
        (
            "replicas: 3",
            "persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n  replicas: 3",
            "volumes stay",
        ),
        ("matchLabels: {app: play}", "matchLabels: {app: other}", "does not choose its own pods"),
        ("serviceAccountName: play", "serviceAccountName: other", "no ServiceAccount other"),
        ("{name: data, mountPath", "{name: date, mountPath", "date is mounted and is no volume"),
        (
            "httpGet: {path: /livez, port: http}",
            "tcpSocket: {port: 1}, exec: {command: []}",
            "exactly one thing",
        ),
        ("secret: {secretName: cookie, defaultMode: 288}", "hostPath: {path: /}", "hostPath"),
    ] {
        let said = refusal(from, to);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_changed_template_has_another_revision_and_a_changed_number_has_not() {
    let revision = |text: &str| Objects::read(text).unwrap().stateful_sets["play"].revision.clone();
    let first = revision(MANIFESTS);
    assert_eq!(revision(&MANIFESTS.replace("replicas: 3", "replicas: 5")), first);
    assert_ne!(revision(&MANIFESTS.replace("track: stable", "track: canary")), first);
}
