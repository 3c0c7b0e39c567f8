//! Which kinds a node has.

use std::{ops::RangeInclusive, sync::Arc};

use playhouse_cluster::collections::{Hasher, Map};
use serde::{Deserialize, Serialize};

use super::{Durability, Entity, SchemaVersion, Surroundings, table::Table, typed_table::TypedTable};
use crate::protocol::{EntityIdError, KindName};

/// The position of a kind in its node's registry. Means nothing to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindIndex(pub u16);

impl KindIndex {
    /// Of a kind that its node does not have; the name travels beside it. No registry gives this position away.
    pub const UNKNOWN: Self = Self(u16::MAX);

    /// Whether its node has the kind.
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }
}

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
    /// There are 65,535 kinds already.
    #[error("a node can have at most 65535 kinds")]
    TooMany,
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
    kinds: Vec<Kind>,
    by_name: Map<KindName, KindIndex>,
    surroundings: Surroundings,
}

#[derive(Clone)]
struct Kind {
    description: Arc<KindDescription>,
    reads: RangeInclusive<SchemaVersion>,
    table: fn(Hasher, Surroundings) -> Box<dyn Table>,
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
        let index = u16::try_from(self.kinds.len()).map(KindIndex).unwrap_or(KindIndex::UNKNOWN);
        if !index.is_known() {
            return Err(RegisterError::TooMany);
        }
        self.by_name.insert(kind.clone(), index);
        let description = Arc::new(KindDescription {
            kind,
            summary: E::SUMMARY.to_owned(),
            durable: E::DURABILITY == Durability::Replicated,
            schema: E::SCHEMA,
            reads_from: *E::READS.start(),
            examples: E::command_examples(),
        });
        let table =
            |hasher, surroundings| -> Box<dyn Table> { Box::new(TypedTable::<E>::new(hasher, surroundings)) };
        self.kinds.push(Kind { description, reads: E::READS, table });
        Ok(())
    }

    /// What handlers of these kinds find around them.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The same kinds with surroundings of their own, in which there is what was provided up to now.
    #[must_use]
    pub fn apart(self) -> Self {
        Self { surroundings: self.surroundings.apart(), ..self }
    }

    /// All kinds, in the order in which they were registered.
    pub fn descriptions(&self) -> impl Iterator<Item = &KindDescription> {
        self.kinds.iter().map(|kind| kind.description.as_ref())
    }

    /// Where a kind is.
    #[must_use]
    pub fn find(&self, kind: &KindName) -> Option<KindIndex> {
        self.by_name.get(kind).copied()
    }

    /// Which schema versions of a kind can be read.
    #[must_use]
    pub fn reads(&self, kind: KindIndex) -> RangeInclusive<SchemaVersion> {
        self.kinds[usize::from(kind.0)].reads.clone()
    }

    /// What is known of a kind, if it is one of these.
    #[must_use]
    pub fn describe(&self, kind: KindIndex) -> Option<&KindDescription> {
        self.kinds.get(usize::from(kind.0)).map(|kind| kind.description.as_ref())
    }

    /// What is known of a kind, which must be one of these.
    #[must_use]
    pub fn description(&self, kind: KindIndex) -> &KindDescription {
        &self.kinds[usize::from(kind.0)].description
    }

    /// Empty tables, one per kind, for a shard that begins to execute.
    #[must_use]
    pub fn tables(&self, hasher: &Hasher) -> Vec<Box<dyn Table>> {
        let table = |kind: &Kind| (kind.table)(hasher.clone(), self.surroundings.clone());
        self.kinds.iter().map(table).collect()
    }
}
