//! Wake from the store: a read of an entity that was passivated, beside the same read of one that is awake.

use std::{path::Path, time::Duration};

use playhouse::kinds::{Counter, counter::Command};
use playhouse_cluster::store::EngineKind;
use tokio::time::Instant;

use super::{key, volume};
use crate::{
    Effort, Figures, Unit,
    node::{TestNode, settings},
    table::name,
};

const ENTITIES: usize = 10_000;
const CALLERS: usize = 64;
const IDLE: Duration = Duration::from_millis(500);

pub(super) fn run(folder: &Path, effort: Effort, figures: &mut Figures) {
    let volume = volume(folder);
    let mut settings = settings(volume.path(), EngineKind::Fjall);
    settings.shard.passivate_after = IDLE;
    let node = TestNode::start(&settings);
    call_all(&node, &Command::Add(7));
    for _ in 0..effort.runs {
        wait_until_all_sleep(&node);
        for who in ["Playhouse, woken from the store", "Playhouse, awake"] {
            let rate = call_all(&node, &Command::Get {});
            figures.note(name(&format!("read, {CALLERS} callers"), who), Unit::PerSecond, rate);
        }
    }
    node.stop();
}

/// Calls each entity once.
fn call_all(node: &TestNode, command: &Command) -> f64 {
    let started = Instant::now();
    node.each(0..CALLERS, |caller| {
        let own = (caller..ENTITIES).step_by(CALLERS).map(|number| node.entity::<Counter>(&key(number)));
        let (own, command): (Vec<_>, _) = (own.collect(), command.clone());
        async move {
            for counter in own {
                let reply = counter.call(&command).await.expect("the node is healthy");
                assert_eq!(reply.value, 7, "the state comes from the store");
            }
        }
    });
    ENTITIES as f64 / started.elapsed().as_secs_f64()
}

fn wait_until_all_sleep(node: &TestNode) {
    while node.metrics().resident_bytes.get() > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    // What is counted is up to a second old.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(node.metrics().resident_bytes.get(), 0);
}
