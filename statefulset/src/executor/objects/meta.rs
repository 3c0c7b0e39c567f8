//! What all objects have, and how they choose others.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels or annotations.
pub type Labels = BTreeMap<String, String>;

/// Name and labels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among objects of its kind. Templates have none.
    #[serde(default)]
    pub name: String,
    /// Where it is.
    pub namespace: Option<String>,
    /// What selectors see.
    #[serde(default)]
    pub labels: Labels,
    /// What selectors do not see.
    #[serde(default)]
    pub annotations: Labels,
}

/// Chooses by labels. An empty one chooses all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// All of these must be there.
    #[serde(default)]
    pub match_labels: Labels,
    /// All of these must be true.
    #[serde(default)]
    pub match_expressions: Vec<Requirement>,
}

/// One thing that must be true of labels.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// One that asks for these labels.
    #[must_use]
    pub fn of(labels: Labels) -> Self {
        Self { match_labels: labels, match_expressions: Vec::new() }
    }

    /// Whether it chooses who has these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// A port by number or by the name that a container gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_that_a_selector_asks_for_must_be_there() {
        let selector: Selector = serde_json::from_value(json!({
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                {"key": "track", "operator": "In", "values": ["stable", "canary"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "zone", "operator": "NotIn", "values": ["x"]},
            ],
        }))
        .unwrap();
        assert!(selector.matches(&labels(&[("app", "a"), ("track", "canary"), ("more", "1")])));
        for other in [
            labels(&[("app", "b"), ("track", "canary")]),
            labels(&[("app", "a")]),
            labels(&[("app", "a"), ("track", "stable"), ("old", "")]),
            labels(&[("app", "a"), ("track", "stable"), ("zone", "x")]),
        ] {
            assert!(!selector.matches(&other), "{other:?}");
        }
        assert!(Selector::default().matches(&Labels::new()), "an empty one chooses all");
    }
}
