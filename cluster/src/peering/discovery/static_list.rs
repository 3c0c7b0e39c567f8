//! Addresses that somebody wrote down.

use std::collections::BTreeSet;

use crate::environment::watch;

use super::Discovery;

/// A list that never changes. Host names in it are resolved by the network each time somebody connects.
///
/// ```
/// use playhouse_cluster::peering::{Discovery, StaticList};
///
/// let list = StaticList::new(["playhouse-0:4370", "playhouse-1:4370"]);
/// assert_eq!(list.addresses().borrow().len(), 2);
/// ```
#[derive(Debug)]
pub struct StaticList(watch::Sender<BTreeSet<String>>);

impl StaticList {
    /// `addresses`, each as `host:port`.
    #[must_use]
    pub fn new<T: Into<String>>(addresses: impl IntoIterator<Item = T>) -> Self {
        Self(watch::Sender::new(addresses.into_iter().map(T::into).collect()))
    }
}

impl Discovery for StaticList {
    fn addresses(&self) -> watch::Receiver<BTreeSet<String>> {
        self.0.subscribe()
    }
}
