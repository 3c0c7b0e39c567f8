//! The stable words by which programs tell problems apart, each declared once.

use axum::http::StatusCode;

use crate::protocol::CallError;

/// Makes the enum and its table of one list.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// Why a request has no reply.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, for the OpenAPI document.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status that goes with it. A refusal may also be 422, as the kind says.
            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The same short sentence for every problem of this code.
            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    InvalidBody = "invalid_body", BAD_REQUEST, "The body cannot be read";
    InvalidKey = "invalid_key", BAD_REQUEST, "The key is not allowed";
    InvalidKind = "invalid_kind", BAD_REQUEST, "The kind is not allowed";
    InvalidQuery = "invalid_query", BAD_REQUEST, "The query cannot be read";
    InvalidHeader = "invalid_header", BAD_REQUEST, "A header cannot be read";
    Unauthorized = "unauthorized", UNAUTHORIZED, "A valid token is needed";
    UnknownKind = "unknown_kind", NOT_FOUND, "No such kind";
    NotFound = "not_found", NOT_FOUND, "No such route";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The route has no such method";
    /// The body did not arrive in time. Nothing was sent to the entity.
    SlowRequest = "slow_request", REQUEST_TIMEOUT, "The body did not arrive in time";
    Refused = "refused", CONFLICT, "The entity refused";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, "The idempotency key was used with another body";
    /// Only on WebSocket connections.
    Subscription = "subscription", UNPROCESSABLE_ENTITY, "Cannot subscribe";
    Crashed = "crashed", INTERNAL_SERVER_ERROR, "The handler crashed";
    UnreadableState = "unreadable_state", INTERNAL_SERVER_ERROR, "The stored state cannot be read";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Overloaded";
    Draining = "draining", SERVICE_UNAVAILABLE, "The node is draining";
    NotCommitted = "not_committed", SERVICE_UNAVAILABLE, "Not committed";
    OutcomeUnknown = "outcome_unknown", SERVICE_UNAVAILABLE, "Outcome unknown";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available";
    Quarantined = "quarantined", SERVICE_UNAVAILABLE, "The entity is quarantined";
    DeadlineExceeded = "deadline_exceeded", GATEWAY_TIMEOUT, "No reply within the deadline";
}

impl Code {
    /// The code of an error that the router gave.
    pub(super) fn of(error: &CallError) -> Self {
        match error {
            CallError::UnknownKind { .. } => Self::UnknownKind,
            CallError::InvalidBody { .. } => Self::InvalidBody,
            CallError::Refused(_) => Self::Refused,
            CallError::Crashed => Self::Crashed,
            CallError::Quarantined { .. } => Self::Quarantined,
            CallError::UnreadableState { .. } => Self::UnreadableState,
            CallError::Overloaded { .. } => Self::Overloaded,
            CallError::TooLarge { .. } => Self::TooLarge,
            CallError::IdempotencyMismatch => Self::IdempotencyMismatch,
            CallError::DeadlineExceeded => Self::DeadlineExceeded,
            CallError::NotCommitted => Self::NotCommitted,
            CallError::OutcomeUnknown => Self::OutcomeUnknown,
            CallError::Unavailable { .. } => Self::Unavailable,
            CallError::Draining => Self::Draining,
            CallError::Subscription { .. } => Self::Subscription,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_on_the_wire_is_the_word_of_the_protocol() {
        for error in [
            CallError::Crashed,
            CallError::OutcomeUnknown,
            CallError::Draining,
            CallError::IdempotencyMismatch,
        ] {
            assert_eq!(Code::of(&error).as_str(), error.code());
        }
    }
}
