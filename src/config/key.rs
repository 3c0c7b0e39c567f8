//! Names of keys: from variables, and near misses.

/// A suggestion must be at least this similar.
const SIMILARITY_MIN: f64 = 0.8;

/// Variables with our prefix that are not keys: read by the command line itself.
const OTHERS: &[&str] = &[
    "PLAYHOUSE_CONFIG",
    "PLAYHOUSE_SERVER",
    "PLAYHOUSE_OPS",
    "PLAYHOUSE_TOKEN_FILE",
    "PLAYHOUSE_ADMIN_TOKEN_FILE",
];

/// The key that a variable sets: `PLAYHOUSE_GATEWAY__LISTEN` → `gateway.listen`. `None` when it is not meant for us.
pub(super) fn of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("PLAYHOUSE_")?;
    if OTHERS.contains(&name) || is_service_link(rest) {
        return None;
    }
    Some(rest.to_ascii_lowercase().replace("__", "."))
}

/// Kubernetes gives each container variables of every Service in its namespace, named after the Service. A Service
/// called `playhouse` or `playhouse-ops` makes `PLAYHOUSE_SERVICE_HOST`, `PLAYHOUSE_OPS_PORT_9090_TCP_ADDR` and so on.
fn is_service_link(rest: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let host_or_port = words.windows(2).any(|pair| matches!(pair, ["SERVICE", "HOST" | "PORT"]));
    let numbered = words.windows(3).any(|three| {
        matches!(three, ["PORT", number, "TCP" | "UDP" | "SCTP"] if number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let docker_port = words.last() == Some(&"PORT") && !rest.contains("__");
    host_or_port || numbered || docker_port
}

/// The known key that was probably meant: one with the same last part, or the most similar one.
pub(super) fn nearest(unknown: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = unknown.replace('_', ".");
    let similarity = |key: &str| {
        let whole = strsim::jaro_winkler(unknown, key);
        let separated = strsim::jaro_winkler(&plain, &key.replace('_', "."));
        let leaf = if leaf(key) == leaf(unknown) { 0.9 } else { 0.0 };
        whole.max(separated).max(leaf)
    };
    let best = known.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(best) >= SIMILARITY_MIN).then_some(best)
}

fn leaf(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_underscore_separates_section_and_key() {
        assert_eq!(
            of_variable("PLAYHOUSE_GATEWAY__BODY_BYTES_MAX").as_deref(),
            Some("gateway.body_bytes_max")
        );
        assert_eq!(of_variable("HOME"), None);
        assert_eq!(of_variable("PLAYHOUSE_CONFIG"), None);
    }

    #[test]
    fn variables_that_kubernetes_makes_of_services_are_not_keys() {
        for name in [
            "PLAYHOUSE_SERVICE_HOST",
            "PLAYHOUSE_SERVICE_PORT",
            "PLAYHOUSE_SERVICE_PORT_HTTP",
            "PLAYHOUSE_PORT",
            "PLAYHOUSE_PORT_8080_TCP",
            "PLAYHOUSE_PORT_8080_TCP_ADDR",
            "PLAYHOUSE_OPS_PORT_9090_TCP_PROTO",
        ] {
            assert_eq!(of_variable(name), None, "{name}");
        }
        assert!(of_variable("PLAYHOUSE_GATEWAY_LISTEN").is_some());
    }

    #[test]
    fn the_nearest_key_is_found() {
        let known = ["gateway.listen", "gateway.body_bytes_max", "node.shards"];
        assert_eq!(nearest("gateway.lisen", &known), Some("gateway.listen"));
        assert_eq!(nearest("gateway_listen", &known), Some("gateway.listen"));
        assert_eq!(nearest("shards", &known), Some("node.shards"));
        assert_eq!(nearest("zzz", &known), None);
    }
}
