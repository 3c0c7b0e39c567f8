//! What Argo CD and Flux are told: projects admit their applications, everything is pinned, and nobody fights the autoscaler.

use std::collections::BTreeSet;

use playhouse_statefulset::label;
use serde_json::{Value, json};

use crate::support::{
    objects::{Objects, id, list, text},
    tools::repository,
};

/// Everything below `argocd` and `examples/flux`.
pub fn objects() -> Objects {
    let mut found = Vec::new();
    for folder in ["argocd", "argocd/environments", "argocd/settings", "examples/flux"] {
        let mut paths: Vec<_> = std::fs::read_dir(repository().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|one| one == "yaml")) {
            found.extend(Objects::parse(&std::fs::read_to_string(path).unwrap()).unwrap().0);
        }
    }
    Objects(found)
}

/// What an application would apply: a rendered overlay, or the files of a folder.
fn applied(application: &Value) -> Option<Objects> {
    let path = text(&application["spec"]["source"]["path"]);
    if path.starts_with("kustomize/overlays/") {
        return Objects::rendered(&repository().join(path));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository().join(path)).unwrap() {
        found.extend(Objects::parse(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap().0);
    }
    Some(Objects(found))
}

/// The one that says which release each environment has, and nothing else.
fn is_root(application: &Value) -> bool {
    application["spec"]["project"] == "playhouse-delivery"
}

/// Why the project of an application would refuse it.
fn refusals(all: &Objects, application: &Value) -> Vec<String> {
    let name = id(application);
    let spec = &application["spec"];
    let Some(project) = all.get("AppProject", text(&spec["project"])) else {
        return vec![format!("{name}: no project {}", spec["project"])];
    };
    let rules = &project["spec"];
    let mut found = Vec::new();
    if !list(&rules["sourceRepos"]).contains(&spec["source"]["repoURL"]) {
        found.push(format!("{name}: its repository is not in {}", id(project)));
    }
    let destination = |one: &&Value| {
        one["server"] == spec["destination"]["server"] && one["namespace"] == spec["destination"]["namespace"]
    };
    if list(&rules["destinations"]).iter().find(destination).is_none() {
        found.push(format!("{name}: its destination is not in {}", id(project)));
    }
    let creates = list(&spec["syncPolicy"]["syncOptions"]).iter().any(|one| one == "CreateNamespace=true");
    let mut kinds: BTreeSet<(String, bool)> = BTreeSet::new();
    if creates {
        kinds.insert(("/Namespace".to_owned(), true));
    }
    for object in applied(application).map(|objects| objects.0).unwrap_or_default() {
        let group = text(&object["apiVersion"]).rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        kinds.insert((format!("{group}/{}", text(&object["kind"])), false));
    }
    for (kind, is_of_cluster) in kinds {
        let list_name = if is_of_cluster { "clusterResourceWhitelist" } else { "namespaceResourceWhitelist" };
        let admits = |one: &Value| format!("{}/{}", text(&one["group"]), text(&one["kind"])) == kind;
        if !list(&rules[list_name]).iter().any(admits) {
            found.push(format!("{name}: {kind} is not in {list_name} of {}", id(project)));
        }
    }
    found
}

#[test]
fn every_project_admits_its_applications() {
    let all = objects();
    assert_eq!(all.of_kind("Application").count(), 4);
    for application in all.of_kind("Application") {
        assert_eq!(refusals(&all, application), Vec::<String>::new());
    }
}

/// Otherwise the test above proves nothing.
#[test]
fn a_project_that_is_too_narrow_is_noticed() {
    let all = objects();
    let changes: [(&str, Value); 4] = [
        ("/spec/sourceRepos", json!(["https://git.example.com/other.git"])),
        (
            "/spec/destinations",
            json!([{ "server": "https://kubernetes.default.svc", "namespace": "default" }]),
        ),
        ("/spec/clusterResourceWhitelist", json!([])),
        ("/spec/namespaceResourceWhitelist", json!([{ "group": "", "kind": "ConfigMap" }])),
    ];
    for (path, value) in changes {
        let mut narrow = all.clone();
        *narrow.get_mut("AppProject", "playhouse").pointer_mut(path).unwrap() = value;
        let application = narrow.get("Application", "playhouse-production").unwrap();
        if applied(application).is_none() {
            return;
        }
        assert!(!refusals(&narrow, application).is_empty(), "{path}");
    }
    let mut other = all.clone();
    other.get_mut("Application", "playhouse-production")["spec"]["project"] = json!("default");
    assert!(!refusals(&other, other.get("Application", "playhouse-production").unwrap()).is_empty());
}

/// Projects are as narrow as they can be: nothing with a star, and not the namespace of Argo CD but for the root.
#[test]
fn no_project_admits_everything() {
    for project in objects().of_kind("AppProject") {
        for key in ["sourceRepos", "destinations", "clusterResourceWhitelist", "namespaceResourceWhitelist"] {
            let rule = &project["spec"][key];
            assert!(rule.is_array() && !rule.to_string().contains('*'), "{}: {rule}", id(project));
        }
    }
    let all = objects();
    let own = all.get("AppProject", "playhouse").unwrap();
    assert!(list(&own["spec"]["destinations"]).iter().all(|one| one["namespace"] != "argocd"));
}

/// A revision is the tag of the release that its overlay runs, never a branch.
#[test]
fn every_application_is_pinned() {
    let all = objects();
    for application in all.of_kind("Application").filter(|one| !is_root(one)) {
        let revision = text(&application["spec"]["source"]["targetRevision"]);
        assert!(revision.starts_with('v'), "{}: {revision}", id(application));
        let Some(applied) = applied(application) else { return };
        for node in applied.nodes() {
            let release = &node.labels[label::RELEASE];
            assert_eq!(revision, format!("v{release}"), "{}", id(application));
            let images = node.containers().map(|container| text(&container["image"]).to_owned());
            assert!(images.into_iter().all(|image| image.ends_with(&format!("/playhouse:{release}"))));
        }
    }
    let repository = all.get("GitRepository", "playhouse").unwrap();
    assert!(
        repository["spec"]["ref"].get("branch").is_none()
            && text(&repository["spec"]["ref"]["tag"]).starts_with('v')
    );
}

/// The root may follow a branch because it applies applications, and nothing that runs.
#[test]
fn only_the_root_follows_a_branch() {
    let all = objects();
    let roots: Vec<_> = all.of_kind("Application").filter(|one| is_root(one)).collect();
    assert_eq!(roots.len(), 1);
    for object in applied(roots[0]).unwrap().0 {
        // Also no project: who may change an application must not widen what it may do.
        assert!(object["kind"] == "Application" && !is_root(&object), "{}", id(&object));
    }
}

/// An application has the namespace of its overlay, and each environment has one.
#[test]
fn each_environment_has_one_application_of_its_own_namespace() {
    let all = objects();
    for overlay in crate::overlays::overlays() {
        let application = all.get("Application", &format!("playhouse-{overlay}")).unwrap();
        assert_eq!(application["spec"]["source"]["path"], format!("kustomize/overlays/{overlay}"));
        let Some(applied) = applied(application) else { return };
        let namespaces: BTreeSet<_> =
            applied.0.iter().map(|one| text(&one["metadata"]["namespace"])).collect();
        assert_eq!(namespaces, [text(&application["spec"]["destination"]["namespace"])].into());
    }
}

/// `replicas`, self-heal and an autoscaler would fight.
#[test]
fn replicas_that_an_autoscaler_owns_are_left_alone() {
    let all = objects();
    for application in all.of_kind("Application") {
        let Some(applied) = applied(application) else { return };
        if applied.of_kind("HorizontalPodAutoscaler").next().is_none() {
            continue;
        }
        let spec = &application["spec"];
        let ignored = list(&spec["ignoreDifferences"]).iter().any(|one| {
            one["group"] == "apps"
                && one["kind"] == "StatefulSet"
                && list(&one["jsonPointers"]).contains(&json!("/spec/replicas"))
        });
        let is_respected =
            list(&spec["syncPolicy"]["syncOptions"]).contains(&json!("RespectIgnoreDifferences=true"));
        assert!(ignored && is_respected, "{}", id(application));
    }
    let flux = all.get("Kustomization", "playhouse-production").unwrap();
    let patches = flux["spec"]["patches"].to_string();
    assert!(patches.contains("/spec/replicas") && patches.contains("remove"), "{patches}");
}

/// What a mistake would destroy is never pruned by itself, and deleting an application does not delete a cluster.
#[test]
fn production_is_not_deleted_by_git() {
    let all = objects();
    for application in all.of_kind("Application") {
        assert!(application["metadata"].get("finalizers").is_none(), "{}", id(application));
    }
    let production = all.get("Application", "playhouse-production").unwrap();
    assert_eq!(production["spec"]["syncPolicy"]["automated"]["prune"], false);
    let flux = all.get("Kustomization", "playhouse-production").unwrap();
    assert_eq!(flux["spec"]["prune"], false);
    // The Secret is made by people; nobody may overwrite it.
    let project = all.get("AppProject", "playhouse").unwrap();
    let admitted = project["spec"]["namespaceResourceWhitelist"].to_string();
    assert!(admitted.contains("\"StatefulSet\"") && !admitted.contains("\"Secret\""));
}

/// Most classes bind a claim with its first pod: whoever waited for that would wait until the first backup, at night.
#[test]
fn nobody_waits_for_the_claim_of_backups() {
    let Some(rendered) = Objects::rendered(&repository().join("kustomize/overlays/production")) else {
        return;
    };
    let claim = rendered.get("PersistentVolumeClaim", "playhouse-backup").unwrap();
    assert_eq!(claim["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"], "true");
    let all = objects();
    let flux = &all.get("Kustomization", "playhouse-production").unwrap()["spec"];
    assert!(flux.get("wait").is_none());
    let set = &flux["healthChecks"][0];
    let namespace = text(&set["namespace"]);
    assert_eq!(
        rendered.get(text(&set["kind"]), text(&set["name"])).unwrap()["metadata"]["namespace"],
        namespace
    );
}

/// Some controllers never fill in the address of an Ingress: whoever waited for that would wait for ever.
#[test]
fn nobody_waits_for_the_address_of_the_ingress() {
    for overlay in ["staging", "production"] {
        let Some(rendered) = Objects::rendered(&repository().join("kustomize/overlays").join(overlay)) else {
            return;
        };
        let annotations = &rendered.get("Ingress", "playhouse").unwrap()["metadata"]["annotations"];
        assert_eq!(annotations["argocd.argoproj.io/ignore-healthcheck"], "true");
    }
}

/// Where policies come first and what needs nodes last; environments one after the other.
#[test]
fn waves_go_from_policies_to_ways_in_and_from_development_to_production() {
    let wave = |object: &Value| {
        object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
            .as_str()
            .map_or(0, |wave| wave.parse::<i32>().unwrap())
    };
    let Some(rendered) = Objects::rendered(&repository().join("kustomize/overlays/production")) else {
        return;
    };
    let of = |kind: &str| rendered.of_kind(kind).map(wave).collect::<Vec<_>>();
    assert!(of("NetworkPolicy").into_iter().all(|wave| wave < 0));
    assert_eq!(of("StatefulSet"), [0]);
    assert!(["Ingress", "HorizontalPodAutoscaler", "CronJob"].into_iter().flat_map(of).all(|wave| wave > 0));
    let all = objects();
    let of_application = |name: &str| wave(all.get("Application", &format!("playhouse-{name}")).unwrap());
    let waves = ["development", "staging", "production"].map(of_application);
    assert!(waves.is_sorted() && waves[0] < waves[2], "{waves:?}");
}
