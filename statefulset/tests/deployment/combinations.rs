//! Components stand alone: each subset of them can be included.

use std::{fs, path::Path, process::Command};

use playhouse_statefulset::label;
use serde_json::json;

use crate::{
    checks::complaints,
    support::{
        objects::{Objects, list, rendered_text},
        tools::{self, repository},
    },
};

/// How many combinations one call of kubectl renders: its start takes longer than they do.
const AT_ONCE: usize = 16;

/// The components that there are.
pub fn components() -> Vec<String> {
    let folders = fs::read_dir(repository().join("kustomize/components")).unwrap();
    let mut names: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The base with these components, in a namespace of its own.
fn write(folder: &Path, namespace: &str, components: &[String]) {
    // Kustomize takes relative paths only, and does not follow links.
    let root = "../../../..";
    let mut text = format!("namespace: {namespace}\nresources:\n  - {root}/kustomize/base\ncomponents:\n");
    for component in components {
        text += &format!("  - {root}/kustomize/components/{component}\n");
    }
    text += &format!("  - {root}/kustomize/overlays/production/version\n");
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
}

/// A folder below `target`, from where `../../..` is the repository.
fn workplace() -> tempfile::TempDir {
    let target = repository().join("target");
    fs::create_dir_all(&target).unwrap();
    tempfile::Builder::new().prefix("combinations-").tempdir_in(fs::canonicalize(target).unwrap()).unwrap()
}

fn parent(folder: &Path, children: usize) {
    let rows: String = (0..children).map(|child| format!("  - c{child}\n")).collect();
    fs::write(folder.join("kustomization.yaml"), format!("resources:\n{rows}")).unwrap();
}

/// All components at once.
pub fn everything() -> Option<Objects> {
    let work = workplace();
    let folder = work.path().join("all");
    write(&folder, "everything", &components());
    // One folder less deep than those of many.
    let text =
        fs::read_to_string(folder.join("kustomization.yaml")).unwrap().replace("../../../..", "../../..");
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    Objects::rendered(&folder)
}

#[test]
fn every_combination_of_components_is_right_by_every_check() {
    if !tools::has("kubectl", "combinations of components") {
        return;
    }
    let components = components();
    let subsets: Vec<Vec<String>> = (0..1_usize << components.len())
        .map(|bits| {
            (0..components.len()).filter(|at| bits >> at & 1 == 1).map(|at| components[at].clone()).collect()
        })
        .collect();
    let mut seen = 0;
    for (batch, some) in subsets.chunks(AT_ONCE).enumerate() {
        let work = workplace();
        let folder = work.path().join(format!("b{batch}"));
        for (child, subset) in some.iter().enumerate() {
            write(&folder.join(format!("c{child}")), &format!("c{child}"), subset);
        }
        parent(&folder, some.len());
        let objects = Objects::parse(&rendered_text(&folder).unwrap()).unwrap();
        for (namespace, objects) in objects.by_namespace() {
            let child: usize = namespace[1..].parse().unwrap();
            assert_eq!(complaints(&objects), Vec::<String>::new(), "{:?}", some[child]);
            seen += 1;
        }
    }
    assert_eq!(seen, subsets.len());
    println!("{seen} combinations of {} components", components.len());
}

/// The set of another track: as the first one, with a name, a track and an image of its own.
fn write_canary(folder: &Path) {
    let path = repository().join("statefulset/manifests/statefulset-playhouse.yaml");
    let mut set = Objects::parse(&fs::read_to_string(path).unwrap()).unwrap().0.remove(0);
    set["metadata"]["name"] = json!("playhouse-canary");
    for labels in ["/metadata/labels", "/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        set.pointer_mut(labels).unwrap()[label::TRACK] = json!("canary");
    }
    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("playhouse-canary");
    fs::write(folder.join("statefulset-playhouse-canary.yaml"), set.to_string()).unwrap();
}

/// Patched by name, a canary would be a gateway that is open to everybody, and would say that it is the release of the others.
#[test]
fn a_set_of_another_track_needs_tokens_and_keeps_its_release() {
    let work = workplace();
    let folder = work.path().join("all");
    write(&folder, "canary", &["client-tokens".to_owned()]);
    write_canary(&folder);
    let text = fs::read_to_string(folder.join("kustomization.yaml"))
        .unwrap()
        .replace("../../../..", "../../..")
        .replace("components:", "  - statefulset-playhouse-canary.yaml\ncomponents:");
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    let Some(objects) = Objects::rendered(&folder) else { return };

    let nodes = objects.nodes();
    assert_eq!(nodes.len(), 2);
    for node in &nodes {
        let container = node.containers().next().unwrap();
        let said = list(&container["env"]).iter().any(|one| one["name"] == "PLAYHOUSE_GATEWAY__TOKEN_FILE");
        let mounted = list(&container["volumeMounts"]).iter().any(|one| one["name"] == "clients");
        assert!(said && mounted, "{} is open to everybody", node.owner);
        let is_first = node.labels[label::TRACK] == label::STABLE;
        assert_eq!(node.labels.contains_key(label::RELEASE), is_first, "{}", node.owner);
        assert_eq!(container["image"] != "playhouse-canary", is_first, "{}", node.owner);
    }
}

/// Otherwise nobody would hear of one.
#[test]
fn a_warning_of_kubectl_is_a_failure() {
    if !tools::has("kubectl", "warnings of kubectl") {
        return;
    }
    let work = workplace();
    fs::write(
        work.path().join("kustomization.yaml"),
        "commonLabels:\n  a: b\nconfigMapGenerator:\n  - name: a\n",
    )
    .unwrap();
    let path = work.path().to_owned();
    let render = move || tools::quiet_output(Command::new("kubectl").arg("kustomize").arg(&path));
    let rendered = std::panic::catch_unwind(render);
    assert!(rendered.is_err());
}
