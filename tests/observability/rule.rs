//! The alert rules as they are written, and the stories that try them.
//!
//! Reads the layout in which those files are kept, not any YAML. That nothing was overlooked shows when promtool counts as
//! many rules.

use std::{collections::BTreeSet, path::PathBuf};

/// One rule.
#[derive(Debug)]
pub struct Alert {
    pub name: String,
    pub expr: String,
    pub holds_for: String,
    pub severity: String,
    pub summary: String,
    pub description: String,
    pub runbook_url: String,
}

/// What Prometheus reads: all that stands below `spec:`.
pub fn groups() -> String {
    let file = read("prometheusrule-playhouse.yaml");
    let (_, spec) = file.split_once("\nspec:\n").expect("the rules have a spec");
    spec.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

/// The unit tests of the rules.
pub fn stories() -> String {
    read("rules-test.yaml")
}

/// All rules, in their order.
pub fn alerts() -> Vec<Alert> {
    let groups = groups();
    let rules = groups.split("- alert: ").skip(1);
    rules.map(alert).collect()
}

fn alert(rule: &str) -> Alert {
    let field = |key: &str| value(rule, key).unwrap_or_else(|| panic!("no {key} in\n{rule}"));
    Alert {
        name: rule.lines().next().unwrap().trim().to_owned(),
        expr: field("expr"),
        holds_for: field("for"),
        severity: field("severity"),
        summary: field("summary"),
        description: field("description"),
        runbook_url: field("runbook_url"),
    }
}

/// The value of a key: on its line, or in the block below that is indented more.
fn value(rule: &str, key: &str) -> Option<String> {
    let mut lines = rule.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{key}: ")));
    let first = lines.next()?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let inline = first.split_once(": ")?.1;
    if !inline.starts_with(['|', '>']) {
        return Some(inline.trim_matches('"').to_owned());
    }
    let block: Vec<_> = lines.take_while(|line| indent(line) > indent(first)).map(str::trim).collect();
    Some(block.join(if inline.starts_with('|') { "\n" } else { " " }))
}

/// Which alerts the stories expect to fire, and which not to.
pub fn outcomes() -> BTreeSet<(String, bool)> {
    let stories = stories();
    let cases = stories.split("alertname: ").skip(1);
    let outcome = |case: &str| {
        let mut lines = case.lines();
        let name = lines.next().unwrap().trim().to_owned();
        (name, lines.next().unwrap().trim() == "exp_alerts:")
    };
    cases.map(outcome).collect()
}

/// The labels that a template shows.
pub fn labels_shown(template: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    template.split("$labels.").skip(1).map(name).collect()
}

fn read(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kustomize/components/alerts");
    std::fs::read_to_string(folder.join(file)).unwrap()
}
