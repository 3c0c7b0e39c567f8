//! The environment and the command line of a container.
//!
//! Comes in: the container, who the pod is, and the other objects. Leaves: exactly the variables that a container would have, or
//! what they wait for.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::objects::{
    Objects,
    meta::Labels,
    pod::{Container, FieldRef, PodSpec, Source, VariablesFrom},
    service::Service,
    volume::KeyRef,
};

/// Where programs of an image are looked for, unless it says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who a pod is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its name, which is also its host name.
    pub name: String,
    /// Where it is.
    pub namespace: String,
    /// One of a kind in all time.
    pub uid: String,
    /// Labels, those of its StatefulSet among them.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Its address.
    pub address: Ipv4Addr,
    /// That of its machine.
    pub host_address: Ipv4Addr,
}

/// Why a container cannot start now. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// Somebody has yet to make it.
    #[error("{object} not found")]
    NoObject {
        /// Kind and name.
        object: String,
    },
    /// Somebody has yet to put it in.
    #[error("{object} has no key {key}")]
    NoKey {
        /// Kind and name.
        object: String,
        /// Which key.
        key: String,
    },
    /// It will never work.
    #[error("no field {path} of a pod is known to the executor")]
    NoField {
        /// As it was written.
        path: String,
    },
    /// It will never work.
    #[error("the image would run as root, and runAsNonRoot forbids that")]
    Root,
}

/// The variables of a container. `given` are the addresses of Services that have one.
///
/// # Errors
///
/// What they wait for.
pub fn variables(
    spec: &PodSpec,
    identity: &Identity,
    objects: &Objects,
    given: &BTreeMap<String, Ipv4Addr>,
) -> Result<BTreeMap<String, String>, NotYet> {
    let container = spec.container();
    let mut all = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOSTNAME".to_owned(), identity.name.clone()),
    ]);
    if spec.enable_service_links {
        let services =
            objects.services.iter().filter_map(|(name, service)| Some((name, service, given.get(name)?)));
        all.extend(services.flat_map(|(name, service, address)| links(name, service, *address)));
    }
    for from in &container.env_from {
        all.extend(whole(from, objects)?);
    }
    for variable in &container.env {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => from(source, identity, objects)?,
            (value, None) => Some(expand(value.as_deref().unwrap_or_default(), &all)),
        };
        value.map(|value| all.insert(variable.name.clone(), value));
    }
    Ok(all)
}

/// The command line: program and arguments. What the container does not say, the image does.
#[must_use]
pub fn command(
    container: &Container,
    entry_point: &[String],
    default_arguments: &[String],
    variables: &BTreeMap<String, String>,
) -> Vec<String> {
    let (program, arguments) = match (container.command.as_slice(), container.args.as_slice()) {
        ([], []) => (entry_point, default_arguments),
        ([], arguments) => (entry_point, arguments),
        (program, arguments) => (program, arguments),
    };
    program.iter().chain(arguments).map(|word| expand(word, variables)).collect()
}

/// `$(NAME)` stands for a variable if there is one; `$$` for a dollar.
#[must_use]
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                expanded.push('$');
                after
            }
            (None, Some((name, after))) if variables.contains_key(name) => {
                expanded.push_str(&variables[name]);
                after
            }
            _ => {
                expanded.push('$');
                after
            }
        };
    }
    expanded + rest
}

fn from(source: &Source, identity: &Identity, objects: &Objects) -> Result<Option<String>, NotYet> {
    match source {
        Source::FieldRef(field) => identity.field(field).map(Some),
        Source::ConfigMapKeyRef(key) => {
            value("ConfigMap", key, objects.config_maps.get(&key.name).map(|map| &map.data))
        }
        Source::SecretKeyRef(key) => value("Secret", key, objects.secrets.get(&key.name)),
    }
}

fn value(
    kind: &str,
    key: &KeyRef,
    data: Option<&BTreeMap<String, String>>,
) -> Result<Option<String>, NotYet> {
    let object = format!("{kind} {}", key.name);
    match data.map(|data| data.get(&key.key)) {
        Some(Some(value)) => Ok(Some(value.clone())),
        _ if key.optional => Ok(None),
        Some(None) => Err(NotYet::NoKey { object, key: key.key.clone() }),
        None => Err(NotYet::NoObject { object }),
    }
}

fn whole(from: &VariablesFrom, objects: &Objects) -> Result<Labels, NotYet> {
    let maps = |name: &str| objects.config_maps.get(name).map(|map| &map.data);
    let map = from.config_map_ref.as_ref().map(|by| ("ConfigMap", by, maps(&by.name)));
    let secret = from.secret_ref.as_ref().map(|by| ("Secret", by, objects.secrets.get(&by.name)));
    let mut all = Labels::new();
    for (kind, by, data) in map.into_iter().chain(secret) {
        match data {
            None if by.optional => (),
            None => return Err(NotYet::NoObject { object: format!("{kind} {}", by.name) }),
            Some(data) => {
                all.extend(data.iter().map(|(key, value)| (format!("{}{key}", from.prefix), value.clone())))
            }
        }
    }
    Ok(all)
}

impl Identity {
    fn field(&self, field: &FieldRef) -> Result<String, NotYet> {
        let path = field.field_path.as_str();
        let key = |kind: &str| path.strip_prefix(kind)?.strip_prefix("['")?.strip_suffix("']");
        let of = |labels: &Labels, key: &str| labels.get(key).cloned().unwrap_or_default();
        Ok(match path {
            "metadata.name" => self.name.clone(),
            "metadata.namespace" => self.namespace.clone(),
            "metadata.uid" => self.uid.clone(),
            "status.podIP" | "status.podIPs" => self.address.to_string(),
            "status.hostIP" => self.host_address.to_string(),
            _ => match (key("metadata.labels"), key("metadata.annotations")) {
                (Some(label), _) => of(&self.labels, label),
                (None, Some(annotation)) => of(&self.annotations, annotation),
                (None, None) => return Err(NotYet::NoField { path: path.to_owned() }),
            },
        })
    }
}

/// What tells of a Service, as it was before there were names: `PLAY_SERVICE_HOST` and others.
fn links(name: &str, service: &Service, address: Ipv4Addr) -> Vec<(String, String)> {
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let service_name = upper(name);
    let mut all = vec![(format!("{service_name}_SERVICE_HOST"), address.to_string())];
    for (at, port) in service.spec.ports.iter().enumerate() {
        let (number, protocol) = (port.port, port.protocol.lower());
        let url = format!("{protocol}://{address}:{number}");
        if at == 0 {
            all.push((format!("{service_name}_SERVICE_PORT"), number.to_string()));
            all.push((format!("{service_name}_PORT"), url.clone()));
        }
        if !port.name.is_empty() {
            all.push((format!("{service_name}_SERVICE_PORT_{}", upper(&port.name)), number.to_string()));
        }
        let prefix = format!("{service_name}_PORT_{number}_{}", protocol.to_uppercase());
        all.push((prefix.clone(), url));
        all.push((format!("{prefix}_PROTO"), protocol.to_owned()));
        all.push((format!("{prefix}_PORT"), number.to_string()));
        all.push((format!("{prefix}_ADDR"), address.to_string()));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::executor::objects::tests::objects;

    fn identity() -> Identity {
        Identity {
            name: "play-1".to_owned(),
            namespace: "here".to_owned(),
            uid: "u-1".to_owned(),
            labels: [("track".to_owned(), "stable".to_owned())].into(),
            annotations: Labels::new(),
            address: Ipv4Addr::new(10, 0, 0, 2),
            host_address: Ipv4Addr::new(10, 0, 0, 254),
        }
    }

    fn variables_of(env: serde_json::Value, from: serde_json::Value) -> Result<Labels, NotYet> {
        let objects = objects();
        let mut spec = objects.stateful_sets["play"].spec.template.spec.clone();
        spec.enable_service_links = false;
        spec.containers[0].env = serde_json::from_value(env).unwrap();
        spec.containers[0].env_from = serde_json::from_value(from).unwrap();
        let mut all = variables(&spec, &identity(), &objects, &BTreeMap::new())?;
        assert!(all.remove("PATH").is_some() && all.remove("HOSTNAME").as_deref() == Some("play-1"));
        Ok(all)
    }

    fn texts(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_pod_knows_itself() {
        let field = |path: &str| json!([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
        for (path, value) in [
            ("metadata.name", "play-1"),
            ("status.podIP", "10.0.0.2"),
            ("metadata.labels['track']", "stable"),
            ("metadata.labels['nothing']", ""),
        ] {
            assert_eq!(variables_of(field(path), json!([])), Ok(texts(&[("X", value)])));
        }
        let unknown = NotYet::NoField { path: "spec.nodeName".to_owned() };
        assert_eq!(variables_of(field("spec.nodeName"), json!([])), Err(unknown));
    }

    #[test]
    fn single_variables_win_and_stand_for_earlier_ones() {
        let env = json!([{"name": "A", "value": "new"}, {"name": "B", "value": "$(A)-$(C)-$$(A)"}]);
        let from = json!([{"prefix": "P_", "configMapRef": {"name": "settings"}}, {"configMapRef": {"name": "settings"}}]);
        let expected = [
            ("A", "new"),
            ("B", "new-$(C)-$(A)"),
            ("P_A", "one"),
            ("P_file.toml", "two"),
            ("file.toml", "two"),
        ];
        assert_eq!(variables_of(env, from), Ok(texts(&expected)));
    }

    #[test]
    fn what_is_not_there_is_waited_for() {
        let secret = |optional: bool| json!([{"name": "S", "valueFrom": {"secretKeyRef": {"name": "cookie", "key": "k", "optional": optional}}}]);
        let missing = NotYet::NoObject { object: "Secret cookie".to_owned() };
        assert_eq!(variables_of(secret(false), json!([])), Err(missing));
        assert_eq!(variables_of(secret(true), json!([])), Ok(Labels::new()));
        let no_key =
            json!([{"name": "S", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}]);
        let missing = NotYet::NoKey { object: "ConfigMap settings".to_owned(), key: "k".to_owned() };
        assert_eq!(variables_of(no_key, json!([])), Err(missing));
    }

    /// A node takes variables that begin with its name for settings, and refuses those it does not know.
    #[test]
    fn services_are_told_unless_somebody_says_no() {
        let objects = objects();
        let mut spec = objects.stateful_sets["play"].spec.template.spec.clone();
        let given = [("play".to_owned(), Ipv4Addr::new(10, 96, 0, 7))].into();
        let all = variables(&spec, &identity(), &objects, &given).unwrap();
        assert_eq!(all["PLAY_SERVICE_HOST"], "10.96.0.7");
        assert_eq!(all["PLAY_PORT_80_TCP"], "tcp://10.96.0.7:80");
        assert_eq!(all["PLAY_SERVICE_PORT_HTTP"], "80");
        spec.enable_service_links = false;
        let all = variables(&spec, &identity(), &objects, &given).unwrap();
        assert!(all.keys().all(|name| !name.starts_with("PLAY_")), "{all:?}");
    }

    #[test]
    fn the_container_wins_over_the_image() {
        let mut container = objects().stateful_sets["play"].spec.template.spec.containers[0].clone();
        let image = [vec!["/play".to_owned()], vec!["help".to_owned()]];
        let variables = texts(&[("NAME", "play-1")]);
        let words = |container: &Container| command(container, &image[0], &image[1], &variables).join(" ");
        assert_eq!(words(&container), "/play run --name play-1");
        container.args.clear();
        assert_eq!(words(&container), "/play help");
        container.command = vec!["sh".to_owned()];
        assert_eq!(words(&container), "sh");
    }
}
