//! References that travel.

use super::stage::*;
use crate::process::{CallError, CastError, Mailbox, Policy};

#[tokio::test]
async fn a_process_is_called_and_cast_from_another_node() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    assert_eq!(far.id().home(), Some(one.home()));
    assert_ne!(far, listener, "another node calls it by another id");
    far.cast(Say::Word("hello".to_owned())).await.unwrap();
    assert_eq!(far.call(Say::Heard, SECOND).await, Ok(vec!["hello".to_owned()]));
    assert_eq!(far.call(Say::Answer, SECOND).await, Ok(listener.id().to_string()));
}

#[tokio::test]
async fn messages_of_one_sender_arrive_in_order() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    let words: Vec<_> = (0..1_000).map(|number| number.to_string()).collect();
    for word in &words {
        far.cast(Say::Word(word.clone())).await.unwrap();
    }
    assert_eq!(far.call(Say::Heard, SECOND).await, Ok(words));
}

/// A reference that comes home is the process itself again; on a third node it still works.
#[tokio::test]
async fn a_reference_works_wherever_it_is_sent() {
    let (one, other, third) = (node(1), node(2), node(3));
    let _lanes = [Lane::open(&one, &other), Lane::open(&other, &third), Lane::open(&one, &third)];
    let (here, there) = (listener().await, listener().await);
    let near = seen(&there, &other, &one);
    near.cast(Say::Send(here.clone(), "home".to_owned())).await.unwrap();
    assert_eq!(hears(&here, 1).await, ["home"]);

    let yourself = near.call(Say::Yourself, SECOND).await.unwrap();
    assert_eq!(yourself, near);
    let of_third = listener().await;
    let via = seen(&of_third, &third, &one);
    via.cast(Say::Send(near.clone(), "passed on".to_owned())).await.unwrap();
    assert_eq!(hears(&there, 1).await, ["passed on"]);

    // Sent to its own node, it is what it was before.
    near.cast(Say::Send(near.clone(), "self".to_owned())).await.unwrap();
    assert_eq!(hears(&there, 1).await, ["self"]);
}

#[tokio::test]
async fn a_place_for_an_answer_can_be_passed_on() {
    let (one, other, third) = (node(1), node(2), node(3));
    let _lanes = [Lane::open(&one, &other), Lane::open(&other, &third)];
    let (middle, last) = (listener().await, listener().await);
    let (near, beyond) = (seen(&middle, &other, &one), seen(&last, &third, &other));
    // The second node knows the third, the first does not: it has the reference from the second.
    let answer = near.call(|reply| Say::Pass(beyond.clone(), reply), SECOND).await;
    assert_eq!(answer, Ok(last.id().to_string()));
}

#[tokio::test]
async fn a_process_that_takes_other_messages_refuses() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let wrong = other.process::<Other>(one.id_of(&listener).unwrap());
    assert_eq!(wrong.call(Other::Ask, SECOND).await, Err(CallError::NotPortable));
    assert_eq!(one.undelivered(), 1);
    assert!(listener.is_alive());
}

/// Whatever its policy is: nobody on another node can be made to wait for room.
#[tokio::test(start_paused = true)]
async fn a_message_is_refused_where_its_process_has_no_room() {
    let (one, other, _lane) = pair();
    for policy in [Policy::Refuse, Policy::Wait] {
        let listener = with_mailbox(Mailbox::new(policy).messages_max(2)).await;
        let far = seen(&listener, &one, &other);
        listener.cast(Say::Work(PATIENCE)).await.unwrap();
        while listener.mailbox().messages > 0 {
            tokio::task::yield_now().await;
        }
        for word in ["a", "b"] {
            far.cast(Say::Word(word.to_owned())).await.unwrap();
        }
        let before = one.undelivered();
        assert_eq!(far.call(Say::Answer, SECOND).await, Err(CallError::Full));
        far.cast(Say::Word("c".to_owned())).await.unwrap();
        settle(&other, &one).await;
        assert_eq!((one.undelivered() - before, listener.mailbox().refused), (2, 2));
        assert_eq!(far.call(Say::Heard, PATIENCE * 2).await, Err(CallError::Full));
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(far.call(Say::Heard, PATIENCE).await, Ok(vec!["a".to_owned(), "b".to_owned()]));
    }
}

/// What it points to was not counted, so that 10,000 messages of any size found room.
#[tokio::test(start_paused = true)]
async fn a_message_weighs_in_a_mailbox_what_it_took_on_its_way() {
    let (one, other, _lane) = pair();
    let listener = with_mailbox(Mailbox::new(Policy::Refuse).bytes_max(10_000)).await;
    let far = seen(&listener, &one, &other);
    listener.cast(Say::Work(PATIENCE)).await.unwrap();
    while listener.mailbox().messages > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..5 {
        far.cast(Say::Word("x".repeat(4_000))).await.unwrap();
    }
    settle(&other, &one).await;
    assert_eq!((listener.mailbox().messages, one.undelivered()), (2, 3));
}

#[tokio::test]
async fn what_waits_for_a_node_is_bounded_and_refused() {
    let config = super::super::Config { waiting_bytes_max: 10_000, ..Default::default() };
    let (one, other) = (start(1, 1, config), node(2));
    let lane = Lane::open(&one, &other);
    let listener = listener().await;
    let far = seen(&listener, &other, &one);
    lane.hold();
    let mut taken = 0;
    let refused = loop {
        match far.try_cast(Say::Word("x".repeat(1_000))) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "it is bounded");
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, CastError::Full);
    // What must not be lost goes behind it nevertheless.
    let watcher = super::stage::listener().await;
    watcher.monitor(&far, Say::Down).unwrap();
    lane.release();
    assert_eq!(hears(&listener, taken).await.len(), taken, "what was taken arrives");
    listener.stop(crate::process::ExitReason::Shutdown);
    assert_eq!(hears(&watcher, 1).await, ["down shutdown"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_sent() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    let large = "x".repeat(2 << 20);
    assert_eq!(far.try_cast(Say::Word(large)), Err(CastError::TooLarge));
    assert_eq!(far.call(Say::Heard, SECOND).await, Ok(Vec::new()));
}

/// A reference outside of a message has no meaning that others could understand.
#[tokio::test]
async fn a_reference_is_only_encoded_in_a_message() {
    let listener = listener().await;
    assert!(playhouse_cluster::codec::encode(&listener).is_err());
}

/// A number alone once named another process where it was decoded.
#[tokio::test]
async fn an_id_that_is_kept_names_the_process_on_every_node() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    assert!(playhouse_cluster::codec::encode(&listener.id()).is_err());
    let kept = playhouse_cluster::codec::encode(&one.id_of(&listener).unwrap()).unwrap();
    for node in [&one, &other] {
        let found = node.process::<Say>(playhouse_cluster::codec::decode(&kept).unwrap());
        assert_eq!(found.call(Say::Answer, SECOND).await, Ok(listener.id().to_string()));
    }
    assert_eq!(one.process::<Say>(one.id_of(&listener).unwrap()), listener);
}
