//! Kind and key out of a path.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{code::Code, percent, problem::Problem};
use crate::protocol::{EntityId, EntityIdError, Key, KindName};

/// `{kind}/{key}` of `/v1/entities/{kind}/{key}…`.
#[derive(Clone, Debug)]
pub(super) struct Target(pub(super) EntityId);

/// `{kind}` of `/v1/entities/{kind}`.
#[derive(Clone, Debug)]
pub(super) struct TargetKind(pub(super) KindName);

/// Which segments of the path, split at `/`, hold the names.
const KIND_SEGMENT: usize = 3;
const KEY_SEGMENT: usize = 4;

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path();
        Ok(Self(EntityId { kind: kind(path)?, key: key(path)? }))
    }
}

impl<S: Sync> FromRequestParts<S> for TargetKind {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        kind(parts.uri.path()).map(Self)
    }
}

fn kind(path: &str) -> Result<KindName, Problem> {
    let name = segment(path, KIND_SEGMENT, Code::InvalidKind)?;
    KindName::new(name).map_err(Problem::from)
}

fn key(path: &str) -> Result<Key, Problem> {
    let key = segment(path, KEY_SEGMENT, Code::InvalidKey)?;
    Key::new(key).map_err(Problem::from)
}

/// The raw path is taken apart before it is decoded, so that a key may contain `%2F`.
fn segment(path: &str, number: usize, code: Code) -> Result<String, Problem> {
    let raw = path.split('/').nth(number).unwrap_or_default();
    percent::decode(raw).map_err(|error| Problem::new(code, format!("{raw:?} in the path: {error}")))
}

impl From<EntityIdError> for Problem {
    fn from(error: EntityIdError) -> Self {
        let code = match error {
            EntityIdError::Kind(_) => Code::InvalidKind,
            EntityIdError::EmptyKey | EntityIdError::LongKey(_) | EntityIdError::ControlCharacter(_) => {
                Code::InvalidKey
            }
        };
        Self::new(code, error.to_string())
    }
}
