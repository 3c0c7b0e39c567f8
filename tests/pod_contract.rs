//! The two halves of the pod contract agree: what the manifests say, what `playhouse_statefulset` names, and what the settings of a
//! node accept. In both directions: nothing is said that nobody reads, and nothing is named that nobody says.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.
#![allow(clippy::print_stdout)] // Tests that are skipped say why.

#[path = "../statefulset/tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use playhouse::config::{Config, ConfigErrors, ConfigFile, Origin, Resolved, Sources, Track, resolve};
use playhouse_statefulset::{PodName, end, label, object, path, port, probe, variable};
use serde_json::Value;

use support::{
    objects::{Objects, Pod, list, of_page, text},
    tools::repository,
};

const OVERLAYS: [&str; 3] = ["development", "staging", "production"];

/// As reviewed; that it is what is rendered, another test says.
fn overlay(name: &str) -> Objects {
    let path = repository().join(format!("kustomize/rendered/{name}.yaml"));
    Objects::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The variables of the pod with that ordinal, as the kubelet gives them.
fn variables(objects: &Objects, pod: &Pod<'_>, ordinal: u32) -> BTreeMap<String, String> {
    let container = pod.containers().next().unwrap();
    let name = PodName::new(object::PLAYHOUSE, ordinal).unwrap().to_string();
    let mut found = BTreeMap::new();
    for from in list(&container["envFrom"]) {
        let map = objects.get("ConfigMap", text(&from["configMapRef"]["name"])).unwrap();
        let data = map["data"].as_object().unwrap();
        found.extend(data.iter().map(|(key, value)| (key.clone(), text(value).to_owned())));
    }
    for one in list(&container["env"]) {
        let value = match text(&one["valueFrom"]["fieldRef"]["fieldPath"]) {
            "" => text(&one["value"]).to_owned(),
            "metadata.name" => name.clone(),
            field => {
                let key =
                    field.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']")).unwrap();
                // A label that is not there is an empty text.
                pod.labels.get(key).cloned().unwrap_or_default()
            }
        };
        found.insert(text(&one["name"]).to_owned(), value);
    }
    found
}

/// The file that a path of the container leads to, if it is in a ConfigMap.
fn file<'a>(objects: &'a Objects, pod: &Pod<'a>, wanted: &str) -> Option<&'a str> {
    let container = pod.containers().next()?;
    let mounts = list(&container["volumeMounts"]).iter();
    let (mount, key) = mounts
        .filter_map(|mount| Some((mount, wanted.strip_prefix(text(&mount["mountPath"]))?.strip_prefix('/')?)))
        .next()?;
    let volume = list(&pod.spec["volumes"]).iter().find(|volume| volume["name"] == mount["name"])?;
    objects.get("ConfigMap", text(&volume["configMap"]["name"]))?["data"][key].as_str()
}

fn sources(objects: &Objects, pod: &Pod<'_>, ordinal: u32) -> Sources {
    let variables = variables(objects, pod, ordinal);
    let path = &variables[variable::CONFIG];
    let text = file(objects, pod, path).unwrap().to_owned();
    let mut sources = Sources::default().with_env(variables.clone());
    sources.file = Some(ConfigFile { path: path.into(), text });
    sources
}

fn resolved(objects: &Objects, ordinal: u32) -> Result<Resolved, ConfigErrors> {
    let nodes = objects.nodes();
    resolve(&sources(objects, &nodes[0], ordinal))
}

fn config(name: &str, ordinal: u32) -> Config {
    resolved(&overlay(name), ordinal).unwrap_or_else(|errors| panic!("{name}: {errors}")).config
}

/// What the pod says of itself arrives in the settings of its node.
#[test]
fn every_variable_is_read_and_means_what_the_pod_says() {
    for name in OVERLAYS {
        let objects = overlay(name);
        let replicas =
            objects.get("StatefulSet", object::PLAYHOUSE).unwrap()["spec"]["replicas"].as_u64().unwrap();
        for ordinal in 0..u32::try_from(replicas).unwrap() {
            let config = config(name, ordinal);
            assert_eq!(config.node.name, format!("playhouse-{ordinal}"));
            assert_eq!(config.cluster.track, Track::Stable);
            assert_eq!(config.cluster.zone, None, "a label that is not there");
            assert!(!config.is_alone(), "others may join");
            assert_eq!(config.warnings().len(), 0, "{name}: {:?}", config.warnings());
        }
        let nodes = objects.nodes();
        let said: BTreeSet<_> = list(&nodes[0].containers().next().unwrap()["env"])
            .iter()
            .map(|one| text(&one["name"]))
            .collect();
        for known in variable::ALL {
            assert!(said.contains(known), "{name} does not say {known}");
        }
        let others: Vec<_> = said.iter().filter(|one| !variable::ALL.contains(one)).copied().collect();
        let expected = if name == "development" { &[][..] } else { &variable::OF_CLIENTS[..] };
        assert_eq!(others, expected, "{name} says what the code does not name");
    }
}

/// A zone that is known is one.
#[test]
fn the_zone_of_a_machine_is_that_of_the_node() {
    let objects = overlay("production");
    let mut nodes = objects.nodes();
    nodes[0].labels.insert(label::ZONE.to_owned(), "eu-1a".to_owned());
    let config = resolve(&sources(&objects, &nodes[0], 0)).unwrap().config;
    assert_eq!(config.cluster.zone.as_deref(), Some("eu-1a"));
    nodes[0].labels.insert(label::TRACK.to_owned(), "canary".to_owned());
    assert_eq!(resolve(&sources(&objects, &nodes[0], 0)).unwrap().config.cluster.track, Track::Canary);
}

#[test]
fn a_variable_that_nothing_reads_keeps_the_node_from_starting() {
    let mut objects = overlay("production");
    for map in objects.0.iter_mut().filter(|one| one["kind"] == "ConfigMap") {
        if map["data"].get("PLAYHOUSE_BOOTSTRAP__MEMBERS").is_some() {
            map["data"]["PLAYHOUSE_BOOTSTRAP_MEMBER"] = Value::from("playhouse-0");
        }
    }
    let errors = resolved(&objects, 0).unwrap_err().to_string();
    assert!(errors.contains("PLAYHOUSE_BOOTSTRAP_MEMBER") || errors.contains("bootstrap"), "{errors}");
}

#[test]
fn ports_are_those_of_the_code() {
    for name in OVERLAYS {
        let (objects, config) = (overlay(name), config(name, 0));
        let nodes = objects.nodes();
        let opened: BTreeMap<_, _> = nodes[0]
            .containers()
            .flat_map(|container| list(&container["ports"]))
            .map(|one| (text(&one["name"]), one["containerPort"].as_u64().unwrap()))
            .collect();
        assert_eq!(opened, port::ALL.map(|port| (port.name, u64::from(port.number))).into());
        let listens =
            [config.gateway.listen, config.ops.listen, config.peer.listen].map(|address| address.port());
        assert_eq!(listens, port::ALL.map(|port| port.number));
        assert_eq!(config.peer.discovery_port.get(), port::PEER.number);
    }
}

#[test]
fn every_listener_of_a_pod_is_reachable_from_others() {
    for name in OVERLAYS {
        let config = config(name, 0);
        for address in [config.gateway.listen, config.ops.listen, config.peer.listen] {
            assert!(address.ip().is_unspecified(), "{name}: {address}");
        }
    }
}

/// Settings name the files, volumes are mounted where settings look, and the crate knows both.
#[test]
fn every_path_is_mounted_and_set_and_known_to_the_code() {
    for name in OVERLAYS {
        let (objects, config) = (overlay(name), config(name, 0));
        let set = [
            (Some(config.node.data_dir), path::DATA, object::DATA),
            (config.peer.cookie_file, path::COOKIE, object::COOKIE_SECRET),
            (config.peer.cookie_file_next, path::COOKIE_NEXT, object::COOKIE_SECRET),
            (config.ops.admin_token_file, path::ADMIN_TOKENS, object::ADMIN_SECRET),
            (config.gateway.token_file, path::CLIENT_TOKENS, object::CLIENTS_SECRET),
        ];
        let nodes = objects.nodes();
        let container = nodes[0].containers().next().unwrap();
        let mut mounted: BTreeSet<_> =
            list(&container["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"])).collect();
        for (said, known, source) in set {
            let Some(said) = said else {
                assert_eq!((name, known), ("development", path::CLIENT_TOKENS));
                continue;
            };
            assert_eq!(said.to_str(), Some(known), "{name}");
            assert_eq!(source_of(&nodes[0], known), Some(source), "{name}: {known}");
            mounted.retain(|mount| !known.starts_with(mount));
        }
        let config_folder = path::CONFIG.rsplit_once('/').unwrap().0;
        assert_eq!(mounted, [config_folder].into(), "{name} mounts what no setting names");
        assert!(file(&objects, &nodes[0], path::CONFIG).is_some());
        assert_eq!(variables(&objects, &nodes[0], 0)[variable::CONFIG], path::CONFIG);
    }
}

/// What is mounted where a path leads: a Secret, or a claim.
fn source_of<'a>(pod: &Pod<'a>, wanted: &str) -> Option<&'a str> {
    let mounts = list(&pod.containers().next()?["volumeMounts"]);
    let mount = mounts.iter().find(|mount| wanted.starts_with(text(&mount["mountPath"])))?;
    let volume = list(&pod.spec["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
    volume.map_or_else(|| mount["name"].as_str(), |volume| volume["secret"]["secretName"].as_str())
}

#[test]
fn the_pod_waits_longer_than_the_node_drains() {
    for name in OVERLAYS {
        let (objects, config) = (overlay(name), config(name, 0));
        assert_eq!(config.drain.budget, end::DRAIN_BUDGET);
        let nodes = objects.nodes();
        assert_eq!(nodes[0].spec["terminationGracePeriodSeconds"], end::GRACE.as_secs());
        let before = &nodes[0].containers().next().unwrap()["lifecycle"]["preStop"]["sleep"]["seconds"];
        assert_eq!(*before, end::PAUSE.as_secs());
    }
}

/// A check of a probe ends before the kubelet stops waiting, and the node's patience with itself ends before the kubelet's.
#[test]
fn probes_wait_longer_than_what_they_ask_for() {
    for name in OVERLAYS {
        let (objects, config) = (overlay(name), config(name, 0));
        let nodes = objects.nodes();
        let container = nodes[0].containers().next().unwrap();
        let seconds = |probe: &str, key: &str| container[probe][key].as_u64().unwrap();
        for probe in ["livenessProbe", "readinessProbe"] {
            assert!(seconds(probe, "timeoutSeconds") > config.ops.check_timeout.as_secs(), "{name}: {probe}");
        }
        let patience =
            seconds("livenessProbe", "periodSeconds") * seconds("livenessProbe", "failureThreshold");
        assert!(patience > config.ops.silence_max.as_secs());
        assert!(
            patience > config.store.sync_hangs_after.as_secs() + config.store.write_hangs_after.as_secs()
        );
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], probe::LIVE);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], probe::READY);
    }
}

/// Overload is an answer, not the end of the node: what may wait, be kept and be awake fits into the limit of memory with a fifth to
/// spare. Mailboxes and kept replies are bounded for each shard that a node leads; that is most when one of the founders is gone.
#[test]
fn bounds_together_fit_into_the_memory_of_the_pod() {
    for (name, led) in [("development", 16), ("staging", 64), ("production", 64)] {
        let (objects, config) = (overlay(name), config(name, 0));
        let others = (config.members().len() - 1).max(1);
        assert_eq!(usize::from(config.node.shards.get()).div_ceil(others), led, "{name}");
        let (limits, of_shard) = (&config.limits, u64::try_from(led).unwrap());
        let taken = of_shard * (limits.mailbox_bytes_max.0 + limits.idempotency_bytes_max.0)
            + limits.memory_budget_bytes.0
            + config.gateway.bodies_bytes_max.0
            + config.store.cache_bytes.0;
        let nodes = objects.nodes();
        let limit = text(&nodes[0].containers().next().unwrap()["resources"]["limits"]["memory"]);
        let bytes = match limit.split_at(limit.len() - 2) {
            (number, "Gi") => number.parse::<u64>().unwrap() << 30,
            (number, "Mi") => number.parse::<u64>().unwrap() << 20,
            _ => panic!("{name}: {limit}"),
        };
        assert!(taken + taken / 5 <= bytes, "{name}: bounds allow {taken} bytes, the pod {bytes}");
    }
}

/// The paths of probes are those that the port for operators serves, and the other way round.
#[test]
fn the_port_for_operators_serves_what_probes_ask() {
    let source = std::fs::read_to_string(repository().join("src/gateway/ops/front.rs")).unwrap()
        + &std::fs::read_to_string(repository().join("src/gateway/ops.rs")).unwrap();
    for path in [probe::LIVE, probe::READY, probe::STARTED, probe::METRICS] {
        assert!(source.contains(&format!("\"{path}\"")), "{path} is not served");
    }
}

/// The name that nodes look for is the headless Service.
#[test]
fn nodes_look_for_the_headless_service() {
    for name in OVERLAYS {
        let (objects, config) = (overlay(name), config(name, 0));
        let looked_for = config.peer.discovery_name.unwrap();
        assert_eq!(looked_for.as_str(), object::PEERS);
        assert_eq!(objects.get("Service", object::PEERS).unwrap()["spec"]["clusterIP"], "None");
    }
}

/// Each environment is a cluster that can lose what it says.
#[test]
fn environments_keep_as_many_copies_as_they_say() {
    for (name, founders, replicated) in
        [("development", 1, false), ("staging", 3, true), ("production", 3, true)]
    {
        let config = config(name, 0);
        assert_eq!((config.members().len(), config.is_replicated()), (founders, replicated), "{name}");
        assert_eq!(config.initiator(), "playhouse-0");
    }
}

/// What is said in one place is said once: the file and the variables do not overlap, but for what an environment decides.
#[test]
fn no_variable_overrides_the_file() {
    for name in OVERLAYS {
        let objects = overlay(name);
        let nodes = objects.nodes();
        let both = sources(&objects, &nodes[0], 0);
        let mut file_only = both.clone();
        file_only
            .environment
            .retain(|(key, _)| key == variable::NODE_NAME || key.starts_with("PLAYHOUSE_BOOTSTRAP"));
        let by_file = resolve(&file_only).unwrap().settings;
        for (alone, merged) in by_file.iter().zip(resolve(&both).unwrap().settings) {
            if matches!(alone.origin, Origin::File { .. }) {
                assert_eq!(alone.origin, merged.origin, "{name}: {}", alone.key);
            }
        }
    }
}

/// The command of the container is one that the binary has.
#[test]
fn the_container_runs_a_node() {
    for name in OVERLAYS {
        let objects = overlay(name);
        let nodes = objects.nodes();
        let container = nodes[0].containers().next().unwrap();
        assert_eq!(container["args"], serde_json::json!(["run"]));
        assert!(container.get("command").is_none(), "the entry point is the image's");
    }
}

/// The Job that fills the founder's volume has settings that a restore takes, and they are the founder's.
#[test]
fn a_restore_has_the_settings_of_the_founder() {
    let page = std::fs::read_to_string(repository().join("docs/operating/backup-and-restore.md")).unwrap();
    let objects = of_page(&page);
    let pods = objects.pods();
    let resolved = resolve(&Sources::default().with_env(variables(&objects, &pods[0], 0))).unwrap().config;
    let founder = config("production", 0);
    assert_eq!((resolved.members(), resolved.initiator()), (founder.members(), founder.initiator()));
    assert_eq!((&resolved.node, &resolved.store), (&founder.node, &founder.store));
    assert_eq!(resolved.cluster.id, None);
    assert_eq!(&resolved.peer.cookie_file, &founder.peer.cookie_file);
    let claim = pods[0].spec["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().unwrap();
    assert_eq!(claim, format!("{}-{}", object::DATA, founder.initiator()));
}

/// Commands of jobs are ones that the binary has.
#[test]
fn the_backup_job_says_what_the_binary_takes() {
    let objects = overlay("production");
    let pods = objects.pods();
    let job = pods.iter().find(|pod| pod.owner.starts_with("CronJob")).unwrap();
    for container in job.containers() {
        let arguments: Vec<_> = list(&container["args"])
            .iter()
            .map(|one| text(one).replace("$(BACKUP_NAME)", "missing"))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|one| one.replace("/backups", folder.path().to_str().unwrap()));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_playhouse"));
        command
            .args(arguments)
            .env("PLAYHOUSE_OPS", "http://127.0.0.1:1")
            .env_remove("PLAYHOUSE_ADMIN_TOKEN_FILE")
            .args(["--timeout", "250ms"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(2), "{container}: {said}");
        assert_eq!(output.status.success(), container["name"] == "prune", "{container}: {said}");
    }
}
