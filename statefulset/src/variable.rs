//! Variables that a pod gives its node. All others come from the ConfigMap of an environment, and are keys as well.

/// The file with the settings that are the same everywhere.
pub const CONFIG: &str = "PLAYHOUSE_CONFIG";
/// `node.name`: the name of the pod.
pub const NODE_NAME: &str = "PLAYHOUSE_NODE__NAME";
/// `cluster.track`: a label of the pod.
pub const TRACK: &str = "PLAYHOUSE_CLUSTER__TRACK";
/// `cluster.zone`: a label of the pod; empty where Kubernetes does not set it, which counts as unset.
pub const ZONE: &str = "PLAYHOUSE_CLUSTER__ZONE";
/// For commands that people run in the pod: the token of operators.
pub const ADMIN_TOKENS: &str = "PLAYHOUSE_ADMIN_TOKEN_FILE";

/// Those of every pod.
pub const ALL: [&str; 5] = [CONFIG, NODE_NAME, TRACK, ZONE, ADMIN_TOKENS];

/// `gateway.token_file`, with the component `client-tokens`.
pub const CLIENT_TOKENS: &str = "PLAYHOUSE_GATEWAY__TOKEN_FILE";
/// For commands that people run in the pod: the token of clients, with the same component.
pub const TOKENS: &str = "PLAYHOUSE_TOKEN_FILE";

/// Those of that component.
pub const OF_CLIENTS: [&str; 2] = [CLIENT_TOKENS, TOKENS];
