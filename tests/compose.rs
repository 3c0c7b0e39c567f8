//! The cluster for laptops, `examples/compose`: its settings are those of the node, its ports and files those of the image.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use playhouse_statefulset::port;
use serde_json::{Value, json};

/// What a test sees of `playhouse config show`: keys and their values.
type Settings = BTreeMap<String, String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose")
}

fn yaml(path: impl AsRef<Path>) -> Value {
    let path = folder().join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compose() -> Value {
    yaml("compose.yaml")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service))
}

/// Services that are nodes.
fn nodes(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    services(compose).filter(|(name, _)| name.starts_with("playhouse-"))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// Asks the binary what a container with that environment would be told.
fn config_show(environment: &Value) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    command.args(["config", "show", "--output", "json"]).env_clear();
    for (name, value) in environment.as_object().unwrap() {
        command.env(
            name,
            value.as_str().unwrap_or_else(|| panic!("{name} is no text, which YAML might change")),
        );
    }
    command.output().unwrap()
}

fn settings(node: &Value) -> Settings {
    let output = config_show(&node["environment"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = shown["settings"].as_array().unwrap();
    shown.iter().map(|setting| (text(&setting["key"]), text(&setting["value"]))).collect()
}

#[test]
fn three_nodes_have_settings_that_the_node_knows() {
    let compose = compose();
    assert_eq!(nodes(&compose).count(), 3);
    for (name, node) in nodes(&compose) {
        assert_eq!(settings(node)["node.name"], name);
    }

    // A control: what the node does not know is refused, so the above says something.
    let mut environment = nodes(&compose).next().unwrap().1["environment"].clone();
    environment["PLAYHOUSE_PEER__SEED"] = json!("playhouse-0:4370");
    assert_eq!(config_show(&environment).status.code(), Some(2));
}

/// They find each other by the names of their services, at the port of a pod, and found one cluster.
#[test]
fn they_know_each_other() {
    let compose = compose();
    let names: Vec<_> = nodes(&compose).map(|(name, _)| name).collect();
    for (_, node) in nodes(&compose) {
        let settings = settings(node);
        let seeds: Vec<_> = names.iter().map(|name| format!("{name}:{}", port::PEER.number)).collect();
        assert_eq!(settings["peer.seeds"], seeds.join(","));
        assert_eq!(settings["bootstrap.members"], names.join(","));
        assert_eq!(settings["bootstrap.initiator"], names[0]);
        for (variable, port) in [("PLAYHOUSE_SERVER", port::HTTP), ("PLAYHOUSE_OPS", port::OPS)] {
            let all: Vec<_> = names.iter().map(|name| format!("http://{name}:{}", port.number)).collect();
            assert_eq!(node["environment"][variable], all.join(","));
        }
    }
}

#[test]
fn each_has_a_volume_of_its_own_where_it_keeps_its_state() {
    let compose = compose();
    for (name, node) in nodes(&compose) {
        let directory = &settings(node)["node.data_dir"];
        assert_eq!(node["volumes"], json!([format!("{name}:{directory}")]));
        assert!(compose["volumes"].as_object().unwrap().contains_key(name));
    }
}

/// In the environment anybody who may look at the container could read them.
#[test]
fn secrets_are_files() {
    let compose = compose();
    let declared: BTreeSet<_> = compose["secrets"].as_object().unwrap().keys().map(String::as_str).collect();
    for (name, file) in compose["secrets"].as_object().unwrap() {
        assert_eq!(file, &json!({ "file": format!("./secrets/{name}") }));
    }
    for (_, node) in nodes(&compose) {
        let settings = settings(node);
        assert_eq!(texts(&node["secrets"]).into_iter().collect::<BTreeSet<_>>(), declared);
        assert_eq!(settings["peer.cookie_file"], "/run/secrets/cookie");
        assert_eq!(settings["ops.admin_token_file"], "/run/secrets/admin-token");
        assert_eq!(node["environment"]["PLAYHOUSE_ADMIN_TOKEN_FILE"], "/run/secrets/admin-token");
    }
    let ignored = fs::read_to_string(folder().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "/secrets"), "{ignored}");
}

/// Nodes speak without a token here, and Grafana lets everybody in.
#[test]
fn everything_is_published_on_this_machine_only_and_once() {
    let compose = compose();
    let mut published = BTreeSet::new();
    for (name, service) in services(&compose) {
        for mapping in texts(&service["ports"]) {
            let [address, outside, inside] = mapping.split(':').collect::<Vec<_>>()[..] else {
                panic!("{name}: {mapping}")
            };
            assert_eq!(address, "127.0.0.1", "{name}");
            assert!(published.insert(outside.to_owned()), "{name}: {outside} is taken");
            let of_a_pod = [port::HTTP, port::OPS].map(|port| port.number.to_string());
            assert!(
                !name.starts_with("playhouse-") || of_a_pod.contains(&inside.to_owned()),
                "{name}: {mapping}"
            );
        }
    }
}

#[test]
fn a_node_has_no_rights_and_the_time_to_drain() {
    let compose = compose();
    for (name, node) in nodes(&compose) {
        assert_eq!(node["read_only"], true, "{name}");
        assert_eq!(node["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(node["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<u64>().unwrap();
        let budget = seconds(&settings(node)["drain.budget"]);
        assert!(seconds(node["stop_grace_period"].as_str().unwrap()) > budget, "{name}");
    }
}

#[test]
fn the_image_is_that_of_this_release() {
    let compose = compose();
    for (name, node) in nodes(&compose) {
        assert_eq!(node["image"], concat!("playhouse:", env!("CARGO_PKG_VERSION")), "{name}");
        let context = folder().join(node["build"]["context"].as_str().unwrap());
        assert!(context.join("Cargo.lock").exists());
        assert!(context.join(node["build"]["dockerfile"].as_str().unwrap()).exists());
    }
    for (name, service) in services(&compose) {
        let (_, tag) =
            service["image"].as_str().unwrap().rsplit_once(':').unwrap_or_else(|| panic!("{name}"));
        assert!(tag.trim_start_matches('v').split('.').count() == 3, "{name}: {tag} is not one release");
    }
}

/// A file that is not there becomes an empty folder in the container.
#[test]
fn what_is_mounted_from_here_exists() {
    let compose = compose();
    let mut mounted = 0;
    for (name, service) in services(&compose) {
        for mount in texts(&service["volumes"]).into_iter().filter(|mount| mount.starts_with('.')) {
            let (source, target) = mount.split_once(':').unwrap();
            assert!(folder().join(source).exists(), "{name}: {source}");
            assert!(target.ends_with(":ro"), "{name}: {mount} could be written");
            mounted += 1;
        }
    }
    assert!(mounted >= 5, "{mounted}");
}

#[test]
fn prometheus_scrapes_each_node_under_its_name() {
    let compose = compose();
    let config = yaml("prometheus/prometheus.yaml");
    let [job] = &config["scrape_configs"].as_array().unwrap()[..] else { panic!("{config}") };
    assert_eq!(job["job_name"], "playhouse");
    assert_eq!(job.get("metrics_path"), None); // The default, /metrics, is the node's.
    let scraped: Vec<_> = job["static_configs"].as_array().unwrap().iter().collect();
    for ((name, _), scraped) in nodes(&compose).zip(&scraped) {
        assert_eq!(scraped["targets"], json!([format!("{name}:{}", port::OPS.number)]));
        assert_eq!(scraped["labels"]["pod"], name);
    }
    assert_eq!(scraped.len(), 3);
}

/// The rules of the cluster are below `spec:`; the container writes them to where Prometheus looks.
#[test]
fn prometheus_gets_the_rules_of_the_cluster() {
    let compose = compose();
    let command = texts(&compose["services"]["prometheus"]["command"]).join(" ").replace("$$", "$");
    let (extract, start) = command.split_once(" && ").unwrap();
    let (extract, written) = extract.split_once(" > ").unwrap();
    assert_eq!(yaml("prometheus/prometheus.yaml")["rule_files"], json!([written]));
    assert!(start.contains("--config.file=/etc/prometheus/prometheus.yaml "), "{start}");

    let (program, inside) = extract.rsplit_once(' ').unwrap();
    let volumes = &compose["services"]["prometheus"]["volumes"];
    let mount = texts(volumes).into_iter().find(|mount| mount.contains(inside)).unwrap();
    let file = folder().join(mount.split(':').next().unwrap());
    let output =
        Command::new("sh").args(["-c", &format!("{program} \"$1\""), "sh"]).arg(&file).output().unwrap();
    let rules: Value = serde_saphyr::from_str(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    assert_eq!(rules, yaml(&file)["spec"]);
    assert!(!rules["groups"].as_array().unwrap().is_empty());
}

#[test]
fn grafana_finds_its_sources_and_dashboards() {
    let compose = compose();
    let sources = yaml("grafana/datasources/datasources.yaml");
    for source in sources["datasources"].as_array().unwrap() {
        let url = source["url"].as_str().unwrap();
        let (host, _) = url.strip_prefix("http://").unwrap().split_once(':').unwrap();
        assert!(services(&compose).any(|(name, _)| name == host), "{url}");
    }
    let provider = yaml("grafana/dashboards/playhouse.yaml")["providers"][0].clone();
    let at = provider["options"]["path"].as_str().unwrap();
    let volumes = texts(&compose["services"]["grafana"]["volumes"]);
    let mount = volumes.iter().find(|mount| mount.contains(&format!(":{at}:"))).unwrap();
    let home =
        compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    let (above, home) = home.unwrap().rsplit_once('/').unwrap();
    assert_eq!(above, at);
    assert!(folder().join(mount.split(':').next().unwrap()).join(home).exists(), "{home}");
}

#[test]
fn traces_go_to_jaeger() {
    let compose = compose();
    for (_, node) in nodes(&compose) {
        assert_eq!(settings(node)["traces.endpoint"], "http://jaeger:4318");
    }
    assert!(services(&compose).any(|(name, _)| name == "jaeger"));
}
