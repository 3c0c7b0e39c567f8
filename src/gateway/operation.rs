//! The list of operations, from which both the routes and the OpenAPI document are made.

use axum::http::Method;

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
}

impl Operation {
    pub(super) const ALL: [Self; 5] = [Self::Call, Self::Cast, Self::View, Self::List, Self::Kinds];

    /// Its stable name: a label of metrics, and `operationId` in OpenAPI.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Cast => "cast",
            Self::View => "view",
            Self::List => "list",
            Self::Kinds => "kinds",
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::Call | Self::Cast => Method::POST,
            Self::View | Self::List | Self::Kinds => Method::GET,
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
        }
    }
}
