//! The kinds of a binary.

use super::sabotage::Sabotaged;
use crate::entity::{Entity, KindRegistry};

/// The kinds of a binary, as `Node::builder()` would have them.
#[derive(Clone, Default)]
pub struct Release {
    kinds: KindRegistry,
}

impl Release {
    /// Without kinds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more kind.
    ///
    /// # Panics
    ///
    /// When the node would refuse to start: a bad or doubled name, or a schema version that it cannot read itself.
    #[must_use]
    pub fn kind<E: Entity>(mut self) -> Self {
        if let Err(error) = self.kinds.register::<Sabotaged<E>>() {
            panic!("{error}");
        }
        self
    }

    pub(super) fn into_kinds(self) -> KindRegistry {
        self.kinds
    }
}
