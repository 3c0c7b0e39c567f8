//! The entity kinds that ship with the node, each useful from any language.
//!
//! `docs/kinds.md` shows their commands and replies; its examples are executed by a test.

pub mod counter;
pub mod document;
mod flat;
#[cfg(test)]
mod handbook;
pub mod lease;
pub mod limiter;
pub mod queue;
pub mod room;
#[cfg(test)]
pub(crate) mod scene;

pub use counter::Counter;
pub use document::Document;
pub use lease::Lease;
pub use limiter::Limiter;
pub use queue::Queue;
pub use room::Room;

use crate::entity::{KindRegistry, RegisterError};

/// `docs/writing-kinds.md`, compiled and executed.
#[cfg(doctest)]
#[doc = include_str!("../docs/writing-kinds.md")]
struct WritingKinds;

/// Adds all of them to `kinds`.
///
/// ```
/// use playhouse::{entity::KindRegistry, kinds};
///
/// let mut registry = KindRegistry::default();
/// kinds::register_all(&mut registry).unwrap();
/// assert!(registry.descriptions().any(|kind| kind.kind.as_str() == "document"));
/// ```
///
/// # Errors
///
/// When `kinds` already has one of that name.
pub fn register_all(kinds: &mut KindRegistry) -> Result<(), RegisterError> {
    kinds.register::<Counter>()?;
    kinds.register::<Document>()?;
    kinds.register::<Lease>()?;
    kinds.register::<Limiter>()?;
    kinds.register::<Queue>()?;
    kinds.register::<Room>()
}
