//! Accepts connections: many at a time, each with little memory and little time until it is proved.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    handshake::{Channel, HandshakeError},
    link::Link,
};
use crate::environment::{Connection, Listener};

/// How long to wait when the system has no more connections to give: usually file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs until it is dropped.
pub(super) async fn run(link: Arc<Link>, mut listener: Box<dyn Listener>) {
    let half_open = Arc::new(Semaphore::new(link.config.half_open_max));
    loop {
        match listener.accept().await {
            Ok((connection, from)) => accept(&link, &half_open, connection, from),
            Err(error) => {
                link.notices.failed("listener", &error);
                sleep(PAUSE).await;
            }
        }
    }
}

/// Starts the handshake, unless too many are under way: then the connection is closed by dropping it.
fn accept(link: &Arc<Link>, half_open: &Arc<Semaphore>, connection: Box<dyn Connection>, from: String) {
    link.statistics.accepted.increment();
    let Ok(permit) = Arc::clone(half_open).try_acquire_owned() else {
        link.statistics.half_open_refused.increment();
        return;
    };
    let accepting = Arc::clone(link);
    link.tasks.spawn_until_stop(async move {
        let shaking = shake(&accepting, connection, &from);
        let outcome = timeout(accepting.config.handshake_timeout, shaking).await;
        drop(permit);
        if let Err(error) = outcome.unwrap_or(Err(HandshakeError::Timeout)) {
            count(&accepting, &error);
            if !matches!(error, HandshakeError::Refused(_) | HandshakeError::RefusedByPeer(_)) {
                accepting.notices.failed(&from, &error);
            }
        }
    });
}

async fn shake(link: &Arc<Link>, connection: Box<dyn Connection>, from: &str) -> Result<(), HandshakeError> {
    let cookies = link.cookies.cookies();
    let channel = Channel::accept(connection, &cookies, link.config.hello_bytes_max).await?;
    link.welcome(channel, from).await.map(drop)
}

fn count(link: &Link, error: &HandshakeError) {
    let statistics = &link.statistics;
    match error {
        HandshakeError::Unauthenticated => statistics.authentication_failures.increment(),
        HandshakeError::Unproven => statistics.unproven.increment(),
        HandshakeError::Timeout => statistics.handshake_timeouts.increment(),
        HandshakeError::TooLong(_) | HandshakeError::Hello(_) | HandshakeError::Io(_) => {
            statistics.garbage_handshakes.increment();
        }
        HandshakeError::Unanswered | HandshakeError::Refused(_) | HandshakeError::RefusedByPeer(_) => {}
    }
}
