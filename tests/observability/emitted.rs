//! What nodes emit, and whether what is used is part of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use playhouse::telemetry::TABLE;

use crate::{
    cluster::DevCluster,
    expression::{self, Expression, Matcher, Selector},
};

/// Labels that scraping adds: see podmonitor-playhouse.yaml.
const OF_THE_TARGET: [&str; 7] = ["namespace", "pod", "track", "instance", "job", "container", "endpoint"];

/// Series that others make, with their labels and the reason to use them.
const OF_OTHERS: [(&str, &[&str], &str); 5] = [
    ("up", &[], "Prometheus' own: whether the last scrape succeeded"),
    ("ALERTS", &["alertname", "alertstate", "severity"], "Prometheus' own: alerts that fire or wait"),
    (
        "kube_pod_container_status_restarts_total",
        &[],
        "kube-state-metrics: a node that dies before a scrape shows nowhere else",
    ),
    (
        "kube_cronjob_status_last_successful_time",
        &["cronjob"],
        "kube-state-metrics: the job that takes backups is no node",
    ),
    (
        "kube_cronjob_created",
        &["cronjob"],
        "kube-state-metrics: a job that never succeeded has no last success",
    ),
];

/// The samples of all nodes: labels and values by name.
pub struct Emitted {
    samples: BTreeMap<String, Vec<BTreeMap<String, String>>>,
}

impl Emitted {
    /// Reads the metrics of all nodes.
    pub async fn read(cluster: &DevCluster) -> Self {
        let mut emitted = Self { samples: BTreeMap::new() };
        for number in 0..cluster.nodes.len() {
            let (status, text) = cluster.ops(number, "/metrics").await;
            assert_eq!(status, 200);
            text.lines().filter(|line| !line.starts_with('#')).for_each(|line| emitted.add(line));
        }
        emitted
    }

    fn add(&mut self, sample: &str) {
        let Expression { mut selectors, .. } = expression::parse(sample);
        let Selector { metric, matchers } = selectors.remove(0);
        let labels = matchers.into_iter().map(|matcher| (matcher.label, matcher.value)).collect();
        self.samples.entry(metric).or_default().push(labels);
    }

    /// A label of ours with the name of one that scraping adds would be renamed to `exported_…`.
    pub fn check_own_labels(&self) {
        for (name, samples) in &self.samples {
            for label in samples.iter().flat_map(BTreeMap::keys) {
                assert!(
                    !OF_THE_TARGET.contains(&&**label),
                    "{name} has the label {label}, which is the target's"
                );
            }
        }
    }

    /// Every name, label and value that an expression uses is there.
    pub fn check_expression(&self, place: &str, expression: &str) {
        let Expression { selectors, grouped } = expression::parse(expression);
        assert!(!selectors.is_empty(), "{place}: {expression}");
        let mut known: BTreeSet<&str> = OF_THE_TARGET.into();
        for selector in &selectors {
            known.extend(self.check_selector(place, selector));
        }
        for label in &grouped {
            assert!(known.contains(&**label), "{place} groups by {label}, which none of its series has");
        }
    }

    /// Returns the labels of the series.
    fn check_selector(&self, place: &str, selector: &Selector) -> BTreeSet<&str> {
        let Selector { metric, matchers } = selector;
        if let Some((_, labels, _)) = OF_OTHERS.iter().find(|(name, ..)| name == metric) {
            for matcher in matchers {
                let label = &*matcher.label;
                assert!(
                    labels.contains(&label) || OF_THE_TARGET.contains(&label),
                    "{place}: {metric} has no {label}"
                );
            }
            return labels.iter().copied().collect();
        }
        let samples =
            self.samples.get(metric).unwrap_or_else(|| panic!("{place} uses {metric}, which no node emits"));
        let labels: BTreeSet<_> = samples.iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
        for matcher in matchers.iter().filter(|matcher| !OF_THE_TARGET.contains(&&*matcher.label)) {
            assert!(labels.contains(&*matcher.label), "{place}: {metric} has no label {}", matcher.label);
            check_value(place, matcher, samples);
        }
        labels
    }

    /// Whatever is deployed or told to operators names series that exist: an autoscaler's, too.
    pub fn check_files(&self) {
        let mut read = 0;
        for folder in ["kustomize", "argocd", "compose", "docs/operating"] {
            for path in files(&root().join(folder)) {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                read += 1;
                for name in names(&text) {
                    let declared =
                        folder.starts_with("docs") && TABLE.iter().any(|metric| metric.name == name);
                    assert!(
                        declared || self.samples.contains_key(name),
                        "{} names {name}, which no node emits",
                        path.display()
                    );
                }
            }
        }
        assert!(read > 20, "only {read} files were found");
    }
}

/// Values that are compared by `=` are emitted; codes of errors, which appear with the first of them, are documented.
fn check_value(place: &str, matcher: &Matcher, samples: &[BTreeMap<String, String>]) {
    let Matcher { label, operator, value } = matcher;
    let is_emitted =
        |value: &str| samples.iter().any(|sample| sample.get(label).is_some_and(|found| found == value));
    if operator == "=" || operator == "!=" {
        assert!(is_emitted(value), "{place}: no series has {label}=\"{value}\"");
    } else if label == "code" {
        let page = std::fs::read_to_string(root().join("docs/http-api.md")).unwrap();
        for code in value.split('|') {
            assert!(page.contains(&format!("`{code}`")), "{place}: there is no code {code}");
        }
    } else if value.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '|') {
        assert!(value.split('|').all(is_emitted), "{place}: not all of {label}=~\"{value}\" are emitted");
    }
}

/// Names of ours in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("playhouse_")).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(inside).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
