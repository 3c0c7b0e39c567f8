//! Small trees and busy ones, looked at.

use std::{future::pending, time::Duration};

use playhouse_cluster::{consensus::RaftId, environment::Environment, identity::Incarnation};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use serde::{Deserialize, Serialize};

use super::*;
use crate::process::{
    self, ChildSpec, Distribution, ExitReason, Home, Mailbox, Policy, Portable, Process, Reply,
    SimpleOneForOne, SimpleOneForOneRef, Strategy, Supervisor, SupervisorRef,
};

const LONG: Duration = Duration::from_secs(60);

/// Does what it is told.
struct Clerk;

#[derive(Serialize, Deserialize)]
enum Say {
    /// It panics.
    Crash,
    /// It never handles anything again.
    Hang,
    /// It starts another one.
    Hire(Reply<Process<Say>>),
}

impl Message for Say {}

impl Portable for Say {
    const NAME: &'static str = "observer-say.1";
}

impl Actor for Clerk {
    type Msg = Say;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Say>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Say>, say: Say, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match say {
            Say::Crash => panic!("told to"),
            Say::Hang => pending().await,
            Say::Hire(reply) => {
                reply.send(process::spawn(Self, (), Mailbox::default()).await?);
                Ok(())
            }
        }
    }
}

/// Never starts.
struct Late;

impl Actor for Late {
    type Msg = Say;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Say>, (): ()) -> Result<(), ActorProcessingErr> {
        pending().await
    }
}

fn node() -> Distribution {
    let home = Home { node: RaftId(1), incarnation: Incarnation(1) };
    Distribution::new(home, process::distribution::Config::default(), Environment::simulated(1))
}

async fn look(node: &Distribution, rows_max: usize) -> ProcessReport {
    Observer::new(node.clone(), None).look(rows_max).await
}

fn clerk(id: &'static str) -> ChildSpec {
    ChildSpec::process(id, Mailbox::default(), || (Clerk, ()))
}

fn pool() -> SimpleOneForOne<()> {
    SimpleOneForOne::process(Mailbox::default(), |()| (Clerk, ()))
}

/// A clerk `desk`, below `pool` three more, and an actor that is no process.
async fn office(node: &Distribution) -> SupervisorRef {
    let office = Supervisor::new(Strategy::RestForOne)
        .intensity(9, LONG)
        .child(clerk("desk"))
        .child(ChildSpec::supervisor("pool", pool))
        .child(ChildSpec::worker("plain", || (Clerk, ())));
    let office = node.scope(office.start()).await.unwrap();
    let pool: SimpleOneForOneRef<()> = office.child("pool").await.unwrap().reference().unwrap();
    for _ in 0..3 {
        pool.start_child(()).await.unwrap();
    }
    office
}

async fn desk(office: &SupervisorRef) -> Process<Say> {
    office.child("desk").await.unwrap().reference().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_shown_as_its_supervisors_tell_it() {
    let node = node();
    let office = office(&node).await;
    let desk = desk(&office).await;
    node.names().register("front", &desk).unwrap();
    node.groups().join("clerks", &desk).unwrap();
    let alone = node.scope(process::spawn(Clerk, (), Mailbox::default())).await.unwrap();
    let stranger = process::spawn(Clerk, (), Mailbox::default()).await.unwrap();

    let report = look(&node, 10).await;
    let [top] = &report.trees.shown[..] else { panic!("{report:?}") };
    assert_eq!(
        (top.strategy.as_deref(), top.restarts, top.is_silent),
        (Some("rest_for_one"), Some(0), false)
    );
    let ids: Vec<_> = top.children.shown.iter().map(|child| child.id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["desk", "pool", "plain"]);
    let [front, pool, plain] = &top.children.shown[..] else { panic!("{top:?}") };
    assert_eq!((front.process, &front.names[..]), (Some(desk.id().number()), &["front".to_owned()][..]));
    assert!(front.actor.as_deref().unwrap().ends_with("Clerk") && front.mailbox.is_some());
    assert_eq!((pool.strategy.as_deref(), pool.children.shown.len()), (Some("simple_one_for_one"), 3));
    assert!(plain.process.is_some() && plain.mailbox.is_none(), "its mailbox is not ours");
    let unsupervised: Vec<_> = report.unsupervised.shown.iter().map(|leaf| leaf.process).collect();
    assert_eq!(unsupervised, [alone.id().number()], "not {stranger:?}, which belongs to no node");
    assert_eq!((report.counts.processes, report.counts.supervisors), (5, 2));
    let name = NameRow { name: "front".to_owned(), process: desk.id().number(), is_confirmed: true };
    assert_eq!(report.names.shown, [name]);
    let members = Excerpt { shown: vec![desk.id().number()], more: 0 };
    assert_eq!(report.groups.shown, [GroupRow { group: "clerks".to_owned(), members }]);

    let short = look(&node, 2).await;
    let [top] = &short.trees.shown[..] else { panic!("{short:?}") };
    assert_eq!((top.children.shown.len(), top.children.more), (2, 1));
    assert_eq!((top.children.shown[1].children.shown.len(), top.children.shown[1].children.more), (2, 1));

    office.stop_and_wait().await;
    let report = look(&node, 10).await;
    assert_eq!(
        (report.trees, report.counts.processes, report.counts.supervisors),
        (Excerpt::default(), 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_and_what_was_lost_is_counted_also_when_its_process_has_ended() {
    let node = node();
    let office = office(&node).await;
    let mailbox = Mailbox::new(Policy::Refuse).messages_max(2);
    let busy = node.scope(process::spawn(Clerk, (), mailbox)).await.unwrap();
    busy.cast(Say::Hang).await.unwrap();
    tokio::task::yield_now().await;
    while busy.mailbox().messages > 0 {
        tokio::task::yield_now().await;
    }
    busy.cast(Say::Crash).await.unwrap();
    busy.cast(Say::Crash).await.unwrap();
    busy.cast(Say::Crash).await.unwrap_err();
    let report = look(&node, 10).await;
    let counts = report.counts;
    assert_eq!((counts.messages, counts.messages_deepest, counts.refused, counts.dead_letters), (2, 2, 1, 0));
    let deepest: Vec<_> =
        report.deepest.shown.iter().map(|leaf| (leaf.process, leaf.mailbox.messages)).collect();
    assert_eq!(deepest, [(busy.id().number(), 2)]);
    busy.kill();
    busy.ended().await;

    let desk = desk(&office).await;
    desk.cast(Say::Crash).await.unwrap();
    assert_eq!(desk.ended().await, ExitReason::Crashed("told to".to_owned()));
    office.child("plain").await.expect("the supervisor answers when it has restarted them");
    let counts = node.counts().await;
    assert_eq!((counts.messages, counts.refused, counts.dead_letters), (0, 1, 2));
    // Three of the pool went with the desk.
    let exits = counts.exits;
    assert_eq!((exits.killed, exits.crashed, exits.shutdown), (1, 1, 3), "{exits:?}");
    assert_eq!((counts.restarts, counts.gave_up), (1, 0));
    assert_eq!(look(&node, 10).await.trees.shown[0].restarts, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_is_counted() {
    let node = node();
    let office = Supervisor::new(Strategy::OneForOne).intensity(0, LONG).child(clerk("desk"));
    let office = node.scope(office.start()).await.unwrap();
    desk(&office).await.cast(Say::Crash).await.unwrap();
    office.wait().await;
    let counts = node.counts().await;
    assert_eq!((counts.restarts, counts.gave_up, counts.supervisors, counts.processes), (0, 1, 0, 0));
}

/// It was shown as an actor that is no process.
#[tokio::test(start_paused = true)]
async fn a_child_whose_end_its_supervisor_has_not_heard_of_is_shown_as_ended() {
    let node = node();
    let office = office(&node).await;
    let desk = desk(&office).await;
    // It looks at its children before it hears of the end.
    let (looked, ()) = tokio::join!(look(&node, 10), async {
        desk.kill();
        desk.ended().await;
    });
    let state = looked.trees.shown[0].children.shown[0].state;
    assert_eq!(state, BranchState::Ended);
}

/// One that waits for a child once hid all that is below it.
#[tokio::test(start_paused = true)]
async fn a_supervisor_that_does_not_answer_is_shown_with_what_is_known_without_it() {
    let node = node();
    let office = office(&node).await;
    let late = ChildSpec::process("late", Mailbox::default(), || (Late, ()));
    let starting = {
        let office = office.clone();
        async move { office.start_child(late).await }
    };
    let mut starting = std::pin::pin!(starting);
    assert!(futures_util::poll!(&mut starting).is_pending(), "it never starts");

    let report = look(&node, 10).await;
    let [top] = &report.trees.shown[..] else { panic!("{report:?}") };
    assert!(top.is_silent && top.strategy.is_none());
    // The desk, the one that is late, and the pool, which answers.
    let below: Vec<_> = top.children.shown.iter().map(|child| child.children.shown.len()).collect();
    assert_eq!(below, [0, 0, 3], "{top:?}");
    let silent: Vec<_> = top.children.shown.iter().map(|child| child.is_silent).collect();
    assert_eq!(silent, [false, false, false], "{top:?}");
    assert_eq!(top.children.shown[2].strategy.as_deref(), Some("simple_one_for_one"), "{top:?}");
    office.kill();
}

#[tokio::test(start_paused = true)]
async fn who_is_started_by_a_process_belongs_to_its_node() {
    let (one, other) = (node(), node());
    let first = one.scope(process::spawn(Clerk, (), Mailbox::default())).await.unwrap();
    let hired = first.call(Say::Hire, LONG).await.unwrap();
    hired.call(Say::Hire, LONG).await.unwrap();
    assert_eq!((one.counts().await.processes, other.counts().await.processes), (3, 0));
    // What is said where it is started counts more.
    let apart = async { other.scope(process::spawn(Clerk, (), Mailbox::default())).await.unwrap() };
    one.scope(apart).await;
    assert_eq!((one.counts().await.processes, other.counts().await.processes), (3, 1));
}
