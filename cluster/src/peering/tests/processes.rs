//! The lane of processes: one for each pair, and only where both have it. Here it carries whatever is pushed.

use super::{raw, wires::Wires, *};

fn with_processes(raft_id: u64) -> Setup {
    node(raft_id).with(|config| config.processes = true)
}

fn dialed(from: &Node, to: &Node) -> Option<Arc<Session>> {
    from.peering.link().table.dialed(to.id(), Lane::Processes)
}

fn opened(at: &Node) -> Option<Arc<Session>> {
    at.pushed.opened.lock().iter().find(|session| session.lane() == Lane::Processes).cloned()
}

#[tokio::test]
async fn one_end_dials_the_lane_of_processes_and_both_push_on_it() {
    let (first, second) = pair(with_processes(1), with_processes(2)).await;
    eventually("the smaller id dials", || dialed(&first, &second).is_some() && opened(&second).is_some())
        .await;
    assert!(dialed(&second, &first).is_none());
    for (from, to) in [(&first, &second), (&second, &first)] {
        opened(from).unwrap().push(|buffer| buffer.extend(b"hello")).unwrap();
        eventually("it arrives", || to.pushed.frames.lock().iter().any(|frame| frame == b"hello")).await;
    }
    // Both ends know a secret that is not the cookie.
    let secrets = [&first, &second].map(|node| opened(node).unwrap().secret.clone().unwrap());
    assert_eq!(secrets[0], secrets[1]);
    assert_ne!(secrets[0], cookie(1));
    Unharmed::note(&first, &second).check().await;
}

/// The secret of a lane is made of the cookie that both ends proved, not of the one that each has first.
#[tokio::test]
async fn both_ends_know_the_same_secret_while_cookies_are_exchanged() {
    for (here, there) in [(only(1), both(2, 1)), (both(2, 1), only(1)), (both(1, 2), both(2, 1))] {
        let first = Setup { cookies: here, ..with_processes(1) };
        let (first, second) = pair(first, Setup { cookies: there, ..with_processes(2) }).await;
        eventually("the lane is open", || opened(&first).is_some() && opened(&second).is_some()).await;
        assert_eq!(opened(&first).unwrap().secret, opened(&second).unwrap().secret);
    }
}

#[tokio::test]
async fn a_lane_of_processes_is_refused_from_the_other_end_and_where_there_is_none() {
    let (with, without) = (with_processes(2).start().await, node(2).start().await);
    for (at, from) in [(&with, 3), (&without, 1)] {
        let address = at.peering.address();
        let _control = raw::enter(address, &cookie(1), &raw::hello_of(&node(from), Lane::Control)).await;
        let hello = raw::hello_of(&node(from), Lane::Processes);
        assert_eq!(raw::refusal(address, &cookie(1), &hello).await, Refusal::NoSuchLane);
        assert!(opened(at).is_none());
    }
}

/// A newer incarnation must not wait until somebody notices that the old one is gone.
#[tokio::test]
async fn a_newer_incarnation_ends_the_lane_of_the_old_one() {
    let second = with_processes(2).start().await;
    let enter = async |incarnation, lane| {
        let hello = raw::hello_of(&Setup { incarnation, ..node(1) }, lane);
        raw::enter(second.peering.address(), &cookie(1), &hello).await
    };
    let (_control, lane) = (enter(10, Lane::Control).await, enter(10, Lane::Processes).await);
    eventually("it is open", || opened(&second).is_some()).await;
    let old = opened(&second).unwrap();
    let _newer = enter(11, Lane::Control).await;
    lane.closed().await;
    eventually("it is closed", || second.pushed.closed.lock().contains(&old.id())).await;
}

/// It was dialed again every few seconds, counted as refused each time.
#[tokio::test(start_paused = true)]
async fn a_peer_without_the_lane_is_asked_once_until_it_starts_again() {
    let wires = Arc::new(Wires::default());
    let (first, second) = pair(with_processes(1).on(&wires), node(2).on(&wires)).await;
    let refusals = || {
        let there = second.statistics().refused(RefusalKind::NoSuchLane).get();
        (first.statistics().refused_by_peer(RefusalKind::NoSuchLane).get(), there)
    };
    eventually("it is asked", || refusals() == (1, 1)).await;
    let (dialed, unharmed) = (first.statistics().dialed.get(), Unharmed::note(&first, &second));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(refusals(), (1, 1));
    assert_eq!(first.statistics().dialed.get(), dialed);
    assert_eq!(first.statistics().dial_failures.get(), 0);
    unharmed.check().await;

    second.peering.stop().await;
    drop(second);
    let second = Setup { incarnation: 11, ..with_processes(2) }.on(&wires).start().await;
    second.finds(&first);
    eventually("it has the lane now", || dialed_again(&first, &second)).await;
}

/// It was opened ten times a second, as long as both nodes ran.
#[tokio::test(start_paused = true)]
async fn a_lane_of_processes_that_ends_at_once_is_opened_less_and_less_often() {
    const MINUTES: Duration = Duration::from_secs(300);
    let wires = Arc::new(Wires::default());
    let (first, second) = pair(with_processes(1).on(&wires), with_processes(2).on(&wires)).await;
    let end_when_answered = async {
        loop {
            let answered =
                |session: &Arc<Session>| session.pulse.silent_ms(first.peering.link().now_ms()).is_some();
            if let Some(session) = dialed(&first, &second).filter(answered) {
                session.close("it ends at once");
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        biased;
        () = end_when_answered => unreachable!("it goes on for ever"),
        () = sleep(MINUTES) => {}
    }
    let opened =
        second.pushed.opened.lock().iter().filter(|session| session.lane() == Lane::Processes).count();
    // Each pause is between half of redial_max and all of it, but for the first few.
    assert!((60..=130).contains(&opened), "it was opened {opened} times");

    // One that has held for a while is opened again at once.
    eventually("it is open", || dialed(&first, &second).is_some()).await;
    sleep(Config::default().redial_max).await;
    let held = dialed(&first, &second).unwrap();
    held.close("it is over");
    let again = async {
        while dialed(&first, &second).is_none_or(|session| session.id() == held.id()) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(1), again).await.expect("it is not punished for the past");
    Unharmed::note(&first, &second).check().await;
}

fn dialed_again(first: &Node, second: &Node) -> bool {
    dialed(first, second).is_some() && opened(second).is_some()
}

/// The lane of mail is shared as that of processes is, and neither needs the other.
#[tokio::test]
async fn one_end_dials_the_lane_of_mail_and_both_push_on_it() {
    let with_mail = |raft_id| node(raft_id).with(|config| config.mail = true);
    let (first, second) = pair(with_mail(1), with_mail(2)).await;
    let dialed = |from: &Node, to: &Node| from.peering.link().table.dialed(to.id(), Lane::Mail);
    let opened =
        |at: &Node| at.pushed.opened.lock().iter().find(|session| session.lane() == Lane::Mail).cloned();
    eventually("the smaller id dials", || dialed(&first, &second).is_some() && opened(&second).is_some())
        .await;
    assert!(dialed(&second, &first).is_none());
    for (from, to) in [(&first, &second), (&second, &first)] {
        opened(from).unwrap().push_when_room(|buffer| buffer.extend(b"hello")).await.unwrap();
        eventually("it arrives", || to.pushed.frames.lock().iter().any(|frame| frame == b"hello")).await;
    }
    assert!(super::processes::opened(&first).is_none(), "nobody asked for the lane of processes");
    let third = node(3).start().await;
    let _control =
        raw::enter(third.peering.address(), &cookie(1), &raw::hello_of(&node(1), Lane::Control)).await;
    let hello = raw::hello_of(&node(1), Lane::Mail);
    assert_eq!(raw::refusal(third.peering.address(), &cookie(1), &hello).await, Refusal::NoSuchLane);
}
