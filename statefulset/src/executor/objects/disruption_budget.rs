//! A PodDisruptionBudget: how many pods may be evicted at once.

use serde::Deserialize;

use super::meta::{Metadata, Selector};

/// The budget, as it is written. One in percent is refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DisruptionBudget {
    #[serde(rename = "apiVersion")]
    _version: Version,
    #[serde(rename = "kind")]
    _kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What it says.
    pub spec: BudgetSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
enum Version {
    #[serde(rename = "policy/v1")]
    PolicyV1,
}

/// What a budget says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSpec {
    /// About whom.
    pub selector: Selector,
    /// How many may be missing.
    pub max_unavailable: Option<usize>,
    /// How many must be there.
    pub min_available: Option<usize>,
    #[serde(default)]
    #[serde(rename = "unhealthyPodEvictionPolicy")]
    unhealthy: Unhealthy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum Unhealthy {
    #[default]
    IfHealthyBudget,
    AlwaysAllow,
}

impl BudgetSpec {
    /// Whether one more of `wanted` pods may go while `healthy` are ready; `is_healthy` tells whether it is itself.
    #[must_use]
    pub fn allows(&self, wanted: usize, healthy: usize, is_healthy: bool) -> bool {
        if !is_healthy && self.unhealthy == Unhealthy::AlwaysAllow {
            return true;
        }
        let needed = match (self.min_available, self.max_unavailable) {
            (Some(needed), _) => needed,
            (None, missing) => wanted.saturating_sub(missing.unwrap_or(0)),
        };
        if is_healthy { healthy > needed } else { healthy >= needed }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_may_go_and_the_next_waits_until_it_is_back() {
        let budget: BudgetSpec =
            serde_json::from_value(json!({"selector": {}, "maxUnavailable": 1})).unwrap();
        assert!(budget.allows(3, 3, true));
        assert!(!budget.allows(3, 2, true));
        assert!(budget.allows(3, 2, false), "the one that is broken anyway");
        assert!(!budget.allows(3, 1, false));
    }

    #[test]
    fn what_is_broken_may_always_go_if_it_says_so() {
        let budget =
            json!({"selector": {}, "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"});
        let budget: BudgetSpec = serde_json::from_value(budget).unwrap();
        assert!(budget.allows(3, 0, false) && !budget.allows(3, 2, true));
    }
}
