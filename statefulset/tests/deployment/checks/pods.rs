//! What a pod is.

use playhouse_statefulset::{path, probe};
use serde_json::{Value, json};

use super::unless;
use crate::support::objects::{Objects, Pod, list, text};

const MIB: u64 = 1 << 20;

/// Each complaint about each container of each pod.
fn each(objects: &Objects, look: impl Fn(&Pod<'_>, &Value) -> Vec<Option<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for pod in objects.pods() {
        for container in pod.containers() {
            found.extend(
                look(&pod, container).into_iter().flatten().map(|what| format!("{}: {what}", pod.owner)),
            );
        }
    }
    found
}

/// Of a registry, with a release that never means something else.
pub fn images(objects: &Objects) -> Vec<String> {
    let mut found = each(objects, |_, container| {
        let image = text(&container["image"]);
        let (name, tag) = image.rsplit_once(':').unwrap_or((image, ""));
        let is_pinned =
            name.contains('/') && !tag.contains('/') && tag.starts_with(|first: char| first.is_ascii_digit());
        vec![unless(is_pinned, || format!("{image:?} is not a release of a registry"))]
    });
    let nodes = objects.nodes();
    let images: Vec<_> =
        nodes.iter().flat_map(Pod::containers).map(|container| text(&container["image"])).collect();
    for node in &nodes {
        let release = node.labels.get(playhouse_statefulset::label::RELEASE);
        let agrees =
            release.is_some_and(|release| images.iter().all(|image| image.ends_with(&format!(":{release}"))));
        found.extend(unless(agrees, || format!("{}: release {release:?}, images {images:?}", node.owner)));
    }
    let other =
        objects.pods().iter().flat_map(|pod| pod.containers().collect::<Vec<_>>()).find_map(|container| {
            let image = text(&container["image"]);
            (!images.is_empty() && !images.contains(&image))
                .then(|| format!("{image} is another release than the nodes run"))
        });
    found.extend(other);
    found
}

/// As the Pod Security Standard `restricted` wants it, and a root file system that nobody writes.
pub fn restricted(objects: &Objects) -> Vec<String> {
    let mut found = each(objects, |_, container| {
        let context = &container["securityContext"];
        vec![
            unless(context["allowPrivilegeEscalation"] == false, || "may become root".to_owned()),
            unless(context["readOnlyRootFilesystem"] == true, || "may write its root file system".to_owned()),
            unless(context["capabilities"] == json!({ "drop": ["ALL"] }), || "keeps capabilities".to_owned()),
            unless(context.get("privileged").is_none(), || "is privileged".to_owned()),
        ]
    });
    for pod in objects.pods() {
        let context = &pod.spec["securityContext"];
        let is_user = ["runAsUser", "runAsGroup", "fsGroup"].iter().all(|key| context[*key] == path::USER);
        let (account, links) = (&pod.spec["automountServiceAccountToken"], &pod.spec["enableServiceLinks"]);
        let host = ["hostNetwork", "hostPID", "hostIPC"].iter().any(|key| pod.spec.get(*key).is_some());
        let volumes = list(&pod.spec["volumes"]);
        found.extend(
            [
                unless(context["runAsNonRoot"] == true && is_user, || {
                    format!("{} runs as {context}", pod.owner)
                }),
                unless(context["seccompProfile"]["type"] == "RuntimeDefault", || {
                    format!("{} has no seccomp profile", pod.owner)
                }),
                unless(account == false, || format!("{} has a token of the API server", pod.owner)),
                unless(links == false, || format!("{} gets a variable of each Service", pod.owner)),
                unless(!host, || format!("{} shares the machine's namespaces", pod.owner)),
                unless(volumes.iter().all(|one| one.get("hostPath").is_none()), || {
                    format!("{} mounts the machine", pod.owner)
                }),
            ]
            .into_iter()
            .flatten(),
        );
        let open = volumes
            .iter()
            .filter(|one| one.get("secret").is_some() && one["secret"]["defaultMode"] != path::SECRET_MODE);
        found.extend(open.map(|one| format!("{}: {} has another mode than 0440", pod.owner, one["name"])));
    }
    found
}

/// Memory is guaranteed; the processor is never withheld.
pub fn resources(objects: &Objects) -> Vec<String> {
    each(objects, |_, container| {
        let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
        vec![
            unless(requests["cpu"].is_string(), || "asks for no processor".to_owned()),
            unless(limits.get("cpu").is_none(), || "has a limit of processor".to_owned()),
            unless(requests["memory"].is_string() && requests["memory"] == limits["memory"], || {
                format!("asks for {} of memory and may take {}", requests["memory"], limits["memory"])
            }),
        ]
    })
}

/// What the settings allow fits into the limit, with a fifth for everything else, also when one of the founders is gone: each shard
/// that a node leads has a mailbox and kept replies.
pub fn memory(objects: &Objects) -> Vec<String> {
    const CACHE: u64 = 64 * MIB;
    let mut found = Vec::new();
    for node in objects.nodes() {
        let setting =
            |key: &str, default: u64| setting(objects, &node, key).map_or(default, |value| bytes(&value));
        let needed = setting("PLAYHOUSE_LIMITS__MEMORY_BUDGET_BYTES", 512 * MIB)
            + setting("PLAYHOUSE_GATEWAY__BODIES_BYTES_MAX", 256 * MIB)
            + setting("PLAYHOUSE_STORE__CACHE_BYTES", CACHE)
            + led_max(objects, &node)
                * (setting("PLAYHOUSE_LIMITS__MAILBOX_BYTES_MAX", 16 * MIB)
                    + setting("PLAYHOUSE_LIMITS__IDEMPOTENCY_BYTES_MAX", 16 * MIB));
        for container in node.containers() {
            let limit = bytes(text(&container["resources"]["limits"]["memory"]));
            found.extend(unless(needed + needed / 5 <= limit, || {
                format!("{}: settings take {needed} bytes and a fifth, the limit is {limit}", node.owner)
            }));
        }
    }
    found
}

/// How many shards a node leads when one of the founders is gone.
fn led_max(objects: &Objects, node: &Pod<'_>) -> u64 {
    let shards = setting(objects, node, "PLAYHOUSE_NODE__SHARDS").map_or(128, |shards| bytes(&shards));
    let members = setting(objects, node, "PLAYHOUSE_BOOTSTRAP__MEMBERS").unwrap_or_default();
    let others = u64::try_from(members.split(',').count() - 1).expect("a few");
    shards.div_ceil(others.max(1))
}

/// What a ConfigMap of variables says.
pub fn setting(objects: &Objects, pod: &Pod<'_>, key: &str) -> Option<String> {
    let maps = pod.containers().flat_map(|container| list(&container["envFrom"]));
    let mut values = maps.filter_map(|from| {
        let map = objects.get("ConfigMap", text(&from["configMapRef"]["name"]))?;
        map["data"][key].as_str().map(str::to_owned)
    });
    values.next()
}

/// `2Gi`, `512Mi`, and the node's `512MiB`.
fn bytes(text: &str) -> u64 {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let number: u64 = digits.parse().unwrap_or_default();
    match text[digits.len()..].trim_end_matches('B') {
        "Gi" => number << 30,
        "Mi" => number << 20,
        "Ki" => number << 10,
        _ => number,
    }
}

/// Each asks an open port for what it is named after, and patiently enough.
pub fn probes(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for node in objects.nodes() {
        for container in node.containers() {
            found.extend(probes_of(&node, container).into_iter().flatten());
        }
    }
    found
}

fn probes_of(node: &Pod<'_>, container: &Value) -> Vec<Option<String>> {
    let seconds = |probe: &Value, key: &str, default: u64| probe[key].as_u64().unwrap_or(default);
    let (live, ready) = (&container["livenessProbe"], &container["readinessProbe"]);
    let mut found: Vec<_> = [(live, probe::LIVE), (ready, probe::READY)]
        .map(|(asked, path)| {
            let get = &asked["httpGet"];
            let leads = get["path"] == path
                && node.port(&get["port"]) == Some(playhouse_statefulset::port::OPS.number.into());
            unless(leads && get["port"] == playhouse_statefulset::port::OPS.name, || {
                format!("{}: {get} is not {path}", node.owner)
            })
        })
        .into();
    let patience = seconds(live, "periodSeconds", 10) * seconds(live, "failureThreshold", 3);
    found.extend([
        unless(patience >= 45, || {
            format!("{}: killed after {patience} s, as a paused machine would be", node.owner)
        }),
        // The node's own check of a probe takes 2 s at most.
        unless(seconds(ready, "timeoutSeconds", 1) >= 3, || {
            format!("{}: readiness has less time than its checks", node.owner)
        }),
        unless(container.get("startupProbe").is_none(), || {
            format!("{}: a node that waits for others is killed", node.owner)
        }),
    ]);
    found
}

/// Pause, drain and some slack fit into the grace period.
pub fn end(objects: &Objects) -> Vec<String> {
    use playhouse_statefulset::end::{DRAIN_BUDGET, GRACE, PAUSE};
    let mut found = Vec::new();
    for node in objects.nodes() {
        let grace = &node.spec["terminationGracePeriodSeconds"];
        found.extend(unless(*grace == GRACE.as_secs(), || {
            format!("{}: grace {grace}, not {GRACE:?}", node.owner)
        }));
        for container in node.containers() {
            let before = &container["lifecycle"]["preStop"];
            let wanted = json!({ "sleep": { "seconds": PAUSE.as_secs() } });
            found.extend(unless(*before == wanted, || {
                format!("{}: {before} before SIGTERM, not {wanted}", node.owner)
            }));
        }
    }
    let budget = format!("budget = \"{}s\"", DRAIN_BUDGET.as_secs());
    let said = objects.of_kind("ConfigMap").any(|map| text(&map["data"]["playhouse.toml"]).contains(&budget));
    found.extend(unless(said || objects.nodes().is_empty(), || format!("no settings say {budget}")));
    found
}

/// Every variable has a reader: the node, or an argument.
pub fn variables(objects: &Objects) -> Vec<String> {
    each(objects, |_, container| {
        let args = container["args"].to_string();
        let env = list(&container["env"]).iter();
        env.map(|one| {
            let name = text(&one["name"]);
            let is_read = name.starts_with("PLAYHOUSE_") || args.contains(&format!("$({name})"));
            unless(is_read, || format!("nothing reads {name}"))
        })
        .collect()
    })
}
