//! What the server says went wrong.

use std::{fmt, time::Duration};

use hyper::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};

/// An RFC 9457 problem. Programs look at [`code`](Self::code), people at [`detail`](Self::detail).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// The stable name, such as `unknown_kind`. When something on the way that is no Playhouse answered: `http_` and
    /// the status, such as `http_502`.
    pub code: String,
    /// A few words.
    #[serde(default)]
    pub title: String,
    /// For people: what happened this time.
    #[serde(default)]
    pub detail: String,
    /// Of `invalid_body`: the JSON path of the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of `refused`: the kind's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Of `too_large`: how large it is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of `too_large`: how large it may be, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// The request's name in the server's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How long the server asks to wait, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "retry_after")]
    pub retry_after_seconds: Option<u64>,
}

impl Problem {
    /// Reads an answer that is not a success; anything that is no problem+json is described as `http_…`.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Box<Self> {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_else(|_| Self::foreign(status, body));
        problem.status = status.as_u16();
        problem.retry_after_seconds = retry_after(headers).or(problem.retry_after_seconds);
        Box::new(problem)
    }

    fn foreign(status: StatusCode, body: &[u8]) -> Self {
        let title = status.canonical_reason().unwrap_or("an unknown status");
        let beginning: String = String::from_utf8_lossy(body).chars().take(120).collect();
        let detail = match beginning.trim() {
            "" => "the answer has no body".to_owned(),
            text => format!("the answer is not from a Playhouse gateway: {text:?}"),
        };
        Self::plain(status, format!("http_{}", status.as_u16()), title, detail)
    }

    /// What the server would say of a frame that is too large for it, known without asking.
    pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> Self {
        let detail = format!("the command has {bytes} bytes, at most {bytes_max} are allowed");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let problem = Self::plain(status, "too_large".to_owned(), "too large", detail);
        Self { bytes: Some(bytes as u64), bytes_max: Some(bytes_max as u64), ..problem }
    }

    fn plain(status: StatusCode, code: String, title: &str, detail: String) -> Self {
        Self {
            status: status.as_u16(),
            code,
            title: title.to_owned(),
            detail,
            path: None,
            refusal: None,
            bytes: None,
            bytes_max: None,
            request_id: None,
            retry_after_seconds: None,
        }
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_seconds.map(Duration::from_secs)
    }

    /// Whether the same request, with the same idempotency key, may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.may_pass()
            || matches!(self.code.as_str(), "outcome_unknown" | "deadline_exceeded" | "http_408" | "http_429")
            || matches!(self.code.as_str(), "http_502" | "http_503" | "http_504")
    }

    /// Whether it is certain that the request had no effect.
    #[must_use]
    pub fn nothing_happened(&self) -> bool {
        self.may_pass() || (400..500).contains(&self.status) || self.code == "crashed"
    }

    /// Whether it was turned away, for the moment only.
    fn may_pass(&self) -> bool {
        let code = self.code.as_str();
        code == "slow_request"
            || matches!(code, "overloaded" | "draining" | "not_committed" | "unavailable" | "quarantined")
    }

    /// Whether it is this gateway that cannot help just now, so that another may.
    pub(crate) fn blames_gateway(&self) -> bool {
        matches!(self.code.as_str(), "draining" | "http_502" | "http_503" | "http_504")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{words} ({})", self.code)?;
        match &self.path {
            Some(path) => write!(f, " at {path}"),
            None => Ok(()),
        }
    }
}

/// Whole seconds; a date is not understood and ignored.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Box<Problem> {
        Problem::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_problem_is_read_with_all_its_fields() {
        let problem = read(
            400,
            r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"expected a number",
                "code":"invalid_body","path":".add","request_id":"r1","new_field":1}"#,
        );
        assert_eq!(problem.code, "invalid_body");
        assert_eq!(problem.path.as_deref(), Some(".add"));
        assert_eq!(problem.to_string(), "expected a number (invalid_body) at .add");
        assert!(!problem.is_retryable());
        assert!(problem.nothing_happened());
    }

    #[test]
    fn what_a_proxy_says_is_described_not_trusted() {
        let problem = read(502, "<html>Bad Gateway</html>");
        assert_eq!(problem.code, "http_502");
        assert!(problem.is_retryable());
        assert!(!problem.nothing_happened(), "the proxy may have forwarded the request");
    }

    #[test]
    fn only_what_may_pass_is_retried() {
        let retryable = |code: &str| read(503, &format!(r#"{{"code":"{code}"}}"#)).is_retryable();
        for code in
            ["overloaded", "draining", "not_committed", "outcome_unknown", "unavailable", "quarantined"]
        {
            assert!(retryable(code), "{code}");
        }
        for code in ["refused", "crashed", "unreadable_state", "idempotency_mismatch", "unauthorized"] {
            assert!(!retryable(code), "{code}");
        }
    }

    #[test]
    fn a_retry_after_that_is_a_date_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        let problem = Problem::read(StatusCode::SERVICE_UNAVAILABLE, &headers, b"");
        assert_eq!(problem.retry_after(), None);
    }
}
