//! Processes that are started on another node.

use super::stage::*;
use crate::process::{
    ExitReason, Mailbox, Process,
    distribution::{Distribution, SpawnOnError},
};

fn can_spawn(node: &Distribution) {
    node.spawnable("listener", Mailbox::default(), |failure: String| (Listener, failure));
}

async fn spawn(
    from: &Distribution,
    on: &Distribution,
    kind: &str,
    with: &str,
) -> Result<Process<Say>, SpawnOnError> {
    from.spawn_on(on.home().node, kind, &with, PATIENCE).await
}

#[tokio::test]
async fn a_process_is_started_on_the_chosen_node() {
    let (one, other, _lane) = pair();
    can_spawn(&other);
    let process = spawn(&one, &other, "listener", "").await.unwrap();
    assert_eq!(process.id().home(), Some(other.home()));
    assert_eq!(process.call(Say::Heard, SECOND).await, Ok(Vec::new()));
    process.stop(ExitReason::Shutdown);
    assert_eq!(process.ended().await, ExitReason::Shutdown);

    can_spawn(&one);
    let here = spawn(&one, &one, "listener", "").await.unwrap();
    assert_eq!(here.id().home(), None, "it lives here");
    let anywhere: Process<Say> = one.spawn_anywhere("listener", &"", PATIENCE).await.unwrap();
    assert_eq!(anywhere.call(Say::Heard, SECOND).await, Ok(Vec::new()));
}

#[tokio::test]
async fn who_asks_learns_why_nothing_was_started() {
    let (one, other, lane) = pair();
    can_spawn(&other);
    let failed = SpawnOnError::Failed(ExitReason::Crashed("no disk".to_owned()));
    assert_eq!(spawn(&one, &other, "listener", "no disk").await, Err(failed));
    assert_eq!(spawn(&one, &other, "nothing", "").await, Err(SpawnOnError::NoSuchKind));
    let wrong = one.spawn_on::<_, Say>(other.home().node, "listener", &7_u8, PATIENCE).await;
    assert_eq!(wrong, Err(SpawnOnError::NotPortable));
    other.spawnable("broken", Mailbox::default(), |_: String| -> (Listener, String) { panic!("boom") });
    assert_eq!(spawn(&one, &other, "broken", "").await, Err(SpawnOnError::Failed(boom())));
    lane.cut().await;
    assert_eq!(spawn(&one, &other, "listener", "").await, Err(SpawnOnError::NoConnection));
}

/// What is asked for waits on a lane that stands still.
#[tokio::test(start_paused = true)]
async fn a_spawn_ends_at_its_deadline() {
    let (one, other, lane) = pair();
    can_spawn(&other);
    lane.hold();
    let spawned = one.spawn_on::<_, Say>(other.home().node, "listener", &"", SECOND).await;
    assert_eq!(spawned, Err(SpawnOnError::Timeout));
}
