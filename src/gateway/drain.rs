//! The sign to stop gracefully, given by the node and seen by every connection.

use playhouse_cluster::environment::watch;

/// Held by the node. Dropping it counts as [`start`](Self::start): nobody could give the sign any more.
#[derive(Debug)]
pub struct DrainSwitch(watch::Sender<bool>);

/// Held by everything that must finish. A cheap clone.
#[derive(Clone, Debug)]
pub struct DrainSignal(watch::Receiver<bool>);

/// A switch and its signal.
///
/// ```
/// let (switch, signal) = playhouse::gateway::drain();
/// assert!(!signal.is_given());
/// switch.start();
/// assert!(signal.is_given());
/// ```
#[must_use]
pub fn drain() -> (DrainSwitch, DrainSignal) {
    let (sender, receiver) = watch::channel(false);
    (DrainSwitch(sender), DrainSignal(receiver))
}

impl DrainSwitch {
    /// Asks everybody to finish. Cannot be taken back.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

impl DrainSignal {
    /// Whether the sign was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the sign.
    pub async fn given(&self) {
        let mut receiver = self.0.clone();
        // An error means that the switch is gone, which is a sign, too.
        let _ = receiver.wait_for(|given| *given).await;
    }
}
