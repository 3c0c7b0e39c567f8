//! Each environment: rendered without a warning, right by every check, and as the committed snapshot says.

use std::path::PathBuf;

use crate::{
    checks::complaints,
    support::{
        objects::{Objects, rendered_text},
        tools::repository,
    },
};

/// Set to any text: snapshots are written, not compared.
const UPDATE: &str = "UPDATE_SNAPSHOTS";

/// The environments that there are.
pub fn overlays() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(repository().join("kustomize/overlays"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn snapshot(overlay: &str) -> PathBuf {
    repository().join(format!("kustomize/rendered/{overlay}.yaml"))
}

#[test]
fn every_overlay_is_right_by_every_check() {
    assert_eq!(overlays(), ["development", "production", "staging"]);
    for overlay in overlays() {
        let Some(objects) = Objects::rendered(&repository().join("kustomize/overlays").join(&overlay)) else {
            return;
        };
        assert!(objects.0.len() >= 7, "{overlay}: {} objects", objects.0.len());
        assert_eq!(complaints(&objects), Vec::<String>::new(), "{overlay}");
    }
}

/// A change of a component shows what it does to each environment.
#[test]
fn what_is_rendered_is_what_was_reviewed() {
    for overlay in overlays() {
        let Some(text) = rendered_text(&repository().join("kustomize/overlays").join(&overlay)) else {
            return;
        };
        let path = snapshot(&overlay);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = text.lines().zip(known.lines()).position(|(now, then)| now != then);
        assert!(
            text == known,
            "{overlay} is rendered otherwise than {} says, from line {:?} on; if that is meant: \
             {UPDATE}=1 cargo test -p playhouse-statefulset --test deployment",
            path.display(),
            differs.map_or(known.lines().count(), |line| line) + 1
        );
    }
}

/// Without kubectl, the snapshots are checked all the same.
#[test]
fn the_snapshots_are_right_by_every_check() {
    for overlay in overlays() {
        let text = std::fs::read_to_string(snapshot(&overlay)).unwrap();
        assert_eq!(complaints(&Objects::parse(&text).unwrap()), Vec::<String>::new(), "{overlay}");
    }
}
