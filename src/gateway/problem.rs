//! RFC 9457 problem+json: what a client learns when there is no reply.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::code::Code;
use crate::protocol::{CallError, RefusalClass, Refused, RequestId};

/// Why a request has no reply. Handlers return it; the front writes it, because it knows the request's id.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    code: Code,
    status: StatusCode,
    detail: String,
    more: Map<String, Value>,
    /// Seconds; on every 503.
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.status();
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { code, status, detail: detail.into(), more: Map::new(), retry_after }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Something is larger than allowed. `bytes` is a lower bound when the size was not announced.
    pub(super) fn too_large(what: &str, bytes: u64, bytes_max: u64) -> Self {
        let detail = format!("{what} has {bytes} bytes or more, at most {bytes_max} are allowed");
        Self::new(Code::TooLarge, detail).with("bytes", bytes).with("bytes_max", bytes_max)
    }

    /// A body or frame that is not what the contract asks for.
    pub(super) fn invalid_body(path: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidBody, detail).with("path", path)
    }

    pub(super) fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// The JSON object, as the body of an answer and as `error` in a WebSocket frame.
    pub(super) fn document(&self, request_id: &RequestId) -> Value {
        let mut document = json!({
            "type": "about:blank",
            "title": self.code.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code.as_str(),
            "request_id": request_id.0.as_str(),
        });
        let members = document.as_object_mut().expect("it was written as an object above");
        members.extend(self.more.clone());
        if let Some(seconds) = self.retry_after {
            members.insert("retry_after".to_owned(), seconds.into());
        }
        document
    }

    /// Writes the problem as the body of `response`, keeping its other headers (such as `Allow`).
    pub(super) fn write(&self, response: &mut Response, request_id: &RequestId) {
        *response.status_mut() = self.status;
        *response.body_mut() = Body::from(self.document(request_id).to_string());
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let problem = Self::new(Code::of(&error), error.to_string());
        match error {
            CallError::InvalidBody { path, .. } => problem.with("path", path),
            CallError::Refused(refused) => problem.refused(refused),
            CallError::TooLarge { bytes, bytes_max, .. } => {
                problem.with("bytes", bytes).with("bytes_max", bytes_max)
            }
            CallError::Quarantined { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).max(1);
                Self { retry_after: u64::try_from(seconds).ok(), ..problem }
            }
            _ => problem,
        }
    }
}

impl Problem {
    fn refused(self, refused: Refused) -> Self {
        let status = match refused.class {
            RefusalClass::Conflict => StatusCode::CONFLICT,
            RefusalClass::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self { status, detail: refused.message, ..self }.with("refusal", refused.code)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_carries_the_kinds_own_code_and_status() {
        let refused = Refused {
            code: "insufficient_funds".to_owned(),
            message: "12 are missing".to_owned(),
            class: RefusalClass::Unprocessable,
        };
        let document = Problem::from(CallError::Refused(refused)).document(&RequestId("r".into()));
        assert_eq!((&document["status"], &document["code"]), (&422.into(), &"refused".into()));
        assert_eq!(
            (&document["refusal"], &document["detail"]),
            (&"insufficient_funds".into(), &"12 are missing".into())
        );
    }

    #[test]
    fn a_quarantine_says_when_to_come_back_and_never_zero() {
        let problem = |ms| Problem::from(CallError::Quarantined { retry_after: Duration::from_millis(ms) });
        assert_eq!(problem(1_500).retry_after, Some(2));
        assert_eq!(problem(0).retry_after, Some(1));
    }
}
