//! What a build is given: everything that it needs, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    dockerfile::{self, stages},
    repository,
};

/// Paths from the root that the file beside the Dockerfile lets through; it lets nothing through that it does not name.
fn allowed() -> Vec<PathBuf> {
    let file = repository().join(format!("{}.dockerignore", dockerfile::PATH));
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "the first rule leaves everything out");
    let (named, removed): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with('!'));
    assert_eq!(removed, ["**/target"], "what is taken away again");
    named.iter().map(|line| PathBuf::from(&line[1..])).collect()
}

#[track_caller]
fn reaches_the_build(path: &Path) {
    assert!(allowed().iter().any(|allowed| path.starts_with(allowed)), "{} does not", path.display());
}

fn manifest() -> toml::Table {
    fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Files that source files take in as text, each beside the one that does.
fn included() -> Vec<(PathBuf, PathBuf)> {
    let mut sources = Vec::new();
    for folder in ["src", "cluster/src", "client/src", "statefulset/src"] {
        files(&repository().join(folder), &mut sources);
    }
    let mut found = Vec::new();
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for after in text.split("include_str!(\"").skip(1) {
            let path = source.parent().unwrap().join(after.split('"').next().unwrap());
            found.push((source.clone(), path.canonicalize().unwrap()));
        }
    }
    found
}

#[test]
fn what_it_names_exists() {
    for path in allowed() {
        assert!(repository().join(&path).exists(), "{}", path.display());
    }
}

#[test]
fn all_members_and_what_they_include_reach_the_build() {
    let members = manifest()["workspace"]["members"].as_array().unwrap().clone();
    for member in members.iter().map(|member| member.as_str().unwrap()).filter(|member| *member != ".") {
        reaches_the_build(Path::new(member));
    }
    for path in ["Cargo.toml", "Cargo.lock", "src"] {
        reaches_the_build(Path::new(path));
    }
    let included = included();
    assert!(included.iter().any(|(_, path)| path.ends_with("docs/kinds.md")), "{included:?}");
    for (_, path) in included {
        reaches_the_build(path.strip_prefix(repository().canonicalize().unwrap()).unwrap());
    }
}

/// Files of the last stage come from the repository too: by the folder that `pack` uses.
#[test]
fn the_root_file_system_is_that_of_the_packer() {
    let build = stages().into_iter().find(|stage| stage.name.as_deref() == Some("build")).unwrap();
    let install = build.all("RUN").last().unwrap();
    assert!(install.rest.contains("install -m 644 statefulset/image/root/etc/* /image/etc"), "{install:?}");
    reaches_the_build(Path::new("statefulset/image/root/etc"));
}

/// A cookie that was made beside the sources would else lie in a layer of the builder.
#[test]
fn nothing_private_reaches_it() {
    for path in [".git", ".playhouse", "cookie", "admin-token", "examples/compose/secrets", "target"] {
        assert!(!allowed().iter().any(|allowed| Path::new(path).starts_with(allowed)), "{path}");
    }
}

/// Cargo reads the release from here for the image, and the labels tell it.
#[test]
fn each_stage_builds_what_the_lock_file_says() {
    for run in stages().iter().flat_map(|stage| stage.all("RUN").cloned().collect::<Vec<_>>()) {
        let is_cargo =
            ["cargo build", "cargo install", "chef cook"].iter().any(|command| run.rest.contains(command));
        assert_eq!(run.rest.contains("--locked"), is_cargo, "{run:?}");
        assert!(run.flags.keys().all(|flag| flag == "mount"), "{run:?}");
    }
}
