//! Somebody else in the cluster: has an address, a namespace and labels, and is subject to the policies as everybody is.

use std::{fmt, io, net::Ipv4Addr, sync::Arc};

use tokio::runtime::{EnterGuard, Runtime};

use super::{network::Place, space::Inside};
use crate::executor::{objects::meta::Labels, policy::Party};

/// What the network knows of it.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) place: Place,
    namespace: String,
    labels: Labels,
}

/// Somebody else. What it runs opens its connections from its own address.
pub struct Outsider {
    guest: Arc<Guest>,
    runtime: Option<Runtime>,
}

impl Guest {
    pub(super) fn new(place: Place, namespace: String, labels: Labels) -> Self {
        Self { place, namespace, labels }
    }

    pub(super) fn party(&self) -> Party {
        Party {
            address: self.place.address,
            namespace: self.namespace.clone(),
            labels: self.labels.clone(),
            container: None,
        }
    }
}

impl Outsider {
    pub(super) fn new(guest: Arc<Guest>, runtime: Runtime) -> Self {
        Self { guest, runtime: Some(runtime) }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.guest.place.address
    }

    /// Runs this as it, on this thread and on its own ones.
    ///
    /// # Errors
    ///
    /// When this thread may not be where it is.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        let _inside = self.inside()?;
        Ok(self.runtime().block_on(future))
    }

    /// From now on this thread is where it is, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// When this thread may not be there.
    pub fn inside(&self) -> io::Result<Inside> {
        self.guest.place.space.enter()
    }

    /// Until the guard is dropped, tasks that this thread starts are its own.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime().enter()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken when this is dropped")
    }
}

impl fmt::Debug for Outsider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outsider").field("guest", &self.guest).finish_non_exhaustive()
    }
}

/// In a test that is asynchronous itself, a runtime must not wait for its threads.
impl Drop for Outsider {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
