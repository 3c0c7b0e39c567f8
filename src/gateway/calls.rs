//! Commands: `POST …/call` and `POST …/cast`.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request as HttpRequest, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{front::Hall, headers, problem::Problem, target::Target, visit::Visit};
use crate::protocol::{Body, CallError, EntityId, Reply, Request};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Awaits the reply.
pub(super) async fn call(
    State(hall): State<Arc<Hall>>,
    Extension(visit): Extension<Arc<Visit>>,
    Target(target): Target,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let reply = hall.execute(&visit, target, request).await?;
    let mut response = reply.body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(headers::ENTITY_REVISION, reply.revision.into());
    Ok(response)
}

/// Awaits the commit.
pub(super) async fn cast(
    State(hall): State<Arc<Hall>>,
    Extension(visit): Extension<Arc<Visit>>,
    Target(target): Target,
    request: HttpRequest,
) -> Result<StatusCode, Problem> {
    hall.execute(&visit, target, request).await?;
    Ok(StatusCode::ACCEPTED)
}

impl Hall {
    async fn execute(&self, visit: &Visit, target: EntityId, request: HttpRequest) -> Result<Reply, Problem> {
        let (parts, body) = request.into_parts();
        headers::check_content_type(&parts.headers)?;
        let held = self.bodies.read(&parts.headers, body, &self.options.requests).await?;
        let pending = self.entities.start(Request {
            target,
            body: Body::json(held.bytes.clone()),
            request_id: visit.request_id.clone(),
            idempotency_key: visit.idempotency_key.clone(),
            timeout: visit.timeout,
            trace: visit.trace(),
        })?;
        let reply = tokio::time::timeout(visit.timeout, pending).await;
        Ok(reply.unwrap_or(Err(CallError::DeadlineExceeded))?)
    }
}
