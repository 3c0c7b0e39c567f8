//! Processes that are started on another node.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use playhouse_cluster::environment::Environment;

use super::stage::*;
use crate::process::{
    ExitReason, Mailbox, Process,
    distribution::{Config, Distribution, SpawnOnError},
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

/// A process that computes for a long time once held up the link, and with it the heartbeats.
#[test]
fn processes_for_others_run_where_user_code_may() {
    let runtime = |name: &str| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(name).enable_all().build().unwrap()
    };
    let (core, executors) = (runtime("core"), runtime("executors"));
    let environment = Environment::real(core.handle().clone(), executors.handle().clone());
    core.block_on(environment.spawn({
        let environment = environment.clone();
        async move {
            let start = |node| Distribution::new(home(node, 1), Config::default(), environment.clone());
            let (one, other) = (start(1), start(2));
            let _lane = Lane::open(&one, &other);
            let made = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&made);
            one.spawnable("listener", Mailbox::default(), move |_: String| {
                assert_eq!(std::thread::current().name(), Some("executors"));
                counted.fetch_add(1, SeqCst);
                (Listener, String::new())
            });
            for from in [&one, &other] {
                spawn(from, &one, "listener", "").await.unwrap();
            }
            assert_eq!(made.load(SeqCst), 2);
        }
    }))
    .unwrap();
}

/// One that hangs while it starts.
#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_gives_its_place_back() {
    struct Hangs;
    impl ractor::Actor for Hangs {
        type Msg = Say;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ractor::ActorRef<Say>,
            (): (),
        ) -> Result<(), ractor::ActorProcessingErr> {
            std::future::pending().await
        }
    }
    let one = start(1, 1, Config { spawns_max: 1, ..Config::default() });
    let other = node(2);
    let _lane = Lane::open(&one, &other);
    one.spawnable("hangs", Mailbox::default(), |_: String| (Hangs, ()));
    can_spawn(&one);
    let hung = other.spawn_on::<_, Say>(one.home().node, "hangs", &"", SECOND).await;
    assert_eq!(hung, Err(SpawnOnError::Timeout));
    assert_eq!(spawn(&other, &one, "listener", "").await, Err(SpawnOnError::Full));
    tokio::time::sleep(PATIENCE).await;
    assert!(spawn(&other, &one, "listener", "").await.is_ok());
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
