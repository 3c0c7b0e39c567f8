//! What happens to every request of port 9090.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, Uri},
    response::Response,
    routing::{get, post},
};
use futures_util::{FutureExt, future::BoxFuture};
use playhouse_cluster::environment::Environment;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    super::{
        code::Code,
        headers::REQUEST_ID,
        problem::Problem,
        server::{Answer, Connection},
    },
    OpsOptions, admin, probes,
};
use crate::protocol::RequestId;

/// What every handler shares.
pub(super) struct OpsHall {
    pub(super) options: OpsOptions,
    pub(super) environment: Environment,
    pub(super) started: Instant,
}

/// Answers the requests of port 9090.
pub(super) struct OpsFront {
    hall: Arc<OpsHall>,
    routes: Router,
}

impl OpsFront {
    pub(super) fn new(options: OpsOptions, environment: Environment) -> Self {
        let hall = Arc::new(OpsHall { options, started: environment.now(), environment });
        Self { routes: router(Arc::clone(&hall)), hall }
    }
}

impl Answer for OpsFront {
    fn answer(&self, mut request: Request, connection: Arc<Connection>) -> BoxFuture<'static, Response> {
        let (hall, mut routes) = (Arc::clone(&self.hall), self.routes.clone());
        async move {
            request.extensions_mut().insert(connection);
            let mut response = routes.call(request).await.unwrap_or_else(|never| match never {});
            let request_id = RequestId::random(&hall.environment);
            if let Some(problem) = response.extensions_mut().remove::<Problem>() {
                problem.write(&mut response, &request_id);
            }
            let value = HeaderValue::from_str(&request_id.0).expect("hexadecimal digits are printable");
            response.headers_mut().insert(REQUEST_ID, value);
            response
        }
        .boxed()
    }
}

fn router(hall: Arc<OpsHall>) -> Router {
    Router::new()
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/startupz", get(probes::startupz))
        .route("/health", get(probes::health))
        .route("/metrics", get(probes::metrics))
        .route("/admin/v1", get(admin::list))
        .route("/admin/v1/{action}", post(admin::run))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(hall)
}

async fn no_route(uri: Uri) -> Problem {
    let all = "/livez, /readyz, /startupz, /health, /metrics and /admin/v1";
    Problem::new(Code::NotFound, format!("there is no route {}; there are {all}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("{} does not take {method}; see the header Allow", uri.path()),
    )
}
