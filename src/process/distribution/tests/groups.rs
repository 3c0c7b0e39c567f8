//! Groups: members of all nodes, changes told, partitions that heal.

use super::stage::*;
use crate::process::{ExitReason, Process, distribution::GroupError};

async fn eventually_members(
    node: &super::super::Distribution,
    group: &str,
    count: usize,
) -> Vec<Process<Say>> {
    let wait = async {
        loop {
            let members = node.groups().members::<Say>(group);
            if members.len() == count {
                return members;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("so many members")
}

#[tokio::test]
async fn members_are_known_everywhere_and_can_be_sent_to() {
    let (one, other, _lane) = pair();
    let (here, there) = (listener().await, listener().await);
    one.groups().join("workers", &here).unwrap();
    one.groups().join("workers", &here).unwrap();
    other.groups().join("workers", &there).unwrap();
    for node in [&one, &other] {
        for member in eventually_members(node, "workers", 2).await {
            member.cast(Say::Word("all".to_owned())).await.unwrap();
        }
    }
    assert_eq!(hears(&here, 2).await, ["all", "all"]);
    assert_eq!(hears(&there, 2).await, ["all", "all"]);
    assert_eq!(one.groups().local_members("workers"), std::slice::from_ref(&here));
    assert_eq!(one.groups().which_groups(), ["workers".into()]);
    assert!(one.groups().members::<Other>("workers").is_empty(), "these take other messages");

    assert!(one.groups().leave("workers", &here));
    assert!(!one.groups().leave("workers", &here));
    eventually_members(&other, "workers", 1).await;
    there.stop(ExitReason::Normal);
    for node in [&one, &other] {
        eventually_members(node, "workers", 0).await;
        assert!(node.groups().which_groups().is_empty());
    }
}

#[tokio::test]
async fn who_cannot_join_is_told_why() {
    let (one, other, _lane) = pair();
    let listener = listener().await;
    let far = seen(&listener, &one, &other);
    assert_eq!(other.groups().join("a", &far), Err(GroupError::Elsewhere));
    assert_eq!(one.groups().join("", &listener), Err(GroupError::Length));
    assert_eq!(one.groups().join(&"a".repeat(256), &listener), Err(GroupError::Length));
    listener.stop(ExitReason::Normal);
    listener.ended().await;
    assert_eq!(one.groups().join("a", &listener), Err(GroupError::NoProc));
    assert!(one.groups().which_groups().is_empty());
}

#[tokio::test]
async fn changes_are_told_to_who_monitors_the_group() {
    let (one, other, lane) = pair();
    let (here, there, observer) = (listener().await, listener().await, listener().await);
    one.groups().join("g", &here).unwrap();
    let (monitor, now) = one.groups().monitor("g", &observer, Say::Change).unwrap();
    assert_eq!(now, [here.id()]);
    other.groups().join("g", &there).unwrap();
    other.groups().join("another", &there).unwrap();
    assert_eq!(hears(&observer, 1).await, ["joined 1"]);
    lane.cut().await;
    assert_eq!(hears(&observer, 1).await, ["left 1"]);
    here.stop(ExitReason::Normal);
    assert_eq!(hears(&observer, 1).await, ["left 1"]);
    monitor.demonitor();
    let late = listener().await;
    one.groups().join("g", &late).unwrap();
    assert_eq!(heard(&observer).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_monitor_of_a_group_ends_with_its_observer() {
    let one = node(1);
    let observer = listener().await;
    let (_monitor, _now) = one.groups().monitor("g", &observer, Say::Change).unwrap();
    assert_eq!(one.groups().monitors(), 1);
    observer.stop(ExitReason::Normal);
    observer.ended().await;
    let forgotten = async {
        while one.groups().monitors() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("it ends with its observer");
}

#[tokio::test]
async fn a_process_is_told_of_changes_on_its_own_node_only() {
    let (one, other, _lane) = pair();
    let far = seen(&listener().await, &one, &other);
    let refused = other.groups().monitor("g", &far, Say::Change).err();
    assert_eq!((refused, other.groups().monitors()), (Some(GroupError::Elsewhere), 0));
}

/// Nobody else: neither the process that joined, nor the task that reads from the link.
#[tokio::test]
async fn a_panic_while_a_change_is_told_ends_the_observer_and_nobody_else() {
    let (one, other, _lane) = pair();
    let (here, there, broken, observer) =
        (listener().await, listener().await, listener().await, listener().await);
    for process in [&broken, &observer] {
        let is_broken = process == &broken;
        let make = move |change| if is_broken { panic!("boom") } else { Say::Change(change) };
        one.groups().monitor("g", process, make).unwrap();
    }
    other.groups().join("g", &there).unwrap();
    assert_eq!(broken.ended().await, boom());
    assert_eq!(hears(&observer, 1).await, ["joined 1"]);
    one.groups().join("g", &here).unwrap();
    assert_eq!(hears(&observer, 1).await, ["joined 1"]);
    settle(&one, &other).await;
    assert_eq!(one.groups().monitors(), 1);
}

#[tokio::test]
async fn a_partition_heals_and_all_know_the_same_again() {
    let (one, other, lane) = pair();
    let (here, there) = (listener().await, listener().await);
    one.groups().join("g", &here).unwrap();
    other.groups().join("g", &there).unwrap();
    eventually_members(&one, "g", 2).await;
    lane.cut().await;
    assert_eq!(eventually_members(&one, "g", 1).await, std::slice::from_ref(&here));
    assert_eq!(eventually_members(&other, "g", 1).await, std::slice::from_ref(&there));
    // Meanwhile each side goes on.
    other.groups().leave("g", &there);
    let new = listener().await;
    other.groups().join("g", &new).unwrap();
    let _lane = Lane::open(&one, &other);
    let expected = [here.id(), seen(&new, &other, &one).id()];
    let members = eventually_members(&one, "g", 2).await;
    assert_eq!(members.iter().map(Process::id).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_group_larger_than_a_frame_is_told_in_parts() {
    let (one, other) = (node(1), node(2));
    let mut all = Vec::new();
    for _ in 0..2_500 {
        let member = listener().await;
        one.groups().join("crowd", &member).unwrap();
        all.push(member);
    }
    let _lane = Lane::open(&one, &other);
    eventually_members(&other, "crowd", 2_500).await;
}

/// What happened before a monitor was set is in what it began with. It once was told again, if another one was being told of it.
#[tokio::test]
async fn a_monitor_is_not_told_of_what_it_began_with() {
    let one = node(1);
    let (first, second, early) = (listener().await, listener().await, listener().await);
    let late = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (groups, told, observer) = (one.groups(), std::sync::Arc::clone(&late), listener().await);
    let joins = (one.groups(), second.clone());
    // While it is told of the first, the second joins and another monitor is set.
    let make = move |change| {
        if told.lock().is_empty() {
            joins.0.join("g", &joins.1).unwrap();
            let (_, now) = groups.monitor("g", &observer, Say::Change).unwrap();
            told.lock().push((observer.clone(), now));
        }
        Say::Change(change)
    };
    one.groups().monitor("g", &early, make).unwrap();
    one.groups().join("g", &first).unwrap();
    assert_eq!(hears(&early, 2).await, ["joined 1", "joined 1"]);
    let (observer, now) = late.lock().pop().unwrap();
    assert_eq!(now, [first.id(), second.id()]);
    assert_eq!(heard(&observer).await, Vec::<String>::new());
    one.groups().leave("g", &first);
    assert_eq!(hears(&observer, 1).await, ["left 1"]);
}

/// A peer that tells what nobody may is not listened to any more.
#[tokio::test]
async fn a_name_of_a_group_that_is_too_long_ends_the_connection() {
    use super::super::frame::Frame;
    let (one, other, _lane) = pair();
    let connection = one.shared.connection_to(other.home().node).unwrap();
    let group = "g".repeat(256);
    connection.signal(&Frame::Joined { group: &group, mine: vec![(1, 1)] });
    let mut peers = other.peers();
    let parted = tokio::time::timeout(PATIENCE, peers.wait_for(|peers| peers.is_empty())).await;
    drop(parted.expect("they part"));
    assert!(other.groups().which_groups().is_empty());
}

/// All of it has to go to a peer at once.
#[tokio::test]
async fn what_would_be_too_much_to_tell_a_peer_is_refused() {
    let config = super::super::Config { signals_bytes_max: 20_000, ..Default::default() };
    let (one, other) = (start(1, 1, config), node(2));
    let listener = listener().await;
    let mut groups = 0;
    while one.groups().join(&format!("{groups:0>200}"), &listener).is_ok() {
        groups += 1;
        assert!(groups < 1_000, "it is bounded");
    }
    assert_eq!(one.groups().join("g", &listener), Err(GroupError::TooMany));
    let _lane = Lane::open(&one, &other);
    settle(&one, &other).await;
    assert_eq!(other.groups().which_groups().len(), groups);
}
