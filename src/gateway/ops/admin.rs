//! `/admin/v1`: commands that change something, for operators.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::{
    super::{
        Tokens, body::BodyBudget, code::Code, front::bearer, headers::check_content_type,
        limits::RequestLimits, problem::Problem, server::Connection,
    },
    front::OpsHall,
};
use crate::protocol::{RefusalClass, Refused};

/// A command of the node, called by `POST /admin/v1/{name}` with JSON arguments.
pub trait AdminAction: Send + Sync + 'static {
    /// Its name in the path: lower-case letters and `-`.
    fn name(&self) -> &'static str;

    /// One sentence for `GET /admin/v1`.
    fn summary(&self) -> &'static str;

    /// Whether it is asked for so often, and changes so little, that the log should not have each time.
    fn is_chatty(&self) -> bool {
        false
    }

    /// Does it. `arguments` is `null` when the body is empty.
    fn run(&self, arguments: Value) -> BoxFuture<'_, Result<Value, AdminError>>;
}

/// A command that was not carried out. Nothing changed, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The arguments make no sense (400).
    #[error("{message} (at {path})")]
    Arguments {
        /// JSON path of the fault.
        path: String,
        /// What was expected there.
        message: String,
    },
    /// Not in this state of the node (409).
    #[error("{message} ({code})")]
    Refused {
        /// A stable word.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The cluster could not decide now (503). Whether it happened is not known; asking again is safe.
    #[error("{message}")]
    Unavailable {
        /// For people.
        message: String,
    },
}

/// Who may give commands. The default: nobody.
#[derive(Clone, Debug, Default)]
pub struct AdminAccess {
    /// Whoever has one of these tokens.
    pub tokens: Option<Tokens>,
    /// Whoever comes from this machine, except browsers (a page of somebody else could send them). Only for `dev`.
    pub loopback: bool,
}

impl AdminAccess {
    fn allows(&self, headers: &HeaderMap, connection: &Connection) -> bool {
        let by_token = || Some(self.tokens.as_ref()?.accept(bearer(headers)?));
        let local = self.loopback && connection.peer.ip().to_canonical().is_loopback();
        local && !headers.contains_key(header::ORIGIN) || by_token() == Some(true)
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Arguments { path, message } => Self::invalid_body(&path, message),
            AdminError::Unavailable { message } => Self::new(Code::Unavailable, message),
            AdminError::Refused { code, message } => {
                let refused = Refused { code: code.to_owned(), message, class: RefusalClass::Conflict };
                crate::protocol::CallError::Refused(refused).into()
            }
        }
    }
}

#[derive(Serialize)]
struct Actions {
    actions: Vec<ActionDocument>,
}

#[derive(Serialize)]
struct ActionDocument {
    name: &'static str,
    summary: &'static str,
}

/// `GET /admin/v1`.
pub(super) async fn list(
    State(hall): State<Arc<OpsHall>>,
    Extension(connection): Extension<Arc<Connection>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    hall.check_access(&headers, &connection)?;
    let document =
        |action: &Arc<dyn AdminAction>| ActionDocument { name: action.name(), summary: action.summary() };
    Ok(Json(Actions { actions: hall.options.actions.iter().map(document).collect() }).into_response())
}

/// `POST /admin/v1/{name}`.
pub(super) async fn run(
    State(hall): State<Arc<OpsHall>>,
    Extension(connection): Extension<Arc<Connection>>,
    name: Option<Path<String>>,
    request: Request,
) -> Result<Response, Problem> {
    hall.check_access(request.headers(), &connection)?;
    let action = hall.action(name.as_ref().map_or("", |Path(name)| name))?;
    let arguments = arguments(request).await?;
    if !action.is_chatty() {
        tracing::info!(action = action.name(), peer = %connection.peer, "admin command");
    }
    Ok(Json(action.run(arguments).await?).into_response())
}

impl OpsHall {
    fn check_access(&self, headers: &HeaderMap, connection: &Connection) -> Result<(), Problem> {
        if self.options.access.allows(headers, connection) {
            return Ok(());
        }
        Err(Problem::new(Code::Unauthorized, "send Authorization: Bearer with an admin token of this node"))
    }

    fn action(&self, name: &str) -> Result<&dyn AdminAction, Problem> {
        let found = self.options.actions.iter().find(|action| action.name() == name);
        let unknown =
            || Problem::new(Code::NotFound, format!("there is no command {name:?}; GET /admin/v1 lists all"));
        found.map(Arc::as_ref).ok_or_else(unknown)
    }
}

async fn arguments(request: Request) -> Result<Value, Problem> {
    let (parts, body) = request.into_parts();
    check_content_type(&parts.headers)?;
    let limits = RequestLimits::default();
    let held = BodyBudget::new(&limits).read(&parts.headers, body, &limits).await?;
    if held.bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&held.bytes).map_err(|error| Problem::invalid_body(".", error.to_string()))
}
