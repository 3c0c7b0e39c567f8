//! Services that must not end while the node serves. One that does, by a panic or otherwise, takes the node down in
//! order: whoever started the process starts it again, with everything that was acknowledged.

use std::future::Future;

use playhouse_cluster::environment::{Environment, watch};
use tokio::task::JoinHandle;

/// Hears which service ended first.
#[derive(Clone)]
pub(super) struct Services {
    environment: Environment,
    ended: watch::Sender<Option<&'static str>>,
}

/// Tells that its service ended, however that came.
struct Ended {
    name: &'static str,
    tell: watch::Sender<Option<&'static str>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.tell.send_first(self.name);
    }
}

impl Services {
    pub(super) fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone(), ended: watch::channel(None).0 }
    }

    /// Starts a service.
    pub(super) fn start(
        &self,
        name: &'static str,
        service: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let ended = Ended { name, tell: self.ended.clone() };
        self.environment.spawn(async move {
            let _ended = ended;
            service.await;
        })
    }

    /// Returns when a service has ended, with why the node cannot go on.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.subscribe();
        let name = ended.wait_for(Option::is_some).await.ok().and_then(|name| *name);
        format!("the service {} ended by itself", name.unwrap_or("of this node"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_that_panics_is_noticed() {
        let services = Services::new(&Environment::simulated(1));
        let lasting = services.start("ops", std::future::pending());
        let failing = services.start("gateway", async { panic!("as the test wants") });
        assert_eq!(services.ended().await, "the service gateway ended by itself");
        assert!(failing.await.is_err());
        lasting.abort();
    }
}
