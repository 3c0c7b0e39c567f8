//! SIGTERM and Ctrl-C; and the end of whoever started this process.

use std::{io::Read, time::Duration};

use playhouse_cluster::environment::{Environment, watch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::LaunchError;

/// How long after the end of the input a signal says the same. A later one is from somebody who does not want to wait.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// The signals that ask the node to leave.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    orphaned: watch::Receiver<bool>,
    /// Set when the end of standard input was heard before any signal. Whoever ends it may send one as well, to say the same;
    /// it counts as another request from then on.
    owed_until: Option<Instant>,
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
            owed_until: None,
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
                self.owed_until = Some(Instant::now() + SAME_REQUEST);
                tracing::info!("whoever started this process is gone, or wants it to leave");
            }
        }
    }

    /// Returns when another request to leave came, after the [first](Self::first).
    pub(super) async fn second(&mut self) {
        second(self.owed_until.take(), async || self.signal().await).await;
    }

    async fn signal(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn second(owed_until: Option<Instant>, mut signal: impl AsyncFnMut()) {
    if let Some(until) = owed_until
        && tokio::time::timeout_at(until, signal()).await.is_ok()
    {
        tracing::info!("a signal says the same as the end of the input; another one stops the node at once");
    }
    signal().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes until signals that come at these seconds stop the node.
    async fn stops_after(owed: bool, signals: &[u64]) -> Duration {
        let began = Instant::now();
        let mut signals = signals.iter().map(|seconds| began + Duration::from_secs(*seconds));
        let owed_until = owed.then(|| began + SAME_REQUEST);
        // One that is not awaited to its end is still there for the next who waits.
        let mut next = signals.next();
        let signal = async || {
            tokio::time::sleep_until(next.expect("there is another")).await;
            next = signals.next();
        };
        second(owed_until, signal).await;
        began.elapsed()
    }

    /// A signal long after the end of the input was taken for the same request, and nothing was said of it.
    #[tokio::test(start_paused = true)]
    async fn only_a_signal_close_to_the_end_of_the_input_says_the_same() {
        let seconds = Duration::from_secs;
        assert_eq!(stops_after(true, &[1, 9]).await, seconds(9));
        assert_eq!(stops_after(true, &[1, 1]).await, seconds(1), "two of them");
        assert_eq!(stops_after(true, &[5, 9]).await, seconds(5));
        assert_eq!(stops_after(false, &[1, 9]).await, seconds(1));
    }
}
