//! The headers that a client may send, each read strictly.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};
use compact_str::CompactString;

use super::{code::Code, limits::RequestLimits, problem::Problem};
use crate::protocol::IDEMPOTENCY_KEY_BYTES_MAX;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(super) const ENTITY_REVISION: HeaderName = HeaderName::from_static("entity-revision");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What bodies are, as nearly every client writes it.
const JSON: &str = "application/json";

/// `Idempotency-Key`: 1 to 128 printable ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<CompactString>, Problem> {
    let key = single(headers, &IDEMPOTENCY_KEY)?.map(checked_idempotency_key).transpose();
    key.map_err(|why| invalid(&IDEMPOTENCY_KEY, &why))
}

/// Checks an idempotency key, from a header or from a WebSocket frame. The error says what is allowed.
pub(super) fn checked_idempotency_key(key: &str) -> Result<CompactString, String> {
    let printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if printable && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(key.into());
    }
    Err(format!("it must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters"))
}

/// `Request-Timeout`: seconds (`2.5`, `2.5s`) or milliseconds (`250ms`).
pub(super) fn request_timeout(headers: &HeaderMap, limits: &RequestLimits) -> Result<Duration, Problem> {
    let Some(text) = single(headers, &REQUEST_TIMEOUT)? else { return Ok(limits.timeout_default) };
    let timeout =
        duration(text).ok_or_else(|| invalid(&REQUEST_TIMEOUT, "it must be like 10, 2.5s or 250ms"))?;
    checked_timeout(timeout, limits).map_err(|why| invalid(&REQUEST_TIMEOUT, &why))
}

/// Checks a timeout, from a header or from a WebSocket frame. The error says what is allowed.
pub(super) fn checked_timeout(timeout: Duration, limits: &RequestLimits) -> Result<Duration, String> {
    if !timeout.is_zero() && timeout <= limits.timeout_max {
        return Ok(timeout);
    }
    Err(format!("it must be above 0 and at most {} s", limits.timeout_max.as_secs_f64()))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = plain.then(|| number.parse().ok())??;
    Duration::try_from_secs_f64(value * seconds).ok()
}

/// Whether the body may be read as JSON.
///
/// `curl -d` says `application/x-www-form-urlencoded` and means nothing by it, so that is taken, too, but not from a
/// browser: a page of somebody else could send it without asking first (no CORS preflight).
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let from_browser = headers.contains_key(header::ORIGIN);
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return if from_browser { Err(unsupported("nothing")) } else { Ok(()) };
    };
    if value == JSON {
        return Ok(());
    }
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let json = media == JSON || (media.starts_with("application/") && media.ends_with("+json"));
    let curl = media == "application/x-www-form-urlencoded" && !from_browser;
    let utf8 = parts
        .filter_map(|part| part.strip_prefix("charset="))
        .all(|charset| charset.trim_matches('"') == "utf-8");
    if (json || curl) && utf8 { Ok(()) } else { Err(unsupported(&text)) }
}

fn unsupported(given: &str) -> Problem {
    Problem::new(
        Code::UnsupportedMediaType,
        format!("the content type is {given}; send application/json in UTF-8"),
    )
}

/// The value of a header that may be given once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "it is given twice"));
    }
    value.to_str().map(Some).map_err(|_| invalid(name, "it must be printable ASCII"))
}

fn invalid(name: &HeaderName, why: &str) -> Problem {
    Problem::new(Code::InvalidHeader, format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds_unless_they_say_otherwise() {
        assert_eq!(duration("10"), Some(Duration::from_secs(10)));
        assert_eq!(duration("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2.5s"), Some(Duration::from_millis(2500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        for text in ["", "s", "ms", "-1", "1e3", "NaN", "inf", "1m", "1.2.3", " 1"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    fn content(value: Option<&'static str>, origin: bool) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        }
        if origin {
            headers.insert(header::ORIGIN, "https://elsewhere.example".parse().unwrap());
        }
        check_content_type(&headers).is_ok()
    }

    #[test]
    fn json_is_taken_from_everybody() {
        for value in ["application/json", "application/json; charset=UTF-8", "application/merge-patch+json"] {
            assert!(content(Some(value), true), "{value}");
        }
        assert!(!content(Some("text/plain"), false));
        assert!(!content(Some("application/json; charset=latin1"), false));
    }

    #[test]
    fn what_curl_sends_is_not_taken_from_a_browser() {
        assert!(content(Some("application/x-www-form-urlencoded"), false));
        assert!(content(None, false));
        assert!(!content(Some("application/x-www-form-urlencoded"), true));
        assert!(!content(None, true));
    }
}
