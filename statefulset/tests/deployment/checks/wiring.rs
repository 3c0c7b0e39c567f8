//! What one object says of another must be so.

use std::collections::BTreeSet;

use playhouse_statefulset::{object, probe};
use serde_json::Value;

use super::unless;
use crate::support::objects::{Objects, Pod, id, labels, list, map_selects, selects, text};

/// Secrets that people make, and none other.
const SECRETS: [&str; 4] =
    [object::COOKIE_SECRET, object::ADMIN_SECRET, object::CLIENTS_SECRET, "playhouse-tls"];

pub fn unique(objects: &Objects) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = objects.0.iter().filter(|object| !seen.insert(id(object)));
    let mut found: Vec<_> = twice.map(|object| format!("{} is there twice", id(object))).collect();
    let namespaces: BTreeSet<_> =
        objects.0.iter().map(|object| text(&object["metadata"]["namespace"])).collect();
    found.extend(unless(namespaces.len() == 1 && !namespaces.contains(""), || {
        format!("one namespace is wanted, not {namespaces:?}")
    }));
    found
}

/// A Service selects pods, only nodes, and each of its ports is open there.
pub fn services(objects: &Objects) -> Vec<String> {
    let pods = objects.pods();
    let mut found = Vec::new();
    for service in objects.of_kind("Service") {
        let selected: Vec<_> =
            pods.iter().filter(|pod| map_selects(&service["spec"]["selector"], &pod.labels)).collect();
        found.extend(unless(!selected.is_empty(), || format!("{} selects no pod", id(service))));
        for pod in selected {
            found.extend(unless(pod.owner.starts_with("StatefulSet"), || {
                format!("{} selects {}", id(service), pod.owner)
            }));
            found.extend(closed_ports(service, pod));
        }
    }
    found
}

fn closed_ports(service: &Value, pod: &Pod<'_>) -> Vec<String> {
    let is_closed = |port: &&Value| pod.port(&port["targetPort"]).is_none_or(|number| port["port"] != number);
    let ports = list(&service["spec"]["ports"]).iter().filter(is_closed);
    ports
        .map(|port| {
            format!("{} leads to {}, which {} does not open", id(service), port["targetPort"], pod.owner)
        })
        .collect()
}

/// Each mount has a volume or a claim, each volume a mount; no mount lies in another or is a single file.
pub fn mounts(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for object in &objects.0 {
        let Some(pod) = Objects(vec![object.clone()]).pods().first().map(|pod| pod.spec.clone()) else {
            continue;
        };
        let claims = list(&object["spec"]["volumeClaimTemplates"])
            .iter()
            .map(|claim| text(&claim["metadata"]["name"]));
        let volumes = list(&pod["volumes"]).iter().map(|volume| text(&volume["name"]));
        let there: Vec<_> = claims.chain(volumes).collect();
        let containers = || list(&pod["initContainers"]).iter().chain(list(&pod["containers"]));
        let mounted: BTreeSet<_> = containers()
            .flat_map(|container| list(&container["volumeMounts"]))
            .map(|mount| text(&mount["name"]))
            .collect();
        let names: BTreeSet<_> = there.iter().copied().collect();
        found.extend(unless(names.len() == there.len(), || {
            format!("{}: {there:?} has a name twice", id(object))
        }));
        found.extend(unless(names == mounted, || {
            format!("{}: {names:?} are there, {mounted:?} are mounted", id(object))
        }));
        found.extend(containers().flat_map(|container| bad_paths(&id(object), container)));
    }
    found
}

fn bad_paths(owner: &str, container: &Value) -> Vec<String> {
    let mounts = list(&container["volumeMounts"]);
    let mut found = Vec::new();
    for mount in mounts {
        let path = text(&mount["mountPath"]);
        found.extend(unless(mount.get("subPath").is_none(), || {
            format!("{owner}: {path} is a part of a volume, which does not follow its changes")
        }));
        let is_inside = |other: &&Value| path.starts_with(&format!("{}/", text(&other["mountPath"])));
        found.extend(mounts.iter().find(is_inside).map(|other| {
            format!("{owner}: {path} lies in {}, where nothing can be made", other["mountPath"])
        }));
    }
    found
}

/// What a pod names is there, or is a Secret that people make.
pub fn references(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for pod in objects.pods() {
        let mut needs = Vec::new();
        for volume in list(&pod.spec["volumes"]) {
            needs.push(("ConfigMap", text(&volume["configMap"]["name"])));
            needs.push(("PersistentVolumeClaim", text(&volume["persistentVolumeClaim"]["claimName"])));
            found.extend(unknown_secret(&pod, text(&volume["secret"]["secretName"])));
        }
        for from in pod.containers().flat_map(|container| list(&container["envFrom"])) {
            needs.push(("ConfigMap", text(&from["configMapRef"]["name"])));
            found.extend(unknown_secret(&pod, text(&from["secretRef"]["name"])));
        }
        needs.push(("ServiceAccount", text(&pod.spec["serviceAccountName"])));
        let missing =
            needs.into_iter().filter(|(kind, name)| !name.is_empty() && objects.get(kind, name).is_none());
        found.extend(
            missing.map(|(kind, name)| format!("{} names {kind} {name}, which is not there", pod.owner)),
        );
        found.extend(unless(!text(&pod.spec["serviceAccountName"]).is_empty(), || {
            format!("{} has the account of everybody", pod.owner)
        }));
    }
    found
}

/// Settings of the revision before stay: one of its pods that starts again has no others.
pub fn kept(objects: &Objects) -> Vec<String> {
    const KEPT: [(&str, &str); 3] = [
        ("argocd.argoproj.io/sync-options", "Prune=false"),
        ("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
        ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ];
    let mut found = Vec::new();
    for pod in objects.nodes() {
        let volumes = list(&pod.spec["volumes"]).iter().map(|volume| text(&volume["configMap"]["name"]));
        let env = pod.containers().flat_map(|container| list(&container["envFrom"]));
        let names = volumes.chain(env.map(|from| text(&from["configMapRef"]["name"])));
        for map in names.filter_map(|name| objects.get("ConfigMap", name)) {
            let said = labels(&map["metadata"]["annotations"]);
            let is_kept = KEPT.iter().all(|(key, value)| said.get(*key).is_some_and(|one| one == value));
            found.extend(unless(is_kept, || format!("{} goes with its revision", id(map))));
        }
    }
    found
}

fn unknown_secret(pod: &Pod<'_>, name: &str) -> Option<String> {
    unless(name.is_empty() || SECRETS.contains(&name), || {
        format!("{} names Secret {name}, which nobody makes", pod.owner)
    })
}

/// Ways from outside lead to a Service and one of its ports; where TLS ends, it is for the names that are served.
pub fn routes(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for ingress in objects.of_kind("Ingress") {
        let rules = list(&ingress["spec"]["rules"]);
        let hosts: BTreeSet<_> = rules.iter().map(|rule| text(&rule["host"])).collect();
        let tls = list(&ingress["spec"]["tls"]).iter().flat_map(|tls| list(&tls["hosts"])).map(text);
        let tls: BTreeSet<_> = tls.collect();
        found.extend(unless(hosts == tls && !hosts.is_empty() && !hosts.contains(""), || {
            format!("{} serves {hosts:?} and has TLS for {tls:?}", id(ingress))
        }));
        let paths: Vec<_> = rules.iter().flat_map(|rule| list(&rule["http"]["paths"])).collect();
        found.extend(unless(paths.len() >= rules.len(), || format!("{} leads nowhere", id(ingress))));
        for path in paths {
            let service = &path["backend"]["service"];
            let port = service["port"].get("name").unwrap_or(&service["port"]["number"]);
            found.extend(missing_port(objects, ingress, text(&service["name"]), port));
        }
    }
    for route in objects.of_kind("HTTPRoute") {
        let rules = list(&route["spec"]["rules"]);
        for backend in rules.iter().flat_map(|rule| list(&rule["backendRefs"])) {
            found.extend(missing_port(objects, route, text(&backend["name"]), &backend["port"]));
        }
        for parent in list(&route["spec"]["parentRefs"]) {
            found.extend(missing_listener(objects, route, parent));
        }
    }
    found
}

fn missing_port(objects: &Objects, from: &Value, service: &str, port: &Value) -> Option<String> {
    let ports = objects.get("Service", service).map(|service| list(&service["spec"]["ports"]));
    let is_there =
        ports.is_some_and(|ports| ports.iter().any(|one| one["name"] == *port || one["port"] == *port));
    unless(is_there, || format!("{} leads to {service} {port}, which is not there", id(from)))
}

fn missing_listener(objects: &Objects, route: &Value, parent: &Value) -> Option<String> {
    let gateway = objects.get("Gateway", text(&parent["name"]));
    let listeners = gateway.map_or(&[][..], |gateway| list(&gateway["spec"]["listeners"]));
    let listener = listeners.iter().find(|one| one["name"] == parent["sectionName"]);
    let agrees = listener.is_some_and(|one| list(&route["spec"]["hostnames"]).contains(&one["hostname"]));
    unless(agrees, || format!("{} hangs at {}, which does not serve its names", id(route), parent["name"]))
}

/// What Prometheus is told to scrape is there: pods, or Services, with that port.
pub fn monitors(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for monitor in objects.of_kind("PodMonitor") {
        let spec = &monitor["spec"];
        let pods: Vec<_> =
            objects.pods().into_iter().filter(|pod| selects(&spec["selector"], &pod.labels)).collect();
        let are_nodes = pods.len() == 1 && pods[0].owner.starts_with("StatefulSet");
        found.extend(unless(are_nodes, || format!("{} selects {} kinds of pods", id(monitor), pods.len())));
        for end in list(&spec["podMetricsEndpoints"]) {
            let leads =
                end["path"] == probe::METRICS && pods.iter().all(|pod| pod.port(&end["port"]).is_some());
            found.extend(unless(leads, || format!("{} leads to {end}, which is not there", id(monitor))));
        }
    }
    for monitor in objects.of_kind("ServiceMonitor") {
        let selector = &monitor["spec"]["selector"];
        let services =
            objects.of_kind("Service").filter(|one| selects(selector, &labels(&one["metadata"]["labels"])));
        let ports: Vec<_> =
            services.flat_map(|one| list(&one["spec"]["ports"])).map(|port| &port["name"]).collect();
        let ends = list(&monitor["spec"]["endpoints"]);
        let lead = !ends.is_empty() && ends.iter().all(|end| ports.contains(&&end["port"]));
        found.extend(unless(lead, || format!("{} leads to no port of {ports:?}", id(monitor))));
    }
    found
}

/// No secret is in an object, in a variable, or in an argument.
pub fn secrets(objects: &Objects) -> Vec<String> {
    let mut found: Vec<_> =
        objects.of_kind("Secret").map(|secret| format!("{} is among the objects", id(secret))).collect();
    for pod in objects.pods() {
        for container in pod.containers() {
            let env = list(&container["env"]);
            let from_secret = env.iter().any(|one| one["valueFrom"].get("secretKeyRef").is_some())
                || list(&container["envFrom"]).iter().any(|one| one.get("secretRef").is_some());
            found.extend(unless(!from_secret, || format!("{} has a secret in a variable", pod.owner)));
        }
    }
    for map in objects.of_kind("ConfigMap") {
        let data = map["data"].as_object().into_iter().flatten();
        let told =
            data.filter(|(key, value)| tells_secret(key) || text(value).lines().any(tells_secret_line));
        found.extend(told.map(|(key, _)| format!("{} has a secret in {key}", id(map))));
    }
    found
}

/// A key is allowed that names a file.
fn tells_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["cookie", "token", "password", "secret"].iter().any(|word| key.contains(word)) && !key.contains("file")
}

/// Only settings look like this; whatever is in a dashboard is none.
fn tells_secret_line(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_') && tells_secret(key)
    })
}
