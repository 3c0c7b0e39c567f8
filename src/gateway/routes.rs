//! Which operation is answered by which handler.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{Method, Uri},
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{calls, code::Code, front::Hall, operation::Operation, problem::Problem, views};

/// Every operation, and an answer for everything else.
pub(super) fn router(hall: Arc<Hall>) -> Router {
    let start = Router::new();
    let routes = Operation::ALL.into_iter().fold(start, |router, operation| {
        let handler = handler(operation)
            .layer(middleware::from_fn(move |request, next| mark(operation, request, next)));
        router.route(operation.path(), handler)
    });
    routes.fallback(no_route).method_not_allowed_fallback(no_method).with_state(hall)
}

fn handler(operation: Operation) -> MethodRouter<Arc<Hall>> {
    let method =
        MethodFilter::try_from(operation.method()).expect("axum can route every method of the table");
    match operation {
        Operation::Call => on(method, calls::call),
        Operation::Cast => on(method, calls::cast),
        Operation::View => on(method, views::view),
        Operation::List => on(method, views::list),
        Operation::Kinds => on(method, views::kinds),
    }
}

/// Tells the front which operation answered.
async fn mark(operation: Operation, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(operation);
    response
}

async fn no_route(uri: Uri) -> Problem {
    let mut segments = uri.path().split('/').skip(1);
    let below_entities = segments.next() == Some("v1") && segments.next() == Some("entities");
    if below_entities && segments.any(str::is_empty) {
        return Problem::new(Code::InvalidKey, "the path has an empty kind or key");
    }
    Problem::new(Code::NotFound, format!("there is no route {}; GET /v1/openapi.json lists all", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("{} does not take {method}; see the header Allow", uri.path()),
    )
}
