//! Entities that live in memory alone, around moves of their shard.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Beacon, SECOND, beacon};
use crate::{
    entity::Entity,
    protocol::{CallError, Key, KindName, Published},
    shard::Message,
    testing::Stage,
};

fn flash(stage: &mut Stage, key: &str) -> u64 {
    stage.call::<Beacon>(key, &beacon::Command::Flash(1)).unwrap();
    stage.take_published().pop().unwrap().revision
}

/// It began at 1 again after each move, and whoever asked for what follows heard nothing until it came to where it had been.
#[test]
fn what_is_published_after_a_move_follows_what_was_published_before() {
    let mut stage = Stage::of::<Beacon>();
    let mut last = 0;
    for _ in 0..3 {
        for key in ["a", "b", "a"] {
            let revision = flash(&mut stage, key);
            assert!(revision > last, "{revision} comes after {last}");
            last = revision;
        }
        stage.fail_over();
    }
    assert!(last < 1 << 53, "every reader of JSON takes it for what it is");
}

/// It would hear nothing until the shard has counted so far.
#[test]
fn what_is_in_memory_cannot_be_subscribed_to_behind_a_revision_that_there_is_not() {
    let mut stage = Stage::of::<Beacon>();
    let last = flash(&mut stage, "a");
    let mut subscribe = |after| {
        let ((subscriber, items), (reply, mut begun)) = (mpsc::channel(1), oneshot::channel());
        let (kind, key) = (KindName::new(Beacon::KIND).unwrap(), Key::new("a").unwrap());
        stage.deliver(Message::Subscribe { kind, key, after, subscriber, reply });
        (begun.try_recv().unwrap(), items)
    };
    let subscribed = [None, Some(0), Some(last)].map(&mut subscribe);
    assert!(subscribed.iter().all(|(begun, _)| *begun == Ok(last)));
    let told = subscribed.map(|(_, mut items)| items.try_recv().ok());
    let gap = Published::Gap { first: last + 1 };
    assert_eq!(told, [None, Some(gap), None], "nothing is kept, and nothing is skipped in silence");
    let (refused, mut items) = subscribe(Some(last + 1));
    assert!(matches!(refused, Err(CallError::Subscription { .. })), "{refused:?}");
    assert!(items.try_recv().is_err());
}

/// There was no bound, and to set one looked at all of them.
#[test]
fn a_shard_has_a_bounded_number_of_timers_in_memory_and_setting_one_is_quick() {
    let mut stage = Stage::of::<Beacon>();
    let later = |name: u32, after: Duration| beacon::Command::Later(name.to_string(), after);
    for name in 0..100 {
        stage.call::<Beacon>("a", &later(name, SECOND)).unwrap();
    }
    let refused = stage.call::<Beacon>("a", &later(100, SECOND));
    assert!(matches!(refused, Err(CallError::Overloaded { .. })), "{refused:?}");
    assert_eq!(stage.timers().len(), 100_000);
    flash(&mut stage, "a");

    stage.advance(SECOND);
    assert_eq!((stage.take_published().len(), stage.timers().len()), (100_000, 0));
    stage.call::<Beacon>("a", &later(100, SECOND)).unwrap();
}
