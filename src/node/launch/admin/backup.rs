//! Copies of shards for a backup: opened at one point in time, read in parts, closed.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Subject, arguments, refused};
use crate::{
    gateway::ops::{AdminAction, AdminError},
    node::{CopyError, CopyId, RELEASE},
};

type Run = for<'a> fn(&'a Subject, Value) -> BoxFuture<'a, Result<Value, AdminError>>;

/// All of them.
pub(super) fn actions(subject: &Subject) -> Vec<Arc<dyn AdminAction>> {
    const COPIES: [(&str, &str, Run); 4] = [
        ("backup-open", "Opens a copy of a shard at one point in time; {\"shard\": 3}", |subject, given| {
            Box::pin(open(subject, given))
        }),
        (
            "backup-read",
            "Reads the next pairs of a copy; {\"copy\": \"…\", \"after\": \"the last key, in base64\"}",
            |subject, given| Box::pin(read(subject, given)),
        ),
        (
            "backup-keep",
            "Keeps copies open that are read later; {\"copies\": [\"…\"]}",
            |subject, given| Box::pin(keep(subject, given)),
        ),
        ("backup-close", "Gives a copy back; {\"copy\": \"…\"}", |subject, given| {
            Box::pin(close(subject, given))
        }),
    ];
    let action = |(name, summary, run)| -> Arc<dyn AdminAction> {
        Arc::new(Copying { name, summary, run, subject: subject.clone() })
    };
    COPIES.map(action).into()
}

struct Copying {
    name: &'static str,
    summary: &'static str,
    run: Run,
    subject: Subject,
}

impl AdminAction for Copying {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    /// The opening of a copy is worth a line; its parts are not.
    fn is_chatty(&self) -> bool {
        self.name != "backup-open"
    }

    fn run(&self, given: Value) -> BoxFuture<'_, Result<Value, AdminError>> {
        (self.run)(&self.subject, given)
    }
}

async fn open(subject: &Subject, given: Value) -> Result<Value, AdminError> {
    let arguments::OpenCopy { shard } = arguments::read(given)?;
    let operator = subject.operator()?;
    let (cluster_id, shards) = operator.cluster().map_err(super::not_done)?;
    let head = operator.open_copy(shard).await.map_err(not_copied)?;
    let durable = subject.router()?.kinds().into_iter().filter(|kind| kind.durable);
    let schemas = durable.map(|kind| (kind.kind.to_string(), json!(kind.schema)));
    Ok(json!({
        "copy": head.id.to_string(),
        "shard": shard,
        "shards": shards,
        "cluster_id": cluster_id.to_string(),
        "release": RELEASE,
        "schemas": schemas.collect::<serde_json::Map<_, _>>(),
        "term": head.position.term,
        "index": head.position.index,
        "taken_ms": head.taken_ms,
    }))
}

async fn read(subject: &Subject, given: Value) -> Result<Value, AdminError> {
    let arguments::ReadCopy { copy, after } = arguments::read(given)?;
    let malformed = |error: base64::DecodeError| AdminError::Arguments {
        path: ".after".into(),
        message: error.to_string(),
    };
    let after = after.map(|after| BASE64.decode(after)).transpose().map_err(malformed)?;
    let part = subject.operator()?.read_copy(id(&copy)?, after.map(Bytes::from)).await;
    let part = part.map_err(not_copied)?;
    Ok(json!({"body": BASE64.encode(&part.body), "checksum": format!("{:016x}", part.checksum)}))
}

async fn keep(subject: &Subject, given: Value) -> Result<Value, AdminError> {
    let arguments::Copies { copies } = arguments::read(given)?;
    let ids = copies.iter().map(|copy| id(copy)).collect::<Result<Vec<_>, _>>()?;
    subject.operator()?.keep_copies(&ids).await.map_err(not_copied)?;
    Ok(json!({}))
}

async fn close(subject: &Subject, given: Value) -> Result<Value, AdminError> {
    let arguments::Copy { copy } = arguments::read(given)?;
    subject.operator()?.close_copy(id(&copy)?).await.map_err(not_copied)?;
    Ok(json!({}))
}

fn id(text: &str) -> Result<CopyId, AdminError> {
    text.parse().map_err(|error: crate::node::CopyIdError| AdminError::Arguments {
        path: ".copy".into(),
        message: error.to_string(),
    })
}

fn not_copied(error: CopyError) -> AdminError {
    match error {
        CopyError::NoSuchShard { .. } => refused("unknown_shard", &error.to_string()),
        CopyError::TooLarge { .. } => refused("shard_too_large", &error.to_string()),
        error => AdminError::Unavailable { message: error.to_string() },
    }
}
