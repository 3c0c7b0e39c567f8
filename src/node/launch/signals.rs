//! SIGTERM and Ctrl-C; and the end of whoever started this process.

use std::io::Read;

use playhouse_cluster::environment::{Environment, watch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::LaunchError;

/// The signals that ask the node to leave.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    orphaned: watch::Receiver<bool>,
    /// The end of standard input was heard before any signal. Whoever ends it may have sent one as well, to say the same.
    is_one_owed: bool,
}

impl Signals {
    /// With `leave_with_parent`, the end of standard input counts as a first signal.
    pub(super) fn listen(leave_with_parent: bool, environment: &Environment) -> Result<Self, LaunchError> {
        let failed = |source| LaunchError::Io { what: "listen for signals".to_owned(), source };
        let listen = |kind| signal(kind).map_err(failed);
        let (tell, orphaned) = watch::channel(false);
        if leave_with_parent {
            // A thread of its own: it blocks until the end, and must not keep the process.
            drop(environment.thread("playhouse-stdin", move || wait_for_end(&tell)).map_err(failed)?);
        }
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            orphaned,
            is_one_owed: false,
        })
    }

    /// Returns when the first request to leave came.
    pub(super) async fn first(&mut self) {
        let mut orphaned = self.orphaned.clone();
        let orphaned = async {
            if orphaned.wait_for(|is| *is).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.signal() => {}
            () = orphaned => {
                self.is_one_owed = true;
                tracing::info!("whoever started this process is gone, or wants it to leave");
            }
        }
    }

    /// Returns when another request to leave came, after the [first](Self::first).
    pub(super) async fn second(&mut self) {
        if self.is_one_owed {
            self.signal().await;
            self.is_one_owed = false;
        }
        self.signal().await;
    }

    async fn signal(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Whatever is written there means nothing.
fn wait_for_end(tell: &watch::Sender<bool>) {
    let mut input = std::io::stdin().lock();
    let mut ignored = [0; 64];
    loop {
        match input.read(&mut ignored) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    tell.send_replace(true);
}
