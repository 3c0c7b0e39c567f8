//! Bounds, counts, order and policies of a mailbox.

use std::sync::Arc;

use futures_util::{FutureExt, future::join_all};
use proptest::prelude::*;

use super::*;

/// Messages weigh what they are.
fn queue(policy: Policy, messages_max: usize, bytes_max: usize) -> Queue<usize> {
    let rules = Mailbox::new(policy).messages_max(messages_max).bytes_max(bytes_max);
    Queue::new(rules.weigh(|weight| *weight))
}

fn drain(queue: &Queue<usize>) -> Vec<usize> {
    std::iter::from_fn(|| queue.take()).collect()
}

#[test]
fn one_message_too_many_is_refused_and_counted() {
    let queue = queue(Policy::Refuse, 2, 100);
    queue.try_push(1).unwrap();
    queue.try_push(2).unwrap();
    assert_eq!(queue.try_push(3), Err(Rejected::Full(3)));
    assert_eq!(queue.stats(), MailboxStats { messages: 2, bytes: 3, refused: 1, ..MailboxStats::default() });
    assert_eq!(drain(&queue), [1, 2]);
    queue.try_push(3).unwrap();
}

#[test]
fn one_byte_too_many_is_refused() {
    let queue = queue(Policy::Refuse, 100, 10);
    queue.try_push(6).unwrap();
    assert_eq!(queue.try_push(5), Err(Rejected::Full(5)));
    queue.try_push(4).unwrap();
    queue.take().unwrap();
    queue.try_push(5).unwrap();
}

#[test]
fn a_message_that_can_never_fit_is_refused_by_each_policy() {
    for policy in [Policy::Wait, Policy::Refuse, Policy::DropOldest] {
        let queue = queue(policy, 100, 10);
        queue.try_push(1).unwrap();
        assert_eq!(queue.try_push(11), Err(Rejected::TooLarge));
        assert_eq!(queue.push(11).now_or_never(), Some(Err(Rejected::TooLarge)));
        assert_eq!(queue.stats().refused, 2);
        assert_eq!(drain(&queue), [1]);
    }
}

#[test]
fn the_oldest_make_room_for_the_newest_and_are_counted() {
    let queue = queue(Policy::DropOldest, 3, 10);
    for message in [4, 3, 2] {
        queue.try_push(message).unwrap();
    }
    queue.try_push(5).unwrap();
    assert_eq!(queue.stats().dropped, 1);
    queue.try_push(9).unwrap();
    assert_eq!(queue.stats().dropped, 4);
    assert_eq!(drain(&queue), [9]);
}

#[test]
fn notices_are_not_counted_and_are_not_dropped() {
    let queue = queue(Policy::DropOldest, 1, 10);
    assert!(queue.push_notice(7, None));
    queue.try_push(1).unwrap();
    assert!(queue.push_notice(8, None));
    queue.try_push(2).unwrap();
    assert_eq!(queue.stats().messages, 1);
    assert_eq!(drain(&queue), [7, 8, 2]);
}

#[tokio::test]
async fn senders_that_wait_are_served_in_their_order_and_not_overtaken() {
    let queue = Arc::new(queue(Policy::Wait, 1, 10));
    queue.push(1).await.unwrap();
    let heavy = queue.push(10);
    tokio::pin!(heavy);
    assert!(heavy.as_mut().now_or_never().is_none());
    let light = queue.push(2);
    tokio::pin!(light);
    assert!(light.as_mut().now_or_never().is_none());
    assert_eq!(queue.try_push(3), Err(Rejected::Full(3)));

    assert_eq!(queue.take(), Some(1));
    assert_eq!(queue.try_push(3), Err(Rejected::Full(3)), "it would overtake those who wait");
    assert!(light.as_mut().now_or_never().is_none());
    heavy.await.unwrap();
    assert_eq!(queue.take(), Some(10));
    light.await.unwrap();
    assert_eq!(queue.take(), Some(2));
}

/// However heavy the messages and whoever waits: all of them come through, in the order of each sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_that_waits_comes_through() {
    for (messages_max, bytes_max) in [(1, 7), (4, 7), (5, 20), (100, 7)] {
        let queue = Arc::new(queue(Policy::Wait, messages_max, bytes_max));
        let senders = (0..4).map(|_| {
            let queue = Arc::clone(&queue);
            playhouse_cluster::environment::spawn_here(async move {
                for number in 0..300 {
                    queue.push(number % 8).await.unwrap();
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        let mut taken = 0;
        while taken < 1_200 {
            taken += usize::from(queue.take().is_some());
            tokio::task::yield_now().await;
        }
        for sender in senders {
            sender.await.unwrap();
        }
        assert_eq!((queue.stats().messages, queue.stats().refused), (0, 0));
    }
}

#[tokio::test]
async fn a_sender_that_gives_up_waiting_makes_way() {
    let queue = queue(Policy::Wait, 1, 10);
    queue.push(1).await.unwrap();
    assert!(queue.push(10).now_or_never().is_none());
    queue.take().unwrap();
    queue.push(2).await.unwrap();
}

/// A sender that does not wait is not refused because another one is just sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_refused_while_there_is_room() {
    let queue = Arc::new(queue(Policy::Wait, 100_000, usize::MAX));
    let senders = (0..4).map(|number| {
        let queue = Arc::clone(&queue);
        playhouse_cluster::environment::spawn_here(async move {
            for _ in 0..2_000 {
                let sent = if number % 2 == 0 { queue.try_push(1) } else { queue.push(1).await };
                sent.unwrap();
            }
        })
    });
    for sender in join_all(senders).await {
        sender.unwrap();
    }
    assert_eq!(queue.stats().messages, 8_000);
}

#[tokio::test]
async fn those_who_wait_are_told_when_the_mailbox_closes() {
    let queue = queue(Policy::Wait, 1, 10);
    queue.push(1).await.unwrap();
    let waiting = join_all((0..3).map(|_| queue.push(1)));
    let close = async { queue.close() };
    let (waiting, ()) = tokio::join!(waiting, close);
    assert!(waiting.into_iter().all(|answer| answer == Err(Rejected::Closed)));
    assert_eq!(queue.stats().dead_letters, 1);
    assert_eq!(queue.take(), None);
}

#[test]
fn what_is_taken_back_gives_its_room_back() {
    let queue = queue(Policy::Refuse, 1, 10);
    let letter = queue.try_push(10).unwrap();
    assert!(queue.take_back(letter));
    assert!(!queue.take_back(letter));
    queue.try_push(10).unwrap();
}

proptest! {
    /// Whatever is sent and taken: the bounds hold, the counts are right, and what comes out is in order.
    #[test]
    fn bounds_counts_and_order_hold(
        drops in any::<bool>(),
        messages_max in 1_usize..6,
        bytes_max in 1_usize..40,
        steps in prop::collection::vec(prop::option::weighted(0.7, 0_usize..30), 0..200),
    ) {
        let policy = if drops { Policy::DropOldest } else { Policy::Refuse };
        let queue = queue(policy, messages_max, bytes_max);
        let mut model: VecDeque<usize> = VecDeque::new();
        let (mut accepted, mut taken) = (0, 0);
        for step in steps {
            match step {
                Some(weight) => if queue.try_push(weight).is_ok() {
                    accepted += 1;
                    model.push_back(weight);
                    while model.len() > messages_max || model.iter().sum::<usize>() > bytes_max {
                        model.pop_front();
                    }
                },
                None => {
                    let message = queue.take();
                    prop_assert_eq!(message, model.pop_front());
                    taken += u64::from(message.is_some());
                }
            }
            let stats = queue.stats();
            prop_assert!(stats.messages <= messages_max && stats.bytes <= bytes_max);
            prop_assert_eq!((stats.messages, stats.bytes), (model.len(), model.iter().sum()));
            prop_assert_eq!(accepted, taken + stats.dropped + stats.messages as u64);
        }
    }
}
