//! Nodes of two releases, one of which has a kind that the other lacks.

use playhouse_cluster::codec;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    entity::KindIndex,
    kinds::Document,
    protocol::{EntityView, Key, KindName, ListQuery, Page},
    router::remote::{ServeError, frame::Question},
    shard::{CastOutcome, More, ReplyTo},
};

/// With another place for each kind than [`router`] has.
fn has_counter(node: u64) -> Router {
    let mut kinds = KindRegistry::default();
    kinds.register::<Document>().unwrap();
    kinds.register::<Limiter>().unwrap();
    kinds.register::<Counter>().unwrap();
    router_of(node, ONE, kinds)
}

fn lacks_counter(node: u64) -> Router {
    let mut kinds = KindRegistry::default();
    kinds.register::<Limiter>().unwrap();
    router_of(node, ONE, kinds)
}

fn counter() -> EntityId {
    EntityId::new("counter", "visits").unwrap()
}

fn cast(number: u64) -> Cast {
    Cast { source: SHARD, term: Term(1), number, target: counter(), body: Body::json("cast") }
}

fn one(mailbox: &Mailbox) -> Envelope {
    let mut taken = take(mailbox);
    assert_eq!(taken.len(), 1);
    taken.remove(0).1
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_only_the_leader_has_is_reached_through_a_router_without_it() {
    let (asker, leader) = (lacks_counter(1), has_counter(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let pending = send(&asker, "call");
    line.pump();
    let call = one(&mailbox);
    assert_eq!(call.kind, leader.kind(&counter().kind));
    let more = call.more.as_deref().expect("a client sent it");
    assert!(more.kind.is_none() && more.request_id.is_some() && more.arrived.is_some());
    assert!(call.position.is_some(), "it is sent again after a move");
    echo(vec![(1, call)]);
    line.pump();
    assert_eq!(body_of(pending).await, "call");

    asker.post(counter(), asker.kind(&counter().kind), Body::json("post")).unwrap();
    asker.cast(cast(1));
    line.pump();
    let (posted, sent) = {
        let mut taken = take(&mailbox);
        assert_eq!(taken.len(), 2);
        let sent = taken.pop().unwrap().1;
        (taken.pop().unwrap().1, sent)
    };
    assert_eq!((posted.kind, sent.kind), (leader.kind(&counter().kind), leader.kind(&counter().kind)));
    assert!(posted.more.is_none() && sent.more.is_none(), "no client waits for them");
    assert!(matches!(posted.reply, ReplyTo::Nobody) && sent.position.is_some());
}

/// Only the executor can tell that nothing happened: an earlier leader may have executed the same request.
#[tokio::test(start_paused = true)]
async fn a_kind_that_the_leader_lacks_comes_to_its_executor_by_name() {
    for asker in [lacks_counter(1), has_counter(1)] {
        let leader = lacks_counter(2);
        let line = Line::dial(&asker, &leader, 2);
        let mailbox = lead(&leader, 1, 100);
        line.pump();
        let pending = send(&asker, "call");
        asker.post(counter(), asker.kind(&counter().kind), Body::json("post")).unwrap();
        line.pump();
        let mut taken = take(&mailbox);
        assert_eq!(taken.len(), 2);
        let is_named =
            |more: &Option<Box<More>>| more.as_ref().is_some_and(|more| more.kind == Some(counter().kind));
        for (_, envelope) in &taken {
            assert!(envelope.kind == KindIndex::UNKNOWN && is_named(&envelope.more));
        }
        let posted = Message::Command(taken.pop().unwrap().1);
        assert_eq!(posted.kind_for_client(), None);
        let call = taken.pop().unwrap().1;
        assert!(call.more.as_ref().is_some_and(|more| more.request_id.is_some()));
        call.reply.send(Err(CallError::UnknownKind { kind: "counter".into() }));
        line.pump();
        assert_eq!(pending.await, Err(CallError::UnknownKind { kind: "counter".into() }));
    }
}

/// Also on the node that leads the shard its executor answers: it knows what was executed before.
#[tokio::test(start_paused = true)]
async fn a_router_refuses_no_kind_by_itself() {
    let asker = lacks_counter(1);
    asker.environment().spawn(asker.look_after(Duration::from_secs(5)));
    assert!(matches!(send(&asker, "a").await, Err(CallError::Unavailable { .. })));
    let here = lead(&asker, 1, 100);
    let pending = send(&asker, "b");
    let envelope = one(&here);
    assert!(envelope.kind == KindIndex::UNKNOWN && envelope.more.is_some_and(|more| more.kind.is_some()));
    drop(pending);
}

/// Waits for what `ask` asked to come to the mailbox.
async fn question<T>(line: &Line, mailbox: &Mailbox, asked: &JoinHandle<T>) -> Message {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        line.pump();
        let mut batch = VecDeque::new();
        mailbox.take(&mut batch);
        if let Some(message) = batch.pop_front() {
            return message;
        }
        assert!(!asked.is_finished(), "it was answered by somebody else");
    }
}

#[tokio::test(start_paused = true)]
async fn views_and_lists_name_their_kind() {
    let (asker, leader) = (lacks_counter(1), has_counter(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let view = |asker: Router| async move { asker.view(counter(), Duration::from_secs(10)).await };
    let asked = asker.environment().spawn(view(asker.clone()));
    let Message::View { kind, key, reply } = question(&line, &mailbox, &asked).await else {
        panic!("no view")
    };
    let id = EntityId { kind, key };
    assert_eq!(id, counter());
    let shown = EntityView { id, shard: SHARD, revision: 7, state: "1".into() };
    reply.send(Ok(shown.clone())).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    line.pump();
    assert_eq!(asked.await.unwrap(), Ok(shown));

    let list = |asker: Router| async move {
        let query = ListQuery { kind: counter().kind, prefix: String::new(), after: None, limit: 10 };
        asker.list(query, Duration::from_secs(10)).await
    };
    let page = Page { entities: vec![(Key::new("visits").unwrap(), 7)], next_after: None };
    let unknown = CallError::UnknownKind { kind: "counter".into() };
    for answer in [Ok(page), Err(unknown)] {
        let asked = asker.environment().spawn(list(asker.clone()));
        let Message::List { kind, reply, .. } = question(&line, &mailbox, &asked).await else {
            panic!("no list")
        };
        assert_eq!(kind, KindName::new("counter").unwrap());
        reply.send(answer.clone()).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        line.pump();
        assert_eq!(asked.await.unwrap(), answer);
    }
}

/// It was a dead letter at once, although the leader of the target had the kind.
#[tokio::test(start_paused = true)]
async fn a_cast_is_undeliverable_only_when_the_leader_says_so() {
    let two = NonZeroU16::new(2).unwrap();
    let target = counter().shard(two);
    let source = ShardId(1 - target.0);
    let (asker, leader) =
        (router_of(1, two, KindRegistry::default()), router_of(2, two, KindRegistry::default()));
    let outbox = Mailbox::new(MailboxConfig::default());
    asker.set_executor(source, Some((Term(1), outbox.clone())));
    (1..=2).for_each(|number| asker.cast(Cast { source, ..cast(number) }));
    assert!(outbox.is_empty(), "nobody said anything yet");

    let line = Line::dial(&asker, &leader, 2);
    let there = Mailbox::new(MailboxConfig::default());
    leader.set_executor(target, Some((Term(1), there.clone())));
    line.pump();
    let mut taken = take(&there);
    assert_eq!(taken.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    let unknown = CallError::UnknownKind { kind: "counter".into() };
    taken.pop().unwrap().1.reply.send(Err(unknown.clone()));
    echo(taken);
    line.pump();
    let mut done = VecDeque::new();
    outbox.take(&mut done);
    let outcome = |message| match message {
        Message::CastDone { number, outcome } => (number, outcome),
        _ => panic!("only outcomes were sent"),
    };
    let mut outcomes: Vec<_> = done.into_iter().map(outcome).collect();
    outcomes.sort_by_key(|(number, _)| *number);
    let undeliverable = CastOutcome::Undeliverable { reason: unknown.to_string() };
    assert_eq!(outcomes, [(1, CastOutcome::Executed), (2, undeliverable)]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_name_closes_the_lane() {
    let (asker, leader) = (lacks_counter(1), has_counter(2));
    let line = Line::dial(&asker, &leader, 2);
    drop(lead(&leader, 1, 100));
    line.pump();
    drop(send(&asker, "a"));
    let frame = line.there.frames.lock().pop_back().unwrap();
    for name in [None, Some("Not A Kind".to_owned())] {
        let Question::Command(mut command) = codec::decode(&frame).unwrap() else { panic!("no command") };
        command.more.as_mut().unwrap().kind = name;
        let frame = codec::encode(&Question::Command(command)).unwrap();
        let heard = line.serving.hear_all([frame.as_slice()]);
        assert!(matches!(heard, Err(ServeError::Unknown(_))), "{heard:?}");
    }
}
