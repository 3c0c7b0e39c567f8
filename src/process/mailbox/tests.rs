//! Bounds, counts, order and policies of a mailbox.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::{FutureExt, future::join_all};
use proptest::prelude::*;

use super::*;

/// Messages weigh what they are.
fn queue(policy: Policy, messages_max: usize, bytes_max: usize) -> Queue<usize> {
    let rules = Mailbox::new(policy).messages_max(messages_max).bytes_max(bytes_max);
    Queue::new(rules.weigh(|weight| *weight))
}

/// The monitor whose notice a message is.
fn asked(monitor: u64) -> Asked {
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    Asked::new(MonitorId(monitor), permit)
}

fn take(queue: &Queue<usize>) -> Option<usize> {
    match queue.take().0 {
        Taken::Message(message) => Some(message),
        Taken::Nothing | Taken::Drained => None,
    }
}

fn drain(queue: &Queue<usize>) -> Vec<usize> {
    std::iter::from_fn(|| take(queue)).collect()
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
    take(&queue).unwrap();
    queue.try_push(5).unwrap();
}

#[test]
fn a_message_that_can_never_fit_is_refused_by_each_policy() {
    for policy in [Policy::Wait, Policy::Refuse, Policy::DropOldest] {
        let queue = queue(policy, 100, 10);
        queue.try_push(1).unwrap();
        assert_eq!(queue.try_push(11), Err(Rejected::TooLarge(11)));
        assert_eq!(queue.push(11, || true).now_or_never(), Some(Err(Rejected::TooLarge(11))));
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
    assert!(queue.push_notice(7, None).is_ok());
    queue.try_push(1).unwrap();
    assert!(queue.push_notice(8, None).is_ok());
    queue.try_push(2).unwrap();
    assert_eq!(queue.stats().messages, 1);
    assert_eq!(drain(&queue), [7, 8, 2]);
}

#[tokio::test]
async fn senders_that_wait_are_served_in_their_order_and_not_overtaken() {
    let queue = Arc::new(queue(Policy::Wait, 1, 10));
    queue.push(1, || true).await.unwrap();
    let heavy = queue.push(10, || true);
    tokio::pin!(heavy);
    assert!(heavy.as_mut().now_or_never().is_none());
    let light = queue.push(2, || true);
    tokio::pin!(light);
    assert!(light.as_mut().now_or_never().is_none());
    assert_eq!(queue.try_push(3), Err(Rejected::Full(3)));

    assert_eq!(take(&queue), Some(1));
    assert_eq!(queue.try_push(3), Err(Rejected::Full(3)), "it would overtake those who wait");
    assert!(light.as_mut().now_or_never().is_none());
    heavy.await.unwrap();
    assert_eq!(take(&queue), Some(10));
    light.await.unwrap();
    assert_eq!(take(&queue), Some(2));
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
                    queue.push(number % 8, || true).await.unwrap();
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        let mut taken = 0;
        while taken < 1_200 {
            taken += usize::from(take(&queue).is_some());
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
    queue.push(1, || true).await.unwrap();
    assert!(queue.push(10, || true).now_or_never().is_none());
    take(&queue).unwrap();
    queue.push(2, || true).await.unwrap();
}

/// A sender that does not wait is not refused because another one is just sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_refused_while_there_is_room() {
    let queue = Arc::new(queue(Policy::Wait, 100_000, usize::MAX));
    let senders = (0..4).map(|number| {
        let queue = Arc::clone(&queue);
        playhouse_cluster::environment::spawn_here(async move {
            for _ in 0..2_000 {
                let sent = if number % 2 == 0 { queue.try_push(1) } else { queue.push(1, || true).await };
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
    queue.push(1, || true).await.unwrap();
    let waiting = join_all((0..3).map(|_| queue.push(1, || true)));
    let close = async { queue.close() };
    let (waiting, ()) = tokio::join!(waiting, close);
    assert!(waiting.into_iter().all(|answer| answer == Err(Rejected::Closed(1))));
    assert_eq!(queue.stats().dead_letters, 1);
    assert_eq!(take(&queue), None);
}

/// A mailbox whose bell counts its tokens, and whether it still takes some.
fn with_bell(policy: Policy, messages_max: usize) -> (Queue<usize>, Arc<(AtomicUsize, AtomicBool)>) {
    let queue = queue(policy, messages_max, usize::MAX);
    let tokens = Arc::new((AtomicUsize::new(0), AtomicBool::new(true)));
    let rung = Arc::clone(&tokens);
    queue.open(Box::new(move || {
        let open = rung.1.load(SeqCst);
        rung.0.fetch_add(usize::from(open), SeqCst);
        open
    }));
    (queue, tokens)
}

/// `ractor`'s mailbox has no bound: a flood at a handler that hangs would grow it for ever.
#[test]
fn messages_that_make_room_leave_no_tokens_behind() {
    let (queue, tokens) = with_bell(Policy::DropOldest, 2);
    for message in 0..10_000 {
        queue.try_push(message).unwrap();
    }
    assert_eq!(tokens.0.load(SeqCst), 1);
    assert_eq!(drain(&queue), [9_998, 9_999]);
    assert_eq!(tokens.0.load(SeqCst), 2, "the second came when the first was taken");
    queue.try_push(1).unwrap();
    assert_eq!(tokens.0.load(SeqCst), 3);
}

#[test]
fn notices_that_are_taken_back_leave_no_tokens_behind() {
    let (queue, tokens) = with_bell(Policy::Refuse, 2);
    for monitor in 0..10_000 {
        assert!(queue.push_notice(1, Some(asked(monitor))).is_ok());
        assert!(queue.flush(MonitorId(monitor)));
    }
    assert_eq!(tokens.0.load(SeqCst), 1);
    assert_eq!(queue.take(), (Taken::Nothing, Next::ByToken));
    queue.try_push(7).unwrap();
    assert_eq!(tokens.0.load(SeqCst), 2);
    assert_eq!(queue.take(), (Taken::Message(7), Next::ByToken));
    assert_eq!(tokens.0.load(SeqCst), 2);
}

#[test]
fn a_message_whose_token_is_refused_comes_back_and_is_the_last() {
    let (queue, tokens) = with_bell(Policy::Refuse, 2);
    tokens.1.store(false, SeqCst);
    assert_eq!(queue.try_push(1), Err(Rejected::Closed(1)));
    assert_eq!(queue.stats(), MailboxStats::default());
    tokens.1.store(true, SeqCst);
    assert_eq!(queue.try_push(2), Err(Rejected::Closed(2)));
    assert!(queue.push_notice(3, None).is_err());
}

/// `ractor` takes no tokens any more, but handles what it has.
#[test]
fn what_waits_is_taken_at_once_when_no_token_can_be_given_for_it() {
    let (queue, tokens) = with_bell(Policy::Refuse, 3);
    (1..=3).for_each(|message| queue.try_push(message).unwrap());
    tokens.1.store(false, SeqCst);
    assert_eq!(queue.take(), (Taken::Message(1), Next::AtOnce));
    assert_eq!(queue.take(), (Taken::Message(2), Next::AtOnce));
    assert_eq!(queue.try_push(4), Err(Rejected::Closed(4)));
    assert_eq!(queue.take(), (Taken::Message(3), Next::ByToken));
    assert_eq!(queue.take().0, Taken::Nothing);
}

/// A process that is woken on another thread would wait for the lock there.
#[test]
fn tokens_are_given_outside_of_the_lock() {
    let queue = Arc::new(queue(Policy::Wait, 2, 10));
    let itself = Arc::downgrade(&queue);
    queue.open(Box::new(move || {
        assert!(itself.upgrade().is_some_and(|queue| !queue.letters.is_locked()));
        true
    }));
    queue.push(1, || true).now_or_never().unwrap().unwrap();
    assert!(queue.push_notice(2, None).is_ok());
    queue.drain();
    assert_eq!(drain(&queue), [1, 2]);
}

/// Whoever takes only with a token, one at a time, takes everything, and there is never more than one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_is_a_token_while_something_waits() {
    const SENDERS: usize = 3;
    const EACH: usize = 2_000;
    let (queue, tokens) = (Arc::new(queue(Policy::Wait, 8, usize::MAX)), Arc::new(Semaphore::new(0)));
    let rung = Arc::clone(&tokens);
    queue.open(Box::new(move || {
        rung.add_permits(1);
        true
    }));
    for _ in 0..SENDERS {
        let queue = Arc::clone(&queue);
        playhouse_cluster::environment::spawn_here(async move {
            for number in 0..EACH {
                queue.push(number, || true).await.unwrap();
            }
        });
    }
    for _ in 0..SENDERS * EACH {
        let token = tokio::time::timeout(std::time::Duration::from_secs(60), tokens.acquire()).await;
        token.expect("something waits").unwrap().forget();
        assert_eq!(tokens.available_permits(), 0);
        assert!(matches!(queue.take().0, Taken::Message(_)), "a token comes with a message");
    }
}

#[test]
fn a_mailbox_that_drains_takes_notices_until_the_last_message_is_taken() {
    let (queue, tokens) = with_bell(Policy::Refuse, 2);
    queue.try_push(1).unwrap();
    queue.drain();
    queue.drain();
    assert_eq!(queue.try_push(2), Err(Rejected::Closed(2)));
    assert!(queue.push_notice(3, None).is_ok());
    assert_eq!(drain(&queue), [1, 3]);
    assert_eq!(tokens.0.load(SeqCst), 3, "one each, and one for the end, which was taken");
    assert!(queue.push_notice(4, None).is_err());
}

/// A message that is somewhere else when the lock of its mailbox is held, and must be.
struct Free(Weak<Queue<Free>>);

impl Free {
    fn look(&self) {
        if let Some(queue) = self.0.upgrade() {
            assert!(!queue.letters.is_locked(), "it would wait for itself for ever");
        }
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        self.look();
    }
}

/// A message may send to the very mailbox that does not take it, while it is weighed and when it is dropped.
#[test]
fn messages_are_weighed_and_dropped_outside_of_the_lock() {
    for policy in [Policy::Wait, Policy::Refuse, Policy::DropOldest] {
        // There is room for one, or they are all too heavy.
        for bytes_max in [1, 0] {
            let rules = Mailbox::new(policy).messages_max(1).bytes_max(bytes_max);
            send_all_that_can_be_refused(rules.weigh(|message: &Free| {
                message.look();
                1
            }));
        }
    }
}

fn send_all_that_can_be_refused(rules: Mailbox<Free>) {
    let queue = Arc::new(Queue::new(rules));
    let message = || Free(Arc::downgrade(&queue));
    for _ in 0..2 {
        drop(queue.try_push(message()));
        drop(queue.push(message(), || true).now_or_never());
    }
    assert!(queue.push_notice(message(), Some(asked(1))).is_ok());
    assert!(queue.flush(MonitorId(1)));
    drop(queue.take());
    queue.close_entrance();
    drop(queue.try_push(message()));
    drop(queue.push(message(), || true).now_or_never());
    assert!(queue.push_notice(message(), None).is_err());
    queue.close();
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
        // As `ractor` has them: nothing is taken without one.
        let tokens = Arc::new(AtomicUsize::new(0));
        let rung = Arc::clone(&tokens);
        queue.open(Box::new(move || { rung.fetch_add(1, SeqCst); true }));
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
                None if tokens.load(SeqCst) == 0 => {
                    prop_assert!(model.is_empty(), "nobody will ever take it");
                }
                None => {
                    tokens.fetch_sub(1, SeqCst);
                    let message = take(&queue);
                    prop_assert_eq!(message, model.pop_front());
                    taken += u64::from(message.is_some());
                }
            }
            let stats = queue.stats();
            prop_assert!(stats.messages <= messages_max && stats.bytes <= bytes_max);
            prop_assert!(tokens.load(SeqCst) <= 1);
            prop_assert_eq!((stats.messages, stats.bytes), (model.len(), model.iter().sum()));
            prop_assert_eq!(accepted, taken + stats.dropped + stats.messages as u64);
        }
    }
}
