//! The processes of the nodes: supervision trees, names, groups, mailboxes.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Subject, arguments, not_done};
use crate::{
    gateway::ops::{AdminAction, AdminError},
    node::{NodeProcesses, Seen},
};

/// How many rows of each list when nothing is said.
const LIMIT_DEFAULT: usize = 20;
/// How many rows of each list at most.
const LIMIT_MAX: usize = 1_000;

/// Shows the processes of one node or of all.
pub(super) struct Processes {
    subject: Subject,
}

pub(super) fn action(subject: &Subject) -> Arc<dyn AdminAction> {
    Arc::new(Processes { subject: subject.clone() })
}

impl AdminAction for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn summary(&self) -> &'static str {
        "Shows supervision trees, names, groups and mailboxes of processes; {\"node\": \"playhouse-1\", \"limit\": 20}"
    }

    fn run(&self, given: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            let wanted: arguments::Processes = arguments::read(given)?;
            let limit = limit(wanted.limit)?;
            let nodes = self.subject.operator()?.processes(wanted.node.as_deref(), limit).await;
            Ok(
                json!({"limit": limit, "nodes": nodes.map_err(not_done)?.iter().map(show).collect::<Vec<_>>()}),
            )
        })
    }
}

fn limit(given: Option<usize>) -> Result<usize, AdminError> {
    let limit = given.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("expected a whole number from 1 to {LIMIT_MAX}");
    Err(AdminError::Arguments { path: ".limit".to_owned(), message })
}

/// What a node said, or why it said nothing.
fn show(node: &NodeProcesses) -> Value {
    let (processes, why) = match &node.seen {
        Seen::Report(report) => (Some(report), None),
        Seen::Nothing { why } => (None, Some(why)),
    };
    json!({"name": node.name, "heard": processes.is_some(), "why": why, "processes": processes})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_nothing_is_shown_as_one() {
        let why = "it does not answer".to_owned();
        let shown = show(&NodeProcesses { name: "b".to_owned(), seen: Seen::Nothing { why } });
        assert_eq!(
            shown,
            json!({"name": "b", "heard": false, "why": "it does not answer", "processes": null})
        );
    }

    #[test]
    fn a_limit_has_bounds() {
        assert_eq!((limit(None), limit(Some(1_000))), (Ok(20), Ok(1_000)));
        for bad in [0, 1_001] {
            let Err(AdminError::Arguments { path, .. }) = limit(Some(bad)) else { panic!("{bad} was taken") };
            assert_eq!(path, ".limit");
        }
    }
}
