//! What a node gives its entities besides their own state: handles, by their type.
//!
//! Comes in: whatever a node or its program provides. Leaves: a copy of it, for a handler that asks for that type. What such a handle does
//! is nothing to an entity's room: it is for work that starts after the commit ([`Context::spawn`](super::Context::spawn)).

use std::{
    any::{Any, TypeId, type_name},
    collections::BTreeMap,
    fmt,
    sync::Arc,
};

use parking_lot::RwLock;

/// Handles by their type, one of each. A cheap handle itself; all copies are one.
///
/// ```
/// use playhouse::entity::Surroundings;
///
/// let surroundings = Surroundings::default();
/// assert_eq!(surroundings.get::<u16>(), None);
/// surroundings.provide(4370_u16);
/// assert_eq!(surroundings.get::<u16>(), Some(4370));
///
/// let other = surroundings.apart();
/// other.provide(80_u16);
/// assert_eq!(surroundings.get::<u16>(), Some(4370));
/// ```
#[derive(Clone, Default)]
pub struct Surroundings {
    provided: Arc<RwLock<BTreeMap<TypeId, Provided>>>,
}

#[derive(Clone)]
struct Provided {
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl Surroundings {
    /// Gives it to all who ask for this type from now on. The same type again replaces what was there.
    pub fn provide<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let provided = Provided { name: type_name::<T>(), value: Arc::new(value) };
        let replaced = self.provided.write().insert(TypeId::of::<T>(), provided);
        // It may hold anything, so it is not dropped under the lock.
        drop(replaced);
    }

    /// The same, apart: what is provided there later is not provided here.
    #[must_use]
    pub fn apart(&self) -> Self {
        let provided = self.provided.read().clone();
        Self { provided: Arc::new(RwLock::new(provided)) }
    }

    /// Gives nothing any more. What was provided often leads back to who has these surroundings; both would stay for ever.
    pub fn clear(&self) {
        let provided = std::mem::take(&mut *self.provided.write());
        drop(provided);
    }

    /// What was provided of this type.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let provided = Arc::clone(&self.provided.read().get(&TypeId::of::<T>())?.value);
        // To copy it is the business of whoever provided it, so it is not done under the lock.
        provided.downcast_ref::<T>().cloned()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provided = self.provided.read();
        f.debug_set().entries(provided.values().map(|provided| provided.name)).finish()
    }
}
