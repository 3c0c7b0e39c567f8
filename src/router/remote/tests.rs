//! Two routers joined by lanes that the test pumps by hand; the test itself is the executor.

mod other_kinds;

use std::{collections::VecDeque, num::NonZeroU16, sync::Arc, time::Duration};

use parking_lot::Mutex;
use playhouse_cluster::{
    codec,
    consensus::{RaftId, Term},
    environment::Environment,
};
use tokio::sync::mpsc;

use super::{
    Carrier, CarrierError, Remote, ServeError, Serving,
    frame::{Command, Question, Raw},
};
use crate::{
    entity::KindRegistry,
    kinds::{Counter, Limiter},
    protocol::{Body, CallError, Content, EntityId, Published, Reply, Request, RequestId, ShardId},
    router::{EntityLane, PendingReply, Router, RouterIdentity},
    shard::{Cast, Envelope, Mailbox, MailboxConfig, Message, Outgoing as _},
};

const ONE: NonZeroU16 = NonZeroU16::new(1).unwrap();
const LANE: EntityLane = EntityLane { index: 0, count: 1 };
const SHARD: ShardId = ShardId(0);

/// Frames on their way in one direction.
#[derive(Default)]
struct Wire {
    frames: Mutex<VecDeque<Vec<u8>>>,
    frames_max: Mutex<Option<usize>>,
    is_cut: Mutex<bool>,
}

impl Carrier for Wire {
    fn push(&self, write: &mut dyn FnMut(&mut Vec<u8>)) -> Result<(), CarrierError> {
        if *self.is_cut.lock() {
            return Err(CarrierError::Closed);
        }
        let mut frames = self.frames.lock();
        if self.frames_max.lock().is_some_and(|max| frames.len() >= max) {
            return Err(CarrierError::Full);
        }
        let mut frame = Vec::new();
        write(&mut frame);
        frames.push_back(frame);
        Ok(())
    }

    fn close(&self, _: &str) {
        *self.is_cut.lock() = true;
    }
}

/// A lane that `asker` dialed to `leader`.
struct Line {
    asker: Router,
    leader: Router,
    there: Arc<Wire>,
    back: Arc<Wire>,
    remote: Remote,
    serving: Serving,
}

impl Line {
    fn dial(asker: &Router, leader: &Router, peer: u64) -> Self {
        let (there, back) = (Arc::new(Wire::default()), Arc::new(Wire::default()));
        let remote = asker.lane_opened(RaftId(peer), Arc::clone(&there) as _).unwrap();
        let serving = leader.serve(Arc::clone(&back) as _);
        Self { asker: asker.clone(), leader: leader.clone(), there, back, remote, serving }
    }

    /// Delivers what is on its way, in both directions, until nothing is.
    fn pump(&self) {
        loop {
            let asked = self.there.frames.lock().pop_front();
            let answered = self.back.frames.lock().pop_front();
            if let Some(frame) = &asked {
                self.serving.hear_all([frame.as_slice()]).unwrap();
            }
            if let Some(frame) = &answered {
                self.asker.lane_answered(&self.remote, LANE, frame).unwrap();
            }
            if asked.is_none() && answered.is_none() {
                return;
            }
        }
    }

    fn cut(&self) {
        [&self.there, &self.back].into_iter().for_each(|wire| *wire.is_cut.lock() = true);
        self.asker.lane_closed(&self.remote);
        self.leader.served(&self.serving);
    }
}

fn router(node: u64) -> Router {
    let mut kinds = KindRegistry::default();
    kinds.register::<Counter>().unwrap();
    kinds.register::<Limiter>().unwrap();
    router_of(node, ONE, kinds)
}

fn router_of(node: u64, shards: NonZeroU16, kinds: KindRegistry) -> Router {
    let identity = RouterIdentity { node, incarnation: 1 };
    Router::new(identity, shards, Arc::new(kinds), Environment::simulated(node), Arc::new(|_, _, _| {}))
}

fn lead(router: &Router, term: u64, messages_max: usize) -> Mailbox {
    let mailbox = Mailbox::new(MailboxConfig { messages_max, bytes_max: 1 << 20 });
    router.set_executor(SHARD, Some((Term(term), mailbox.clone())));
    mailbox
}

fn send(router: &Router, body: &str) -> PendingReply {
    let request = Request {
        target: EntityId::new("counter", "visits").unwrap(),
        body: Body::json(body.to_owned()),
        request_id: RequestId::random(router.environment()),
        idempotency_key: None,
        timeout: Duration::from_secs(10),
        trace: None,
    };
    router.start(request).unwrap()
}

/// What the mailbox holds, with its place in its stream.
fn take(mailbox: &Mailbox) -> Vec<(u64, Envelope)> {
    let mut batch = VecDeque::new();
    mailbox.take(&mut batch);
    let number = |envelope: &Envelope| envelope.position.as_ref().map_or(0, |position| position.number);
    let command = |message| match message {
        Message::Command(envelope) => (number(&envelope), envelope),
        _ => panic!("only commands were sent"),
    };
    batch.into_iter().map(command).collect()
}

/// Answers each command with its own body.
fn echo(taken: Vec<(u64, Envelope)>) -> Vec<u64> {
    let answer = |(number, envelope): (u64, Envelope)| {
        let body = bytes::Bytes::copy_from_slice(envelope.body.bytes());
        envelope.reply.send(Ok(Reply { body, revision: number }));
        number
    };
    taken.into_iter().map(answer).collect()
}

async fn body_of(pending: PendingReply) -> String {
    let reply = tokio::time::timeout(Duration::from_secs(60), pending).await.expect("it is answered");
    String::from_utf8_lossy(&reply.unwrap().body).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_call_reaches_the_leader_on_another_node_and_its_reply_comes_back() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let early = send(&asker, "early");
    let mailbox = lead(&leader, 7, 100);
    line.pump();
    assert_eq!(asker.leader(SHARD), Some(Some(RaftId(2))));
    let late = send(&asker, "late");
    line.pump();
    let taken = take(&mailbox);
    assert!(taken.iter().all(|(_, envelope)| envelope.deadline.is_some() && envelope.more.is_some()));
    assert_eq!(echo(taken), [1, 2]);
    line.pump();
    assert_eq!((body_of(early).await, body_of(late).await), ("early".into(), "late".into()));
    assert_eq!(asker.unanswered(), 0);
    leader.set_executor(SHARD, None);
    line.pump();
    assert_eq!(asker.leader(SHARD), None);
}

/// Room was made for each shard up to the one that it names, on that lane, for ever.
#[tokio::test]
async fn a_peer_that_names_a_shard_that_is_not_there_loses_the_lane() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    let command = |shard| {
        codec::encode(&Question::Command(Command {
            ticket: 0,
            shard,
            term: 1,
            kind: 0,
            key: "visits",
            content: Content::Binary,
            body: Raw(&[]),
            position: None,
            time_left: None,
            more: None,
        }))
    };
    let kinds = codec::encode(&Question::Kinds(vec!["counter"])).unwrap();
    let (good, bad) = (command(SHARD.0).unwrap(), command(ONE.get()).unwrap());
    let heard = line.serving.hear_all([kinds.as_slice(), &good, &bad]);
    assert!(matches!(heard, Err(ServeError::NoSuchShard { shard: 1, shards: 1 })), "{heard:?}");
    assert_eq!(take(&mailbox).len(), 1, "what came before it is delivered");
}

/// Those behind a message that found no room must not pass it, although there was room again when they came.
#[tokio::test(start_paused = true)]
async fn a_full_mailbox_elsewhere_keeps_the_order() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 2);
    line.pump();
    let sent: Vec<_> = ["a", "b", "c"].iter().map(|body| send(&asker, body)).collect();
    line.pump();
    let mut order = echo(take(&mailbox));
    assert_eq!(order, [1, 2], "there was no room for the third");
    // Still of the generation that found no room; sent before its sender heard so.
    let behind = send(&asker, "d");
    line.pump();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        line.pump();
        order.extend(echo(take(&mailbox)));
    }
    line.pump();
    assert_eq!(order, [1, 2, 3, 4]);
    for (pending, body) in sent.into_iter().chain([behind]).zip(["a", "b", "c", "d"]) {
        assert_eq!(body_of(pending).await, body);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_lane_carried_is_sent_again_in_order() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let sent: Vec<_> = ["a", "b", "c"].iter().map(|body| send(&asker, body)).collect();
    line.pump();
    let lost = take(&mailbox); // Executed, but the answers do not get through.
    line.cut();
    assert_eq!(asker.leader(SHARD), None);
    echo(lost);
    let waiting = send(&asker, "d");
    let again = Line::dial(&asker, &leader, 2);
    again.pump();
    assert_eq!(echo(take(&mailbox)), [1, 2, 3, 4]);
    again.pump();
    for (pending, body) in sent.into_iter().chain([waiting]).zip(["a", "b", "c", "d"]) {
        assert_eq!(body_of(pending).await, body);
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_term_is_the_way_whoever_speaks_last() {
    let (asker, old, new) = (router(1), router(2), router(3));
    let (to_old, to_new) = (Line::dial(&asker, &old, 2), Line::dial(&asker, &new, 3));
    let old_mailbox = lead(&old, 4, 100);
    to_old.pump();
    let pending = send(&asker, "a");
    to_old.pump();
    drop(take(&old_mailbox)); // The executor there ends without an answer.
    let new_mailbox = lead(&new, 5, 100);
    to_new.pump();
    old.set_executor(SHARD, Some((Term(4), old_mailbox.clone())));
    to_old.pump();
    assert_eq!(asker.leader(SHARD), Some(Some(RaftId(3))), "an older term says nothing new");
    assert_eq!(echo(take(&new_mailbox)), [1]);
    to_new.pump();
    assert_eq!(body_of(pending).await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_leader_here_is_preferred_to_an_older_one_elsewhere() {
    let (asker, other) = (router(1), router(2));
    let line = Line::dial(&asker, &other, 2);
    drop(lead(&other, 4, 100));
    let here = lead(&asker, 5, 100);
    line.pump();
    assert_eq!(asker.leader(SHARD), Some(None));
    let pending = send(&asker, "here");
    assert_eq!(echo(take(&here)), [1]);
    assert_eq!(body_of(pending).await, "here");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_leader() {
    let asker = router(1);
    asker.environment().spawn(asker.look_after(Duration::from_secs(5)));
    let began = asker.environment().now();
    let outcome = send(&asker, "a").await;
    assert!(matches!(outcome, Err(CallError::Unavailable { shard: 0, .. })), "{outcome:?}");
    let waited = asker.environment().now() - began;
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
    assert_eq!(asker.unanswered(), 0);
}

#[tokio::test(start_paused = true)]
async fn items_reach_a_subscriber_elsewhere_until_either_end_is_gone() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let lobby = EntityId::new("counter", "visits").unwrap();
    let subscribing = asker.environment().spawn({
        let asker = asker.clone();
        async move { asker.subscribe(lobby, Some(3)).await }
    });
    let publish = subscriber(&line, &mailbox).await;
    line.pump();
    tokio::time::sleep(Duration::from_millis(1)).await;
    line.pump();
    let mut subscription = subscribing.await.unwrap().unwrap();
    assert_eq!(subscription.revision(), 3);
    publish.try_send(Published::Item { revision: 4, item: "x".into() }).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    line.pump();
    let item = subscription.next().await;
    assert_eq!(item, Some(Published::Item { revision: 4, item: "x".into() }));
    drop(subscription);
    line.remote.sweep();
    line.pump();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(publish.is_closed(), "the executor hears that nobody reads any more");
}

/// Plays the executor that accepts a subscription.
async fn subscriber(line: &Line, mailbox: &Mailbox) -> mpsc::Sender<Published> {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        line.pump();
        let mut batch = VecDeque::new();
        mailbox.take(&mut batch);
        if let Some(Message::Subscribe { after, subscriber, reply, .. }) = batch.pop_front() {
            reply.send(Ok(after.unwrap_or_default())).unwrap();
            return subscriber;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_full_of_questions_pushes_back_and_loses_nothing() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    *line.there.frames_max.lock() = Some(2);
    let sent: Vec<_> = ["a", "b"].iter().map(|body| send(&asker, body)).collect();
    let refused = asker.start(Request {
        target: EntityId::new("counter", "visits").unwrap(),
        body: Body::json("c"),
        request_id: RequestId::random(asker.environment()),
        idempotency_key: None,
        timeout: Duration::from_secs(1),
        trace: None,
    });
    assert!(matches!(refused, Err(CallError::Overloaded { .. })));
    line.pump();
    assert_eq!(echo(take(&mailbox)), [1, 2]);
    line.pump();
    for (pending, body) in sent.into_iter().zip(["a", "b"]) {
        assert_eq!(body_of(pending).await, body);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_on_a_lane_is_an_error_for_whoever_hears_it() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    assert!(line.serving.hear_all([&b"\xff\xff\xff"[..]]).is_err());
    assert!(asker.lane_answered(&line.remote, LANE, b"\xff").is_err());
}

/// What stands before a frame that cannot be understood is delivered, and nothing of it holds on to the lane.
#[tokio::test(start_paused = true)]
async fn a_lane_that_ends_by_garbage_leaves_nothing_behind() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let _sent = send(&asker, "a");
    let mut frames: Vec<_> = line.there.frames.lock().drain(..).collect();
    frames.push(b"\xff\xff\xff".to_vec());
    assert!(line.serving.hear_all(frames.iter().map(Vec::as_slice)).is_err());
    assert_eq!(echo(take(&mailbox)), [1]);
    leader.served(&line.serving);
    let back = Arc::downgrade(&line.back);
    drop(line);
    assert!(back.upgrade().is_none(), "the lane is still held");
}

/// The outbox of a shard that is led here again begins a new stream; it was once taken for the old one, which the other
/// end still held back.
#[tokio::test(start_paused = true)]
async fn casts_of_a_new_term_are_not_held_back_with_those_of_the_old_one() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 1);
    line.pump();
    let cast = |term, number| {
        let target = EntityId::new("counter", "visits").unwrap();
        Cast { source: SHARD, term: Term(term), number, target, body: Body::json(r#"{"add": 1}"#) }
    };
    (1..=3).for_each(|number| asker.cast(cast(1, number)));
    // No room for most of them, again and again.
    for _ in 0..10 {
        line.pump();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    line.pump();
    assert_eq!(echo(take(&mailbox)), [1]);
    asker.cast(cast(2, 2));
    line.pump();
    assert_eq!(echo(take(&mailbox)), [2], "taken at once");
}

/// A node that leads again at once must not execute what was sent to its former leadership: what was sent before it was
/// refused with that, and would count as executed when it came again.
#[tokio::test(start_paused = true)]
async fn what_was_sent_to_one_leadership_is_not_taken_by_the_next_one() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 100);
    line.pump();
    let mut sent: Vec<_> = ["a", "b"].iter().map(|body| send(&asker, body)).collect();
    line.pump();
    sent.push(send(&asker, "c")); // On its way while leadership is lost and won again.
    mailbox.close().into_iter().for_each(|message| message.refuse(CallError::NotCommitted));
    leader.set_executor(SHARD, None);
    let mailbox = lead(&leader, 3, 100);
    line.pump();
    assert_eq!(echo(take(&mailbox)), [1, 2, 3], "in order, from the first one");
    line.pump();
    for (pending, body) in sent.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(body_of(pending).await, body);
    }
}

/// Two refusals for want of room must not change places on a lane that is full itself.
#[tokio::test(start_paused = true)]
async fn answers_keep_their_order_while_the_lane_is_full() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 1);
    line.pump();
    let sent: Vec<_> = ["a", "b", "c"].iter().map(|body| send(&asker, body)).collect();
    let questions: Vec<_> = line.there.frames.lock().drain(..).collect();
    *line.back.frames_max.lock() = Some(0);
    line.serving.hear_all([&questions[0][..]]).unwrap();
    line.serving.hear_all([&questions[1][..]]).unwrap(); // No room for it, nor for the answer that says so.
    *line.back.frames_max.lock() = None;
    line.serving.hear_all([&questions[2][..]]).unwrap();
    let mut order = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        line.pump();
        order.extend(echo(take(&mailbox)));
    }
    line.pump();
    assert_eq!(order, [1, 2, 3]);
    for (pending, body) in sent.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(body_of(pending).await, body);
    }
}

/// Frames that were read together are delivered together, and it must not show.
#[tokio::test(start_paused = true)]
async fn frames_that_come_together_are_heard_as_if_one_by_one() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 2);
    line.pump();
    let pending: Vec<_> = (1..=4).map(|number| send(&asker, &format!(r#"{{"add": {number}}}"#))).collect();
    let frames: Vec<_> = line.there.frames.lock().drain(..).collect();
    line.serving.hear_all(frames.iter().map(Vec::as_slice)).unwrap();
    // Two found room; the others come again, in order, and never before them.
    let mut seen = echo(take(&mailbox));
    assert_eq!(seen, [1, 2]);
    for _ in 0..20 {
        line.pump();
        tokio::time::sleep(Duration::from_millis(10)).await;
        seen.extend(echo(take(&mailbox)));
    }
    line.pump();
    assert_eq!(seen, [1, 2, 3, 4]);
    for (number, pending) in (1..).zip(pending) {
        assert_eq!(body_of(pending).await, format!(r#"{{"add": {number}}}"#));
    }
}

/// Nobody waits for it, so nobody heard that it was dropped, and no counter did.
#[tokio::test(start_paused = true)]
async fn a_cast_that_finds_no_room_elsewhere_is_not_lost_in_silence() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    let mailbox = lead(&leader, 1, 1);
    line.pump();
    let target = EntityId::new("limiter", "door").unwrap();
    let kind = asker.kind(&target.kind);
    for number in 0..12 {
        asker.post(target.clone(), kind, Body::json(number.to_string())).unwrap();
    }
    line.pump();
    let mut batch = VecDeque::new();
    mailbox.take(&mut batch);
    assert_eq!(batch.len(), 2);
    assert!(matches!(&batch[0], Message::Command(taken) if taken.body.bytes() == b"0"));
    let Message::Lost(lost) = &batch[1] else { panic!("nothing tells of those without room") };
    let kept: Vec<_> = lost.kept.iter().map(|lost| (lost.key.as_str(), lost.body.bytes())).collect();
    let first: Vec<_> = (1..9).map(|number| ("door", number.to_string().into_bytes())).collect();
    assert!(kept.iter().zip(&first).all(|(one, other)| one.0 == other.0 && one.1 == other.1), "{kept:?}");
    assert_eq!(
        (kept.len(), lost.more.values().sum::<u64>()),
        (8, 3),
        "a bounded number is kept, all are counted"
    );
    batch.clear();
    mailbox.take(&mut batch);
    assert!(batch.is_empty(), "told once");
}

/// Of what was read together, all behind the first one without room was refused, also what was small and had nothing to do
/// with it: casts of others were lost.
#[tokio::test(start_paused = true)]
async fn a_large_command_without_room_keeps_back_only_what_must_stay_behind_it() {
    let (asker, leader) = (router(1), router(2));
    let line = Line::dial(&asker, &leader, 2);
    // Room for a large one, but not beside a small one.
    let (large, size) = ("x".repeat(10_000), size_of::<Message>());
    let mailbox = Mailbox::new(MailboxConfig { messages_max: 100, bytes_max: large.len() + size + size / 2 });
    leader.set_executor(SHARD, Some((Term(1), mailbox.clone())));
    line.pump();
    let target = EntityId::new("limiter", "door").unwrap();
    let cast = |body: &str| asker.post(target.clone(), asker.kind(&target.kind), Body::json(body.to_owned()));
    let pending = [send(&asker, "first"), send(&asker, &large), send(&asker, "behind it")];
    cast(&large).unwrap();
    cast("small").unwrap();
    let frames: Vec<_> = line.there.frames.lock().drain(..).collect();
    line.serving.hear_all(frames.iter().map(Vec::as_slice)).unwrap();

    let mut batch = VecDeque::new();
    mailbox.take(&mut batch);
    let Some(Message::Lost(lost)) = batch.pop_back() else { panic!("nothing tells of the large cast") };
    assert_eq!((lost.kept.len(), lost.kept[0].body.bytes().len()), (1, large.len()));
    let body = |message: Message| match message {
        Message::Command(envelope) => {
            let body = String::from_utf8(envelope.body.bytes().to_vec()).unwrap();
            envelope.reply.send(Ok(Reply { body: body.clone().into(), revision: 0 }));
            body
        }
        _ => panic!("only commands were sent"),
    };
    assert_eq!(batch.into_iter().map(body).collect::<Vec<_>>(), ["first", "small"]);

    // There is room now: what was kept back comes again, in order.
    let mut order = Vec::new();
    for _ in 0..20 {
        line.pump();
        tokio::time::sleep(Duration::from_millis(10)).await;
        order.extend(echo(take(&mailbox)));
    }
    line.pump();
    assert_eq!(order, [2, 3]);
    for (pending, body) in pending.into_iter().zip(["first", &large, "behind it"]) {
        assert_eq!(body_of(pending).await, body);
    }
}
