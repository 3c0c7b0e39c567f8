//! What can be seen without a command.

use std::{future::Future, sync::Arc};

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    code::Code,
    front::Hall,
    problem::Problem,
    query::list_query,
    target::{Target, TargetKind},
    visit::Visit,
};
use crate::{
    entity::KindDescription,
    protocol::{CallError, EntityView, Page},
};

/// `GET /v1/entities/{kind}/{key}`.
#[derive(Serialize)]
struct ViewDocument<'a> {
    kind: &'a str,
    key: &'a str,
    shard: u16,
    node: &'a str,
    revision: u64,
    state: &'a RawValue,
}

/// `GET /v1/entities/{kind}`.
#[derive(Serialize)]
struct PageDocument<'a> {
    entities: Vec<EntityDocument<'a>>,
    next_after: Option<&'a str>,
}

#[derive(Serialize)]
struct EntityDocument<'a> {
    key: &'a str,
    revision: u64,
}

/// `GET /v1/kinds`.
#[derive(Serialize)]
struct KindsDocument {
    kinds: Vec<KindDescription>,
}

pub(super) async fn view(
    State(hall): State<Arc<Hall>>,
    Extension(visit): Extension<Arc<Visit>>,
    Target(id): Target,
) -> Result<Response, Problem> {
    let view = within(&visit, hall.entities.view(id, visit.timeout)).await?;
    view_document(&view, &hall.options.node)
}

fn view_document(view: &EntityView, node: &str) -> Result<Response, Problem> {
    let state = serde_json::from_slice(&view.state).map_err(|error| {
        Problem::new(Code::UnreadableState, format!("the kind shows a state that is not JSON: {error}"))
    })?;
    let (kind, key) = (view.id.kind.as_str(), view.id.key.as_str());
    let document = ViewDocument { kind, key, shard: view.shard.0, node, revision: view.revision, state };
    Ok(Json(document).into_response())
}

pub(super) async fn list(
    State(hall): State<Arc<Hall>>,
    Extension(visit): Extension<Arc<Visit>>,
    TargetKind(kind): TargetKind,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = list_query(kind, query.as_deref())?;
    let page = within(&visit, hall.entities.list(query, visit.timeout)).await?;
    Ok(page_document(&page))
}

fn page_document(page: &Page) -> Response {
    let entities =
        page.entities.iter().map(|(key, revision)| EntityDocument { key: key.as_str(), revision: *revision });
    let next_after = page.next_after.as_ref().map(|key| key.as_str());
    Json(PageDocument { entities: entities.collect(), next_after }).into_response()
}

pub(super) async fn kinds(State(hall): State<Arc<Hall>>) -> Response {
    Json(KindsDocument { kinds: hall.entities.kinds() }).into_response()
}

/// The deadline that the client asked for, whatever the router does.
async fn within<T>(
    visit: &Visit,
    outcome: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    tokio::time::timeout(visit.timeout, outcome).await.unwrap_or(Err(CallError::DeadlineExceeded))
}
