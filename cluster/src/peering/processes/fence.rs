//! Asks a peer whether what its session had to write is on its way.
//!
//! The session of a peer keeps its answers in memory until they are written, and nothing tells how many. So this node sends a
//! number, and the pipe of the peer sends it back when the session has finished the batch that it was writing. All that the
//! peer had queued *before* that batch has left then; what came during it is in the next one.

use parking_lot::Mutex;

use crate::environment::watch;

/// One number is under way at a time, whoever waits for it.
#[derive(Debug, Default)]
pub(super) struct Fence {
    asked: Mutex<u64>,
    heard: watch::Sender<u64>,
}

impl Fence {
    /// Returns when the peer has answered a number that was sent after this began. `send` sends one.
    pub(super) async fn passed(&self, send: impl Fn(u64)) {
        // One that is under way may have been answered before this began.
        let (mut heard, target) = (self.heard.subscribe(), *self.asked.lock() + 1);
        loop {
            let last = *heard.borrow_and_update();
            if last >= target {
                return;
            }
            self.send_after(last, &send);
            if heard.changed().await.is_err() {
                return;
            }
        }
    }

    /// The peer sent a number back.
    pub(super) fn hear(&self, number: u64) {
        // It answers what was asked, or nothing.
        let is_asked = number == *self.asked.lock();
        self.heard.send_if_modified(|heard| is_asked && std::mem::replace(heard, number) != number);
    }

    fn send_after(&self, heard: u64, send: impl Fn(u64)) {
        let mut asked = self.asked.lock();
        if *asked == heard {
            *asked += 1;
            send(*asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_comes_while_a_number_is_under_way_waits_for_the_next() {
        let (fence, sent) = (Fence::default(), AtomicU64::new(0));
        let send = |number| sent.store(number, Relaxed);
        let (mut first, mut second) = (Box::pin(fence.passed(send)), Box::pin(fence.passed(send)));
        assert!((&mut first).now_or_never().is_none() && sent.load(Relaxed) == 1);
        assert!((&mut second).now_or_never().is_none() && sent.load(Relaxed) == 1);
        // What was not asked is not heard.
        fence.hear(2);
        assert!((&mut first).now_or_never().is_none());
        fence.hear(1);
        assert!((&mut first).now_or_never().is_some());
        assert!((&mut second).now_or_never().is_none() && sent.load(Relaxed) == 2);
        fence.hear(2);
        assert!((&mut second).now_or_never().is_some());
    }
}
