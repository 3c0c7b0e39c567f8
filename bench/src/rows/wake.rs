//! Wake from the store: a read of an entity that was passivated, beside the same read of one that is awake.

use std::{path::Path, time::Duration};

use playhouse::{
    entity::Entity,
    kinds::{Counter, counter::Command},
    telemetry::Metrics,
};
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
    let mut passivated = 0;
    for _ in 0..effort.runs {
        passivated = wait_until_all_sleep(&node, passivated);
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

/// Returns how many were ever put to sleep. Only that they are more than `before` by all of them tells that those who are awake were
/// counted after they were called.
fn wait_until_all_sleep(node: &TestNode, before: u64) -> u64 {
    let passivated = |metrics: &Metrics| metrics.passivations.with_label_values(&[Counter::KIND]).get();
    node.wait_until_counted("entities that nobody calls sleep", |metrics| {
        passivated(metrics) >= before + ENTITIES as u64 && metrics.resident_bytes.get() == 0
    });
    passivated(node.metrics())
}
