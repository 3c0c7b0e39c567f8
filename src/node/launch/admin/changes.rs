//! Commands that change the cluster. Each answers with the revision of the configuration that has the change in it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Subject, arguments, not_done};
use crate::{
    gateway::ops::{AdminAction, AdminError},
    node::{Operator, OperatorError},
};

type Changed<'a> = BoxFuture<'a, Result<u64, OperatorError>>;
type Start = for<'a> fn(&'a Operator, Value) -> Result<Changed<'a>, AdminError>;

/// All of them.
pub(super) fn actions(subject: &Subject) -> Vec<Arc<dyn AdminAction>> {
    const CHANGES: [(&str, &str, Start); 6] = [
        (
            "drain",
            "Has a member give its leaderships away before it restarts; {\"name\": \"playhouse-1\"}",
            |operator, given| {
                let named: arguments::Named = arguments::read(given)?;
                Ok(Box::pin(async move { operator.drain(&named.name).await }))
            },
        ),
        ("undrain", "Takes a drain back; {\"name\": \"playhouse-1\"}", |operator, given| {
            let named: arguments::Named = arguments::read(given)?;
            Ok(Box::pin(async move { operator.undrain(&named.name).await }))
        }),
        (
            "replace",
            "Has the replicas of a member that is down made anew elsewhere now; {\"name\": \"playhouse-1\"}",
            |operator, given| {
                let named: arguments::Named = arguments::read(given)?;
                Ok(Box::pin(async move { operator.replace(&named.name).await }))
            },
        ),
        (
            "forget",
            "Removes a member that has left, or that is down and holds nothing; {\"name\": \"playhouse-1\"}",
            |operator, given| {
                let named: arguments::Named = arguments::read(given)?;
                Ok(Box::pin(async move { operator.forget(&named.name).await }))
            },
        ),
        (
            "leave",
            "Has all replicas of members move to others, for good; {\"names\": [\"playhouse-4\"], \"force\": false}",
            |operator, given| {
                let leave: arguments::Leave = arguments::read(given)?;
                Ok(Box::pin(async move { operator.leave(leave.names, leave.force).await }))
            },
        ),
        (
            "scale",
            "Of the nodes set-0, set-1, … has those from number `to` on leave; {\"set\": \"playhouse\", \"to\": 3, \"force\": false}",
            |operator, given| {
                let scale: arguments::Scale = arguments::read(given)?;
                Ok(Box::pin(async move { operator.scale(scale.set, scale.to, scale.force).await }))
            },
        ),
    ];
    let action = |(name, summary, start)| -> Arc<dyn AdminAction> {
        Arc::new(Change { name, summary, start, subject: subject.clone() })
    };
    CHANGES.map(action).into()
}

struct Change {
    name: &'static str,
    summary: &'static str,
    start: Start,
    subject: Subject,
}

impl AdminAction for Change {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn run(&self, given: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            let revision = (self.start)(self.subject.operator()?, given)?.await.map_err(not_done)?;
            Ok(json!({"revision": revision}))
        })
    }
}
