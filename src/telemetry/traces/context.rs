//! W3C trace context.

use std::fmt;

/// Longest `tracestate` that is passed on, in bytes, as the W3C asks for.
const STATE_BYTES_MAX: usize = 512;

/// Names a span, and says whether it is recorded.
///
/// ```
/// use playhouse::telemetry::traces::SpanContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context = SpanContext::parse(text).unwrap();
/// assert!(context.sampled);
/// assert_eq!(context.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The whole trace; never 0.
    pub trace_id: u128,
    /// This span; never 0.
    pub span_id: u64,
    /// Whether its spans are recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// Reads a `traceparent`. `None` when it is not one: then a new trace begins, as the W3C asks for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..)?);
        let known = version == "00";
        let long_enough =
            if known { text.len() == 55 } else { text.len() == 55 || text.get(55..56) == Some("-") };
        if !long_enough || version == "ff" || !is_lower_hex(version) {
            return None;
        }
        let mut parts = rest.strip_prefix('-')?.splitn(4, '-');
        let trace_id = number(parts.next()?, 32)?;
        let span_id = u64::try_from(number(parts.next()?, 16)?).ok()?;
        let flags = number(parts.next()?, 2)?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// A span of the same trace. `id` is random; 0 is replaced.
    #[must_use]
    pub fn child(self, id: u64) -> Self {
        Self { span_id: id.max(1), ..self }
    }
}

impl fmt::Display for SpanContext {
    /// Each request has one in its answer, so it is not left to the general way of writing numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_lower_hex(self.trace_id, &mut text[3..35]);
        put_lower_hex(self.span_id.into(), &mut text[36..52]);
        put_lower_hex(u8::from(self.sampled).into(), &mut text[53..]);
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are text"))
    }
}

fn put_lower_hex(mut number: u128, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn number(text: &str, digits: usize) -> Option<u128> {
    if text.len() != digits || !is_lower_hex(text) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// What other tracing systems said about the trace. Passed on, never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(String);

impl TraceState {
    /// Joins the values of all `tracestate` headers. `None` when they are too long or not printable.
    #[must_use]
    pub fn join<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let joined = values.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",");
        (!joined.is_empty() && joined.len() <= STATE_BYTES_MAX).then_some(Self(joined))
    }

    /// The value of one `tracestate` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_traceparent_is_ignored() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "äö-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(SpanContext::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_digit_is_written() {
        let context = SpanContext { trace_id: 0xa0f, span_id: 0xb, sampled: false };
        assert_eq!(context.to_string(), "00-00000000000000000000000000000a0f-000000000000000b-00");
        assert_eq!(SpanContext::parse(&context.to_string()), Some(context));
    }

    #[test]
    fn a_later_version_may_carry_more() {
        let text = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert_eq!(SpanContext::parse(text).map(|context| context.sampled), Some(false));
    }

    #[test]
    fn states_of_several_headers_are_one_list() {
        assert_eq!(TraceState::join(["a=1", "b=2"].into_iter()).unwrap().as_str(), "a=1,b=2");
        assert_eq!(TraceState::join([].into_iter()), None);
        assert_eq!(TraceState::join(["x".repeat(513).as_str()].into_iter()), None);
    }
}
