//! The list of operations, from which both the routes and the OpenAPI document are made.

use axum::http::{Method, StatusCode};

use super::code::Code;

/// Something that the gateway can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// A command whose reply is awaited.
    Call,
    /// A command whose reply is not wanted.
    Cast,
    /// The state of an entity.
    View,
    /// Entities of a kind.
    List,
    /// The kinds of the node.
    Kinds,
    /// The OpenAPI document.
    OpenApi,
    /// WebSocket.
    Connect,
}

impl Operation {
    pub(super) const ALL: [Self; 7] =
        [Self::Call, Self::Cast, Self::View, Self::List, Self::Kinds, Self::OpenApi, Self::Connect];

    /// Its stable name: a label of metrics, and `operationId` in OpenAPI.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Cast => "cast",
            Self::View => "view",
            Self::List => "list",
            Self::Kinds => "kinds",
            Self::OpenApi => "openapi",
            Self::Connect => "connect",
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::Call | Self::Cast => Method::POST,
            Self::View | Self::List | Self::Kinds | Self::OpenApi | Self::Connect => Method::GET,
        }
    }

    /// As OpenAPI and axum both write it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Call => "/v1/entities/{kind}/{key}/call",
            Self::Cast => "/v1/entities/{kind}/{key}/cast",
            Self::View => "/v1/entities/{kind}/{key}",
            Self::List => "/v1/entities/{kind}",
            Self::Kinds => "/v1/kinds",
            Self::OpenApi => "/v1/openapi.json",
            Self::Connect => "/v1/connect",
        }
    }

    /// The status of an answer that is no problem.
    pub(super) fn success(self) -> StatusCode {
        match self {
            Self::Cast => StatusCode::ACCEPTED,
            Self::Connect => StatusCode::SWITCHING_PROTOCOLS,
            Self::Call | Self::View | Self::List | Self::Kinds | Self::OpenApi => StatusCode::OK,
        }
    }

    /// What it does, in one sentence.
    pub(super) fn summary(self) -> &'static str {
        match self {
            Self::Call => "Send a command to an entity and await its reply.",
            Self::Cast => "Send a command to an entity and await its commit.",
            Self::View => "Show the state of an entity.",
            Self::List => "List entities of a kind by key.",
            Self::Kinds => "List the kinds of this node.",
            Self::OpenApi => "Describe this interface.",
            Self::Connect => "Open a WebSocket connection for many calls, casts and subscriptions.",
        }
    }

    /// The problems that it may answer with. A test provokes each.
    pub(super) fn codes(self) -> &'static [Code] {
        match self {
            Self::Call | Self::Cast => COMMAND,
            Self::View => VIEW,
            Self::List => LIST,
            Self::Kinds | Self::OpenApi => &[Code::InvalidHeader, Code::Unauthorized],
            Self::Connect => &[Code::InvalidHeader, Code::Unauthorized, Code::ForbiddenOrigin],
        }
    }
}

const COMMAND: &[Code] = &[
    Code::InvalidBody,
    Code::InvalidKey,
    Code::InvalidKind,
    Code::InvalidHeader,
    Code::Unauthorized,
    Code::UnknownKind,
    Code::SlowRequest,
    Code::Refused,
    Code::TooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyMismatch,
    Code::Crashed,
    Code::UnreadableState,
    Code::Overloaded,
    Code::Draining,
    Code::NotCommitted,
    Code::OutcomeUnknown,
    Code::Unavailable,
    Code::Quarantined,
    Code::DeadlineExceeded,
];

const VIEW: &[Code] = &[
    Code::InvalidKey,
    Code::InvalidKind,
    Code::InvalidHeader,
    Code::Unauthorized,
    Code::UnknownKind,
    Code::TooLarge,
    Code::Crashed,
    Code::UnreadableState,
    Code::Overloaded,
    Code::Draining,
    Code::NotCommitted,
    Code::OutcomeUnknown,
    Code::Unavailable,
    Code::Quarantined,
    Code::DeadlineExceeded,
];

const LIST: &[Code] = &[
    Code::InvalidKind,
    Code::InvalidQuery,
    Code::InvalidHeader,
    Code::Unauthorized,
    Code::UnknownKind,
    Code::TooLarge,
    Code::Crashed,
    Code::UnreadableState,
    Code::Overloaded,
    Code::Draining,
    Code::NotCommitted,
    Code::OutcomeUnknown,
    Code::Unavailable,
    Code::Quarantined,
    Code::DeadlineExceeded,
];
