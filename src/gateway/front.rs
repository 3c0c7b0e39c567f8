//! What happens to every request, whatever its route: a name, a trace, a token, a count.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::BoxFuture};
use playhouse_cluster::environment::Environment;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::BodyBudget,
    code::Code,
    counts::Counts,
    entities::Entities,
    operation::Operation,
    options::Options,
    problem::Problem,
    routes,
    server::{Answer, Connection},
    visit::Visit,
};

/// What every handler shares.
pub(super) struct Hall {
    pub(super) entities: Arc<dyn Entities>,
    pub(super) options: Options,
    pub(super) environment: Environment,
    pub(super) bodies: BodyBudget,
    pub(super) counts: Counts,
}

/// Answers the requests of port 8080.
pub(super) struct Front {
    hall: Arc<Hall>,
    routes: Router,
}

impl Front {
    pub(super) fn new(entities: Arc<dyn Entities>, options: Options, environment: Environment) -> Self {
        let bodies = BodyBudget::new(&options.requests);
        let counts = Counts::new(options.metrics.clone());
        let hall = Arc::new(Hall { entities, options, environment, bodies, counts });
        Self { routes: routes::router(Arc::clone(&hall)), hall }
    }
}

impl Answer for Front {
    fn answer(&self, mut request: Request, connection: Arc<Connection>) -> BoxFuture<'static, Response> {
        let (hall, mut routes) = (Arc::clone(&self.hall), self.routes.clone());
        async move {
            let started = hall.environment.now();
            let (visit, headers_are_fine) = Visit::read(request.headers(), &hall.options, &hall.environment);
            let visit = Arc::new(visit);
            let mut response = match hall.admit(request.headers()).and(headers_are_fine) {
                Err(problem) => problem.into_response(),
                Ok(()) => {
                    request.extensions_mut().insert(Arc::clone(&visit));
                    request.extensions_mut().insert(connection);
                    routes.call(request).await.unwrap_or_else(|never| match never {})
                }
            };
            hall.finish(&visit, &mut response, started);
            response
        }
        .boxed()
    }
}

impl Hall {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(tokens) = &self.options.tokens else { return Ok(()) };
        match bearer(headers) {
            Some(token) if tokens.accept(token) => Ok(()),
            Some(_) => Err(Problem::new(Code::Unauthorized, "the token is not valid")),
            None => {
                Err(Problem::new(Code::Unauthorized, "send Authorization: Bearer with a token of this node"))
            }
        }
    }

    fn finish(&self, visit: &Visit, response: &mut Response, started: Instant) {
        let ended = self.environment.now();
        let elapsed = ended - started;
        let problem = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = &problem {
            problem.write(response, &visit.request_id);
        }
        visit.sign(response.headers_mut());
        let operation = response.extensions().get::<Operation>().copied();
        self.counts.answered(operation, response.status(), elapsed);
        let route = operation.map_or("none", Operation::id);
        let (request_id, status) = (visit.request_id.0.as_str(), response.status().as_u16());
        let code = problem.as_ref().map_or("ok", Problem::code);
        tracing::debug!(request_id, route, status, code, ?elapsed, "request answered");
        let error = problem.as_ref().map(Problem::code);
        let told =
            || vec![("playhouse.route", route.to_owned()), ("http.response.status_code", status.to_string())];
        self.options.traces.record_request(&visit.span, visit.parent, (started, ended), error, told);
    }
}

/// The token of `Authorization: Bearer …`; the scheme's case does not matter.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
