//! Looks at all peers again and again: asks each whether it is there, closes what does not answer.

use std::{collections::BTreeSet, sync::Arc};

use crate::environment::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::link::{Link, close_all};

/// Runs until it is dropped.
pub(super) async fn run(link: Arc<Link>, discovered: watch::Receiver<BTreeSet<String>>) {
    let mut ticks = interval(link.config.ping_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = link.environment.now();
    loop {
        ticks.tick().await;
        let now = link.environment.now();
        // After a pause of this process its peers look silent: what they said meanwhile is still to be read.
        if now - last < link.config.suspect_after {
            look(&link, &discovered);
        }
        last = now;
    }
}

fn look(link: &Link, discovered: &watch::Receiver<BTreeSet<String>>) {
    let look = link.table.look(&discovered.borrow(), link.now_ms());
    link.statistics.silent_closed.add(look.silent.len() as u64);
    link.statistics.stalled_closed.add(look.stalled.len() as u64);
    close_all(look.silent, "the peer is silent");
    close_all(look.stalled, "the lane does not answer");
    look.ask.iter().for_each(|session| link.ping(session));
}
