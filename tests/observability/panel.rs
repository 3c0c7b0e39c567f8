//! The dashboards, panel by panel.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::Value;

use crate::expression;

/// A file of Grafana.
pub struct Dashboard {
    file: &'static str,
    json: Value,
}

/// What a panel asks Prometheus.
#[derive(Debug)]
pub struct Query {
    /// Which panel, of which dashboard.
    pub panel: String,
    /// With something in the place of Grafana's variables.
    pub expr: String,
    legend: String,
}

/// Panels that show nothing as long as all is well, and why.
const MAY_BE_EMPTY: [(&str, &str); 1] =
    [("Days until full", "a volume on which more is freed than written never is full")];

/// Units of Grafana that are used here.
const UNITS: [&str; 10] =
    ["short", "s", "d", "bytes", "Bps", "ops", "reqps", "percentunit", "bool_yes_no", "none"];

/// Whether a panel has something to show on a cluster that works.
pub fn shows_something_always(panel: &str) -> bool {
    !MAY_BE_EMPTY.iter().any(|(title, _)| panel.ends_with(title))
}

/// Nothing is exempt that is not there.
pub fn check_exemptions(dashboards: &[Dashboard]) {
    let all: Vec<_> = dashboards.iter().flat_map(Dashboard::queries).collect();
    for (title, _) in MAY_BE_EMPTY {
        assert!(all.iter().any(|query| query.panel.ends_with(title)), "no panel is called {title}");
    }
}

impl Dashboard {
    /// All that there are.
    pub fn all() -> Vec<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kustomize/components/dashboards");
        let read = |file| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            Self { file, json: serde_json::from_str(&text).unwrap() }
        };
        ["playhouse-cluster.json", "playhouse-entities.json"].map(read).into()
    }

    /// By which others link to it.
    pub fn uid(&self) -> &str {
        self.json["uid"].as_str().unwrap()
    }

    /// Each panel says what it shows, in which unit, and from where.
    pub fn check(&self) {
        assert_eq!(format!("{}.json", self.uid()), self.file);
        let ids: BTreeSet<_> = self.panels().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), self.panels().count(), "{}: an id stands for one panel", self.file);
        self.check_places();
        self.check_top_row();
        self.check_variables();
        self.panels().filter(|panel| panel["type"] != "row").for_each(|panel| self.check_panel(panel));
    }

    fn check_panel(&self, panel: &Value) {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).unwrap();
        let place = format!("{}: {title}", self.file);
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{place} has no description");
        let defaults = &panel["fieldConfig"]["defaults"];
        let unit = defaults["unit"].as_str().unwrap_or_default();
        assert!(UNITS.contains(&unit), "{place} has the unit {unit:?}");
        assert!(!defaults["thresholds"]["steps"].as_array().unwrap().is_empty(), "{place} has no thresholds");
        assert_eq!(panel["datasource"]["uid"], "$datasource", "{place}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{place} asks nothing");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "$datasource", "{place}");
        }
        for Query { expr, legend, .. } in self.queries_of(panel) {
            let grouped = expression::parse(&expr).grouped;
            for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                assert!(
                    grouped.contains(label),
                    "{place} shows the label {label}, which its result does not have"
                );
            }
        }
    }

    /// Within five seconds: the first row has single values with colours, and nothing else.
    fn check_top_row(&self) {
        let panels: Vec<_> = self.panels().collect();
        assert!(panels[0]["type"] == "row" && panels[0]["title"].as_str().unwrap().ends_with('?'));
        let top: Vec<_> = panels[1..].iter().take_while(|panel| panel["type"] != "row").collect();
        assert!((4..=8).contains(&top.len()), "{}", self.file);
        assert!(
            top.iter().all(|panel| panel["type"] == "stat" && panel["gridPos"]["y"] == 1),
            "{}",
            self.file
        );
    }

    /// Panels neither overlap nor leave the page.
    fn check_places(&self) {
        let mut taken = BTreeSet::new();
        for panel in self.panels() {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{}: {}", self.file, panel["title"]);
            for cell in
                (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert(cell), "{}: {} lies upon another", self.file, panel["title"]);
            }
        }
    }

    fn check_variables(&self) {
        let variables = self.json["templating"]["list"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert_eq!(names[..4], ["datasource", "namespace", "track", "pod"], "{}", self.file);
        assert_eq!(variables[0]["type"], "datasource");
        // A series without the label is shown, too, as long as nothing is chosen.
        assert!(variables[1..].iter().all(|variable| variable["allValue"] == ".*"), "{}", self.file);
    }

    /// Everything that its panels ask.
    pub fn queries(&self) -> Vec<Query> {
        self.panels().flat_map(|panel| self.queries_of(panel)).collect()
    }

    fn queries_of(&self, panel: &Value) -> Vec<Query> {
        let title = format!("{}: {}", self.file, panel["title"].as_str().unwrap());
        let text = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().into_iter().flatten();
        let query = |target| Query {
            panel: title.clone(),
            expr: without_variables(&text(target, "expr")),
            legend: text(target, "legendFormat"),
        };
        targets.map(query).collect()
    }

    /// The series of which its variables are labels.
    pub fn variables(&self) -> Vec<String> {
        let variables = self.json["templating"]["list"].as_array().unwrap();
        let queries = variables.iter().filter_map(|variable| variable["query"]["query"].as_str());
        let selector = |query: &str| {
            let inside = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
            let (selector, label) = inside.rsplit_once(", ").unwrap();
            without_variables(&format!("sum by ({label}) ({selector})"))
        };
        queries.map(selector).collect()
    }

    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter()
    }
}

/// A file of rules of which each is a query of a panel.
pub fn as_recording_rules(dashboards: &[Dashboard]) -> String {
    let queries = dashboards.iter().flat_map(Dashboard::queries).enumerate();
    // A text of JSON is one of YAML.
    let rule = |(number, query): (usize, Query)| {
        format!("      - record: panel:{number}\n        expr: {}\n", Value::from(query.expr))
    };
    format!("groups:\n  - name: panels\n    rules:\n{}", queries.map(rule).collect::<String>())
}

fn without_variables(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "1m");
    let plain =
        ["$namespace", "$track", "$pod", "$kind"].iter().fold(expr, |expr, name| expr.replace(name, ".*"));
    assert!(!plain.contains('$'), "an unknown variable in {plain}");
    plain
}
