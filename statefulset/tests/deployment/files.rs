//! The files as they are written, before anything is rendered.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    overlays::overlays,
    support::{
        objects::{Objects, text},
        tools::repository,
    },
};

/// Overlays fit on a screen.
const OVERLAY_LINES_MAX: usize = 45;

/// Every file below these folders, with its path from the root.
fn files(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["kustomize", "statefulset/manifests", "argocd", "examples/flux"] {
        walk(&repository().join(folder), &mut found);
    }
    let root = repository();
    let mut files: Vec<_> = found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|one| one == extension))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

#[test]
fn no_key_is_there_twice_in_any_file() {
    let files = files("yaml");
    assert!(files.len() > 40, "{}", files.len());
    for (name, content) in files {
        assert!(Objects::parse(&content).is_ok(), "{name}: {}", Objects::parse(&content).unwrap_err());
    }
    assert!(Objects::parse("resources:\n  - a\nresources:\n  - b\n").is_err());
}

#[test]
fn one_object_is_in_one_file_that_is_named_after_it() {
    for (name, content) in files("yaml") {
        if name.starts_with("kustomize/rendered/") || name.ends_with("rules-test.yaml") {
            continue;
        }
        let objects = Objects::parse(&content).unwrap().0;
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap();
        for object in &objects {
            let (kind, object_name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let wanted = match kind {
                "Kustomization" | "Component" if object_name.is_empty() => "kustomization".to_owned(),
                "" => continue, // A list of changes; overlays name it after its reason.
                _ if name.starts_with("kustomize/overlays/") => continue,
                kind => format!("{}-{object_name}", kind.to_lowercase()),
            };
            assert_eq!((stem, objects.len()), (wanted.as_str(), 1), "{name}");
        }
    }
}

/// Some reach selectors and claims, which can never change; others are gone from kustomize or bring what nobody reviews.
#[test]
fn no_kustomization_has_what_has_harmed_others() {
    const HARMFUL: [&str; 9] = [
        "commonLabels",
        "bases",
        "patchesStrategicMerge",
        "patchesJson6902",
        "vars",
        "helmCharts",
        "helmChartInflationGenerator",
        "secretGenerator",
        "imageTags",
    ];
    for (name, content) in files("yaml").into_iter().filter(|(name, _)| name.ends_with("/kustomization.yaml"))
    {
        let one = &Objects::parse(&content).unwrap().0[0];
        let found: Vec<_> = HARMFUL.iter().filter(|key| one.get(**key).is_some()).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
        for labels in one["labels"].as_array().into_iter().flatten() {
            let spreads = ["includeSelectors", "includeTemplates"].iter().any(|key| labels[*key] == true);
            assert!(!spreads, "{name}: labels reach selectors or claim templates");
        }
        let remote = one["resources"].as_array().into_iter().flatten().any(|from| text(from).contains("://"));
        assert!(!remote, "{name} takes what somebody else may change");
    }
}

#[test]
fn nothing_is_the_latest() {
    for extension in ["yaml", "env", "toml", "md"] {
        for (name, content) in files(extension) {
            let is_mentioned =
                content.lines().any(|line| line.contains(":latest") && !line.contains("never"));
            assert!(!is_mentioned && !content.contains("newTag: latest"), "{name}");
        }
    }
}

/// No `cookie: …`, and no Secret.
#[test]
fn no_file_has_a_secret() {
    for (name, content) in files("yaml") {
        let is_secret = |object: &Value| object["kind"] == "Secret" && object["apiVersion"] == "v1";
        assert!(!Objects::parse(&content).unwrap().0.iter().any(is_secret), "{name}");
    }
    for (name, content) in files("env") {
        let tells = content.lines().filter(|line| !line.starts_with('#'));
        assert!(!tells.into_iter().any(|line| line.contains("TOKEN=") || line.contains("COOKIE=")), "{name}");
    }
}

#[test]
fn each_component_tells_what_it_is_for() {
    for component in crate::combinations::components() {
        let path = repository().join(format!("kustomize/components/{component}/README.md"));
        let told = fs::read_to_string(&path).unwrap_or_default();
        assert!(told.starts_with("# ") && told.len() > 200, "{}", path.display());
    }
}

/// Version, replicas and settings change for reasons of their own, so that promotion copies one file.
#[test]
fn overlays_fit_on_a_screen_and_have_one_file_for_each_reason() {
    for overlay in overlays() {
        let folder = repository().join("kustomize/overlays").join(&overlay);
        for file in ["replicas.yaml", "settings.env", "version/kustomization.yaml"] {
            assert!(folder.join(file).is_file(), "{overlay} has no {file}");
        }
        let is_replicated = overlay != "development";
        assert_eq!(folder.join("partition.yaml").is_file(), is_replicated, "{overlay}");
        let version = fs::read_to_string(folder.join("version/kustomization.yaml")).unwrap();
        assert!(!version.contains(&overlay), "the version of {overlay} cannot be copied");
        let lines = fs::read_to_string(folder.join("kustomization.yaml")).unwrap().lines().count();
        assert!(lines <= OVERLAY_LINES_MAX, "{overlay}: {lines} lines");
    }
}

/// A patch that replaces a whole list loses what a component puts into it later.
#[test]
fn patches_never_replace_a_list() {
    for (name, content) in
        files("yaml").into_iter().filter(|(name, _)| name.starts_with("kustomize/overlays/"))
    {
        for change in Objects::parse(&content)
            .unwrap()
            .0
            .iter()
            .flat_map(|one| one.as_array().cloned().unwrap_or_default())
        {
            assert!(!change["value"].is_array(), "{name}: {change}");
            assert_eq!(change["op"], "replace", "{name}: composed by inclusion, never by deletion");
        }
    }
}

/// The pages of people who run a cluster lead to files and headings that are there.
#[test]
fn links_of_pages_lead_somewhere() {
    let root = repository();
    let mut pages: Vec<_> =
        files("md").into_iter().map(|(name, content)| (root.join(name), content)).collect();
    for entry in fs::read_dir(root.join("docs/operating")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            pages.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(pages.len() >= 14, "{}", pages.len());
    for (page, content) in pages {
        let links = content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = fs::read_to_string(&target)
                .unwrap_or_else(|error| panic!("{}: {link}: {error}", page.display()));
            let leads = heading.is_empty()
                || there.lines().any(|line| line.starts_with('#') && slug(line) == heading);
            assert!(leads, "{}: {link}", page.display());
        }
    }
}

/// As a heading is named in links.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}
