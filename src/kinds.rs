//! The entity kinds that ship with the node, each useful from any language.

mod counter;

pub use counter::Counter;
