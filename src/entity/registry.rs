//! Which kinds a node has.

use std::sync::Arc;

use playhouse_cluster::collections::Map;
use serde::{Deserialize, Serialize};

use super::{Durability, Entity, SchemaVersion};
use crate::protocol::{EntityIdError, KindName};

/// A kind, as `GET /v1/kinds` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindDescription {
    /// Its name.
    pub kind: KindName,
    /// One sentence.
    pub summary: String,
    /// Whether it survives a crash.
    pub durable: bool,
    /// The schema version that is written.
    pub schema: SchemaVersion,
    /// Oldest schema version that is read.
    pub reads_from: SchemaVersion,
    /// Commands to try.
    pub examples: Vec<serde_json::Value>,
}

/// A kind that cannot be registered. The node does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Its name is not allowed.
    #[error(transparent)]
    Name(#[from] EntityIdError),
    /// Two kinds have the same name.
    #[error("kind {0} is registered twice")]
    Twice(KindName),
    /// It cannot read what it writes.
    #[error("kind {kind} writes schema version {schema}, which is not among those it reads")]
    Schema {
        /// Which kind.
        kind: KindName,
        /// What it writes.
        schema: SchemaVersion,
    },
}

/// Which kinds a node has. Built once, then shared.
#[derive(Clone, Default)]
pub struct KindRegistry {
    kinds: Vec<Arc<KindDescription>>,
    by_name: Map<KindName, usize>,
}

impl KindRegistry {
    /// Adds a kind.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; nothing was added.
    pub fn register<E: Entity>(&mut self) -> Result<(), RegisterError> {
        let kind = KindName::new(E::KIND)?;
        if self.by_name.contains_key(&kind) {
            return Err(RegisterError::Twice(kind));
        }
        if !E::READS.contains(&E::SCHEMA) {
            return Err(RegisterError::Schema { kind, schema: E::SCHEMA });
        }
        self.by_name.insert(kind.clone(), self.kinds.len());
        self.kinds.push(Arc::new(KindDescription {
            kind,
            summary: E::SUMMARY.to_owned(),
            durable: E::DURABILITY == Durability::Replicated,
            schema: E::SCHEMA,
            reads_from: *E::READS.start(),
            examples: E::command_examples(),
        }));
        Ok(())
    }

    /// All kinds, in the order in which they were registered.
    pub fn descriptions(&self) -> impl Iterator<Item = &KindDescription> {
        self.kinds.iter().map(Arc::as_ref)
    }
}
