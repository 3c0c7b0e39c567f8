//! What a folder is rendered to: objects, and questions about them.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

use super::tools;

/// Labels, or what selects them.
pub type Labels = BTreeMap<String, String>;

/// Objects in the order in which they were rendered.
#[derive(Clone, Debug)]
pub struct Objects(pub Vec<Value>);

/// A pod as an object describes it.
#[derive(Clone, Debug)]
pub struct Pod<'a> {
    /// Such as `StatefulSet playhouse`.
    pub owner: String,
    pub namespace: &'a str,
    pub labels: Labels,
    pub spec: &'a Value,
}

impl Objects {
    /// Reads documents; a key that is there twice is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_multiple(text).map(Self).map_err(|error| error.to_string())
    }

    /// What `kubectl kustomize` makes of `folder`. `None` without kubectl.
    pub fn rendered(folder: &Path) -> Option<Self> {
        Some(Self::parse(&rendered_text(folder)?).expect("what is rendered is YAML"))
    }

    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    pub fn get_mut(&mut self, kind: &str, name: &str) -> &mut Value {
        let found =
            self.0.iter_mut().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// Every pod that something here would start.
    pub fn pods(&self) -> Vec<Pod<'_>> {
        const TEMPLATES: [&str; 3] = ["/spec/template", "/spec/jobTemplate/spec/template", "/template"];
        let pods_of = |object| {
            let template = TEMPLATES.iter().find_map(|path| Value::pointer(object, path))?;
            Some(Pod {
                owner: id(object),
                namespace: text(&object["metadata"]["namespace"]),
                labels: labels(&template["metadata"]["labels"]),
                spec: &template["spec"],
            })
        };
        self.0.iter().filter_map(pods_of).collect()
    }

    /// Those of the StatefulSet.
    pub fn nodes(&self) -> Vec<Pod<'_>> {
        self.pods().into_iter().filter(|pod| pod.owner.starts_with("StatefulSet")).collect()
    }

    /// Of each namespace its own.
    pub fn by_namespace(self) -> BTreeMap<String, Self> {
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        for object in self.0 {
            let namespace = text(&object["metadata"]["namespace"]).to_owned();
            found.entry(namespace).or_insert_with(|| Self(Vec::new())).0.push(object);
        }
        found
    }
}

impl<'a> Pod<'a> {
    /// Containers, those of the beginning too.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(&self.spec["initContainers"]).iter().chain(list(&self.spec["containers"]))
    }

    /// The number of the port that a Service or a probe names.
    pub fn port(&self, wanted: &Value) -> Option<u64> {
        let ports = self.containers().flat_map(|container| list(&container["ports"]));
        let mut found = ports.filter(|port| port["name"] == *wanted || port["containerPort"] == *wanted);
        found.next()?["containerPort"].as_u64()
    }
}

/// The objects in the YAML of a page.
pub fn of_page(page: &str) -> Objects {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let plain = |block: &str| {
        let depth = block.len() - block.trim_start_matches(' ').len();
        block.lines().map(|line| line.get(depth..).unwrap_or_default().to_owned() + "\n").collect::<String>()
    };
    let found = blocks.flat_map(|block| Objects::parse(&plain(block)).expect("a page has YAML").0);
    Objects(found.collect())
}

/// The text of a rendered folder. `None` without kubectl.
pub fn rendered_text(folder: &Path) -> Option<String> {
    tools::has("kubectl", "a rendered overlay")
        .then(|| tools::quiet_output(Command::new("kubectl").arg("kustomize").arg(folder)))
}

/// Kind and name, for messages.
pub fn id(object: &Value) -> String {
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// A text, or nothing.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A list, or an empty one.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), text(value).to_owned())).collect()
}

/// Whether a plain map of labels, as Services have it, selects. An empty one selects nothing.
pub fn map_selects(selector: &Value, found: &Labels) -> bool {
    let wanted = labels(selector);
    !wanted.is_empty() && wanted.iter().all(|(key, value)| found.get(key) == Some(value))
}

/// Whether a label selector selects. An empty one selects everything.
pub fn selects(selector: &Value, found: &Labels) -> bool {
    let by_label = labels(&selector["matchLabels"]).iter().all(|(key, value)| found.get(key) == Some(value));
    by_label && list(&selector["matchExpressions"]).iter().all(|wanted| holds(wanted, found))
}

fn holds(wanted: &Value, found: &Labels) -> bool {
    let value = found.get(text(&wanted["key"]));
    let is_listed = || value.is_some_and(|value| list(&wanted["values"]).iter().any(|one| one == value));
    match text(&wanted["operator"]) {
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        other => panic!("no operator {other:?}"),
    }
}
