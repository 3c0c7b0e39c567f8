//! What the StatefulSet is, and those who select its pods.

use playhouse_statefulset::{label, object, port};
use serde_json::{Value, json};

use super::unless;
use crate::support::objects::{Labels, Objects, id, labels, list, map_selects, selects, text};

fn sets(objects: &Objects) -> impl Iterator<Item = &Value> {
    objects.of_kind("StatefulSet")
}

/// The labels of every pod that the set makes.
fn made(set: &Value) -> Labels {
    labels(&set["spec"]["template"]["metadata"]["labels"])
}

pub fn shape(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(unless(sets(objects).count() == 1, || "there is not one StatefulSet".to_owned()));
    for set in sets(objects) {
        let spec = &set["spec"];
        let retained = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
        found.extend(
            [
                unless(spec["podManagementPolicy"] == "Parallel", || {
                    "founders start one after the other, which never ends".to_owned()
                }),
                unless(spec["persistentVolumeClaimRetentionPolicy"] == retained, || {
                    "claims go with pods".to_owned()
                }),
                unless(spec["updateStrategy"]["type"] == "RollingUpdate", || {
                    "pods are not updated".to_owned()
                }),
                unless(says_partition(spec), || {
                    format!("no partition of these pods is said: {}", spec["updateStrategy"])
                }),
                unless(spec["minReadySeconds"].as_u64() >= Some(1), || {
                    "a pod counts before it has served".to_owned()
                }),
            ]
            .into_iter()
            .flatten(),
        );
    }
    found
}

/// It is said, is one of the pods, and is all that is said.
fn says_partition(spec: &Value) -> bool {
    let said = &spec["updateStrategy"]["rollingUpdate"];
    let is_of_pods =
        said["partition"].as_u64().is_some_and(|first| first <= spec["replicas"].as_u64().unwrap_or(1));
    is_of_pods && said.as_object().is_some_and(|fields| fields.len() == 1)
}

/// The headless Service of the set tells of every node, ready or not, and its port is named as nodes ask for it.
pub fn peers(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let name = text(&set["spec"]["serviceName"]);
        let Some(service) = objects.get("Service", name) else {
            found.push(format!("there is no Service {name}"));
            continue;
        };
        let spec = &service["spec"];
        let has_port = list(&spec["ports"])
            .iter()
            .any(|one| one["name"] == port::PEER.name && one["port"] == port::PEER.number);
        found.extend(
            [
                unless(name == object::PEERS, || format!("nodes look for {}, not {name}", object::PEERS)),
                unless(spec["clusterIP"] == "None", || format!("{name} has an address of its own")),
                unless(spec["publishNotReadyAddresses"] == true, || {
                    format!("{name} hides nodes that wait for each other")
                }),
                unless(map_selects(&spec["selector"], &made(set)), || {
                    format!("{name} does not select its set")
                }),
                unless(has_port, || format!("{name} has no port {}", port::PEER.name)),
            ]
            .into_iter()
            .flatten(),
        );
    }
    found
}

/// The set selects its own pods, and by nothing that changes.
pub fn selector(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let selector = &set["spec"]["selector"];
        let mut wanted: Labels =
            label::NODES.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        wanted.insert(label::TRACK.to_owned(), label::STABLE.to_owned());
        found.extend(unless(*selector == json!({ "matchLabels": wanted }), || {
            format!("{} selects by {selector}", id(set))
        }));
        found.extend(unless(selects(selector, &made(set)), || {
            format!("{} does not select its pods", id(set))
        }));
        found.extend(unless(made(set).contains_key(label::RELEASE), || {
            format!("pods of {} do not say their release", id(set))
        }));
    }
    let selectors = ["/spec/selector", "/spec/podSelector", "/spec/selector/matchLabels"];
    for object in &objects.0 {
        let by_release = selectors
            .iter()
            .filter_map(|path| object.pointer(path))
            .any(|one| one.to_string().contains(label::RELEASE));
        found.extend(unless(!by_release, || format!("{} selects by release", id(object))));
    }
    found
}

/// Nothing that changes is in a claim template, and there is one volume per pod.
pub fn claims(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let templates = list(&set["spec"]["volumeClaimTemplates"]);
        found.extend(unless(templates.len() == 1, || {
            format!("{} has {} claims for each pod", id(set), templates.len())
        }));
        for template in templates {
            found.extend(
                [
                    unless(template["metadata"] == json!({ "name": object::DATA }), || {
                        format!("{} can never change", template["metadata"])
                    }),
                    unless(is_as_the_server_keeps_it(template), || {
                        format!("{} differs for ever from what the API server keeps", id(set))
                    }),
                    unless(template["spec"]["accessModes"] == json!(["ReadWriteOnce"]), || {
                        "a claim is for several machines".to_owned()
                    }),
                ]
                .into_iter()
                .flatten(),
            );
        }
        let kept = |mount: &Value| {
            mount["name"] == object::DATA && mount["mountPath"] == playhouse_statefulset::path::DATA
        };
        let pod = &set["spec"]["template"]["spec"];
        let is_kept = list(&pod["containers"]).iter().flat_map(|one| list(&one["volumeMounts"])).any(kept);
        found.extend(unless(is_kept, || format!("{} keeps its state in the container", id(set))));
    }
    found
}

/// With the fields that the API server adds.
fn is_as_the_server_keeps_it(template: &Value) -> bool {
    template["apiVersion"] == "v1"
        && template["kind"] == "PersistentVolumeClaim"
        && template["spec"]["volumeMode"] == "Filesystem"
}

/// A second set of another track will be found by the same Services and counted by the same budget, and is not this set's.
pub fn track(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let mut canary = made(set);
        canary.insert(label::TRACK.to_owned(), "canary".to_owned());
        canary.insert(label::RELEASE.to_owned(), "9.9.9".to_owned());
        found.extend(unless(!selects(&set["spec"]["selector"], &canary), || {
            format!("{} takes pods of a canary", id(set))
        }));
        for service in objects.of_kind("Service") {
            found.extend(unless(map_selects(&service["spec"]["selector"], &canary), || {
                format!("{} misses a canary", id(service))
            }));
        }
        for budget in objects.of_kind("PodDisruptionBudget") {
            found.extend(unless(selects(&budget["spec"]["selector"], &canary), || {
                format!("{} misses a canary", id(budget))
            }));
        }
    }
    found
}

/// Over zones and machines, for all tracks together, and never so strictly that a pod does not run.
pub fn spread(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let pod = &set["spec"]["template"]["spec"];
        let by_zone = list(&pod["topologySpreadConstraints"]).iter().any(|one| {
            one["topologyKey"] == label::ZONE
                && one["whenUnsatisfiable"] == "ScheduleAnyway"
                && selects(&one["labelSelector"], &made(set))
        });
        let anti = &pod["affinity"]["podAntiAffinity"];
        let by_machine = list(&anti["preferredDuringSchedulingIgnoredDuringExecution"]).iter().any(|one| {
            let term = &one["podAffinityTerm"];
            term["topologyKey"] == "kubernetes.io/hostname" && selects(&term["labelSelector"], &made(set))
        });
        found.extend(unless(by_zone, || format!("{} is not spread over zones", id(set))));
        found.extend(unless(by_machine, || format!("{} is not spread over machines", id(set))));
        found.extend(unless(anti.get("requiredDuringSchedulingIgnoredDuringExecution").is_none(), || {
            format!("{} does not run where machines are few", id(set))
        }));
    }
    found
}

/// One budget, for exactly the nodes.
pub fn budget(objects: &Objects) -> Vec<String> {
    let budgets: Vec<_> = objects.of_kind("PodDisruptionBudget").collect();
    let mut found = Vec::new();
    found.extend(unless(budgets.len() == 1, || {
        format!("{} budgets; several over one pod refuse every eviction", budgets.len())
    }));
    for budget in budgets {
        let spec = &budget["spec"];
        found.extend(unless(spec["maxUnavailable"] == 1 && spec.get("minAvailable").is_none(), || {
            format!("{} says {spec}", id(budget))
        }));
        for pod in objects.pods() {
            let is_node = pod.owner.starts_with("StatefulSet");
            found.extend(unless(selects(&spec["selector"], &pod.labels) == is_node, || {
                format!("{} and {} do not fit", id(budget), pod.owner)
            }));
        }
    }
    found
}

/// No pod waits for another one before it starts, and every founder is a pod.
pub fn bootstrap(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for set in sets(objects) {
        let pod = &set["spec"]["template"]["spec"];
        found.extend(unless(list(&pod["initContainers"]).is_empty(), || {
            format!("{} waits before it starts", id(set))
        }));
        let replicas = set["spec"]["replicas"].as_u64().unwrap_or(1);
        for node in objects.nodes() {
            let said = |key: &str| super::pods::setting(objects, &node, key).unwrap_or_default();
            let members: Vec<_> = (0..replicas)
                .map(|ordinal| format!("{}-{ordinal}", text(&set["metadata"]["name"])))
                .collect();
            let (names, first) =
                (said("PLAYHOUSE_BOOTSTRAP__MEMBERS"), said("PLAYHOUSE_BOOTSTRAP__INITIATOR"));
            let are_there = names.split(',').all(|name| members.iter().any(|member| member == name));
            found.extend(unless(are_there, || format!("{names} found the cluster, of {members:?}")));
            found.extend(unless(names.split(',').any(|name| name == first), || {
                format!("{first} is not among {names}")
            }));
        }
    }
    found
}
