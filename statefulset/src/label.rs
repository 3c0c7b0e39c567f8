//! Labels of pods. Selectors and claim templates can never change, so these are right from the first deployment.

/// What runs in it.
pub const NAME: &str = "app.kubernetes.io/name";
/// Which cluster it belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Which part of it: `node`, or `backup`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// What it is part of, whatever it is.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// On which track of a rollout: `stable`, and `canary` for pods of a second StatefulSet.
pub const TRACK: &str = "playhouse.dev/track";
/// Which release runs. In no selector and no claim template: it changes.
pub const RELEASE: &str = "playhouse.dev/release";
/// Pods that may use the port for clients.
pub const CLIENT: &str = "playhouse.dev/client";
/// Pods that may use the port for operators.
pub const OPERATOR: &str = "playhouse.dev/operator";
/// The zone of a pod's machine. Kubernetes copies it from there since 1.35; before, no pod has it.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// What selects every node of a cluster, of whatever track: Services, the disruption budget, network policies.
pub const NODES: [(&str, &str); 3] = [(NAME, "playhouse"), (INSTANCE, "playhouse"), (COMPONENT, "node")];

/// The track of the StatefulSet that is always there.
pub const STABLE: &str = "stable";
