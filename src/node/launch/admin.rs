//! What operators can ask of a running node below `/admin/v1`.

mod arguments;
mod backup;
mod changes;
mod dead_letters;
mod nodes;
mod problems;
mod processes;
mod shards;
mod status;

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    gateway::ops::{AdminAction, AdminError},
    node::{Node, Operator, OperatorError, Overview},
    router::Router,
};

/// What the commands are about. Empty while the node starts.
#[derive(Clone, Default)]
pub(super) struct Subject {
    inner: Arc<OnceLock<(Router, Operator)>>,
}

impl Subject {
    /// The node has started.
    pub(super) fn set(&self, node: &Node) {
        drop(self.inner.set((node.router().clone(), node.operator())));
    }

    fn router(&self) -> Result<&Router, AdminError> {
        self.inner.get().map(|(router, _)| router).ok_or_else(starting)
    }

    fn operator(&self) -> Result<&Operator, AdminError> {
        self.inner.get().map(|(_, operator)| operator).ok_or_else(starting)
    }
}

/// All commands.
pub(super) fn actions(subject: &Subject) -> Vec<Arc<dyn AdminAction>> {
    let view = |name, summary, show| -> Arc<dyn AdminAction> {
        Arc::new(View { name, summary, show, subject: subject.clone() })
    };
    let mut actions: Vec<Arc<dyn AdminAction>> = vec![
        Arc::new(dead_letters::DeadLetters { subject: subject.clone() }),
        view("status", "Shows how the cluster is, what is wrong, and what to do next", status::show),
        view("nodes", "Shows each member: its state, what it holds and leads", nodes::show),
        view(
            "shards",
            "Shows each shard: its leader, its replicas and how far they are, its move",
            shards::show,
        ),
    ];
    actions.push(processes::action(subject));
    actions.extend(changes::actions(subject));
    actions.extend(backup::actions(subject));
    actions
}

/// Shows something of the whole cluster.
struct View {
    name: &'static str,
    summary: &'static str,
    show: fn(&Overview) -> Value,
    subject: Subject,
}

impl AdminAction for View {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn run(&self, given: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        Box::pin(async move {
            let arguments::Nothing {} = arguments::read(given)?;
            let overview = self.subject.operator()?.overview().await.map_err(not_done)?;
            Ok((self.show)(&overview))
        })
    }
}

fn starting() -> AdminError {
    refused("starting", "the node is starting; ask again when it is ready")
}

fn refused(code: &'static str, message: &str) -> AdminError {
    AdminError::Refused { code, message: message.to_owned() }
}

fn not_done(error: OperatorError) -> AdminError {
    use playhouse_cluster::membership::Refusal;
    let code = match &error {
        OperatorError::NoQuorum { .. } => return AdminError::Unavailable { message: error.to_string() },
        OperatorError::NotMember => "not_member",
        OperatorError::Refused(refusal) => match refusal {
            Refusal::Unknown { .. } => "unknown_member",
            Refusal::WrongState { .. } | Refusal::EarlierStart { .. } => "wrong_state",
            Refusal::TooFewStay { .. } => "too_few_stay",
            Refusal::NobodyStays => "nobody_stays",
            _ => "refused",
        },
    };
    refused(code, &error.to_string())
}
