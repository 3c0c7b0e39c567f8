//! Maps and sets whose iteration order depends on nothing but what was done to them.
//!
//! The standard library seeds its hasher at random in each process, so a simulation could not be
//! replayed. Where keys are chosen by clients, build the map with
//! [`Environment::hasher`](crate::environment::Environment::hasher) instead: its seed differs in each
//! node, so that nobody can prepare colliding keys.

use foldhash::fast::FixedState;

/// The hasher behind [`Map`] and [`Set`].
pub type Hasher = FixedState;

/// A hash map with a fixed seed.
#[allow(clippy::disallowed_types)] // This is the one place that names it, with our hasher.
pub type Map<K, V> = std::collections::HashMap<K, V, Hasher>;

/// A hash set with a fixed seed.
#[allow(clippy::disallowed_types)] // This is the one place that names it, with our hasher.
pub type Set<T> = std::collections::HashSet<T, Hasher>;
