//! Objects by the schemas of Kubernetes, strictly and for two releases, and by those of the custom resources that are used.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    combinations::everything,
    gitops,
    support::{
        objects::{Objects, of_page, text},
        tools::{self, kubernetes_tools, repository},
    },
};

/// The oldest release that these manifests are for, and the newest that there is a schema of.
const RELEASES: [&str; 2] = ["1.33.0", "1.37.0"];

/// Groups whose objects are custom.
const CUSTOM: [&str; 6] = [
    "argoproj.io",
    "fluxcd.io",
    "gateway.networking.k8s.io",
    "kustomize.toolkit.fluxcd.io",
    "monitoring.coreos.com",
    "source.toolkit.fluxcd.io",
];

fn is_custom(object: &Value) -> bool {
    CUSTOM.contains(&text(&object["apiVersion"]).split('/').next().unwrap())
}

/// What a script of `tests/schemas` says, by the interpreter of its own environment.
pub fn python(script: &str, asked: &Value, what: &str) -> Option<Vec<String>> {
    let python = kubernetes_tools().join("venv/bin/python");
    if !tools::has(&python, what) {
        return None;
    }
    let path = repository().join("statefulset/tests/schemas").join(script);
    let mut child =
        Command::new(python).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} ended with {}", output.status);
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn kubernetes(objects: &Objects) -> Option<Vec<String>> {
    let plain: Vec<_> = objects.0.iter().filter(|one| !is_custom(one)).collect();
    python("kubernetes.py", &json!({ "versions": RELEASES, "objects": plain }), "schemas of Kubernetes")
}

fn custom(objects: &Objects) -> Option<Vec<String>> {
    let tools = kubernetes_tools();
    if !tools::has("node", "schemas of custom resources")
        || !tools::has(tools.join("node_modules/.bin/tsc"), "schemas of custom resources")
    {
        return None;
    }
    let custom: Vec<_> = objects.0.iter().filter(|one| is_custom(one)).collect();
    // The compiler looks for types from where the file is.
    let mut file = tempfile::Builder::new().prefix("objects-").suffix(".json").tempfile_in(&tools).unwrap();
    file.write_all(json!(custom).to_string().as_bytes()).unwrap();
    let script = std::fs::File::open(repository().join("statefulset/tests/schemas/custom.mjs")).unwrap();
    let mut command = Command::new("node");
    command.args(["--input-type=module", "-"]).arg(file.path()).stdin(script).current_dir(&tools);
    Some(tools::quiet_output(&mut command).lines().map(str::to_owned).collect())
}

fn page(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// Everything that is rendered or applied, each object once: most are the same in all environments, but for their namespaces.
fn all() -> Option<Objects> {
    let mut all = everything()?.0;
    for overlay in crate::overlays::overlays() {
        all.extend(Objects::rendered(&repository().join("kustomize/overlays").join(overlay))?.0);
    }
    let mut seen = BTreeSet::new();
    all.retain(|one| {
        let mut anywhere = one.clone();
        anywhere["metadata"]["namespace"] = Value::Null;
        seen.insert(anywhere.to_string())
    });
    all.extend(gitops::objects().0);
    all.extend(of_page(&page("docs/operating/backup-and-restore.md")).0);
    Some(Objects(all))
}

#[test]
fn every_object_is_one_of_kubernetes() {
    let Some(all) = all() else { return };
    let Some(complaints) = kubernetes(&all) else { return };
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn every_custom_object_is_one_of_its_definition() {
    let Some(all) = all() else { return };
    assert!(all.0.iter().filter(|one| is_custom(one)).count() >= 8);
    let Some(complaints) = custom(&all) else { return };
    assert_eq!(complaints, Vec::<String>::new());
}

/// The Job that people apply by hand is as restricted as all pods.
#[test]
fn what_people_apply_by_hand_is_restricted() {
    let job = of_page(&page("docs/operating/backup-and-restore.md"));
    assert_eq!(job.pods().len(), 1);
    assert_eq!(crate::checks::pods::restricted(&job), Vec::<String>::new());
    assert_eq!(crate::checks::wiring::mounts(&job), Vec::<String>::new());
}

/// Fields that others invented.
#[test]
fn schemas_refuse_what_does_not_exist() {
    let Some(all) = everything() else { return };
    let broken = |kind: &str, name: &str, path: &str, key: &str, value: Value| {
        let mut one = all.get(kind, name).unwrap().clone();
        one.pointer_mut(path).unwrap()[key] = value;
        one
    };
    let invented = Objects(vec![
        broken("StatefulSet", "playhouse", "/spec/updateStrategy/rollingUpdate", "maxSurge", json!(1)),
        broken("StatefulSet", "playhouse", "/spec/template", "activeDeadlineSeconds", json!(60)),
        broken("StatefulSet", "playhouse", "/spec", "replicas", json!("3")),
        broken("PodDisruptionBudget", "playhouse", "/spec", "maxSurge", json!(1)),
        broken("Service", "playhouse", "/spec/ports/0", "containerPort", json!(8080)),
        json!({ "apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": { "name": "a" } }),
    ]);
    if let Some(complaints) = kubernetes(&invented) {
        for one in &invented.0 {
            let named = |line: &&String| {
                line.contains(&format!("{} {}", text(&one["kind"]), text(&one["metadata"]["name"])))
            };
            assert!(complaints.iter().any(|line| named(&line)), "{one} is taken");
        }
        assert_eq!(complaints.len(), 2 * invented.0.len(), "{complaints:#?}");
    }
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": "a" },
        "spec": { "project": "a", "destination": { "namespace": "a" }, "syncPolicy": { "pruneLast": true } },
    });
    let gateway = broken("Gateway", "playhouse", "/spec/listeners/0", "port", json!(99_999));
    let old = json!({ "apiVersion": "fluxcd.io/v1", "kind": "GitRepository", "metadata": { "name": "a" } });
    for (one, why) in
        [(application, "'\"pruneLast\"'"), (gateway, "port must be <= 65535"), (old, "does not exist")]
    {
        let Some(complaints) = custom(&Objects(vec![one])) else { return };
        assert!(complaints.len() == 1 && complaints[0].contains(why), "{why}: {complaints:?}");
    }
}
