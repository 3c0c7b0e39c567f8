//! Names of processes in the whole cluster: three nodes in one process, on a simulated network, under one paused clock.

#![allow(clippy::unwrap_used)] // All of this is a test.

#[path = "cluster_names/cluster.rs"]
mod cluster;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use playhouse::{
    entity::Entity,
    gateway::Entities,
    process::{CallError, CastError, ExitReason, Mailbox, NameError, Registration},
    protocol::{self, Body, EntityId, Request, RequestId},
};

use self::cluster::{Cluster, LONG, Only, Other, Say, Stage, eventually, listener};

#[tokio::test(start_paused = true)]
async fn a_name_is_known_on_all_nodes_and_has_one_holder() {
    let cluster = Cluster::start().await;
    let (first, second) = (listener().await, listener().await);
    cluster.names(0).register("printer", &first).await.unwrap();
    for at in 0..3 {
        let names = cluster.names(at);
        assert_eq!(names.call("printer", Say::Answer, LONG).await, Ok(first.id().to_string()));
        assert!(names.whereis::<Other>("printer").await.unwrap().is_none(), "it takes other messages");
    }
    assert_eq!(
        cluster.names(0).whereis("printer").await,
        Ok(Some(first.clone())),
        "it is the process itself"
    );
    for (at, process) in [(0, &first), (0, &second), (1, &second)] {
        let again = cluster.names(at).register("printer", process).await;
        assert!(
            matches!(again, Err(NameError::Taken(id)) if id.home() == (at != 0).then(|| cluster.home(0))),
            "{again:?}"
        );
    }
    let far = cluster.names(1).whereis::<Say>("printer").await.unwrap().unwrap();
    assert_eq!(cluster.names(1).register("other", &far).await, Err(NameError::Elsewhere));
    assert!(matches!(cluster.names(1).register("", &second).await, Err(NameError::Name(_))));
    cluster.names(1).cast("printer", Say::End(ExitReason::Normal)).await.unwrap();
    assert_eq!(first.ended().await, ExitReason::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_when_its_process_has_ended_or_somebody_takes_it_away() {
    let cluster = Cluster::start().await;
    let (first, second, third) = (listener().await, listener().await, listener().await);
    cluster.names(0).register("printer", &first).await.unwrap();
    first.stop(ExitReason::Shutdown);
    // At once: whoever wants the name asks the node of the holder.
    cluster.names(1).register("printer", &second).await.unwrap();
    assert_eq!(cluster.names(2).call("printer", Say::Answer, LONG).await, Ok(second.id().to_string()));
    // What the first one leaves behind does not touch the second.
    tokio::time::sleep(LONG).await;
    assert_eq!(cluster.names(2).call("printer", Say::Answer, LONG).await, Ok(second.id().to_string()));

    assert_eq!(cluster.names(2).unregister("printer").await, Ok(true));
    assert_eq!(cluster.names(2).unregister("printer").await, Ok(false));
    assert_eq!(cluster.names(0).cast("printer", Say::End(ExitReason::Normal)).await, Err(CastError::NoProc));
    assert_eq!(cluster.names(0).call("printer", Say::Answer, LONG).await, Err(CallError::NoProc));
    cluster.names(2).register("printer", &third).await.unwrap();
    second.stop(ExitReason::Shutdown);
    tokio::time::sleep(LONG).await;
    assert_eq!(cluster.names(0).call("printer", Say::Answer, LONG).await, Ok(third.id().to_string()));

    // Without anybody who wants it, its node frees it.
    third.stop(ExitReason::Shutdown);
    third.ended().await;
    let (own, other) = (cluster.names(2), cluster.names(0));
    let is_free = async || other.whereis::<Say>("printer").await == Ok(None);
    eventually("it is free", is_free).await;
    first.ended().await;
    assert_eq!(own.register("printer", &first).await, Err(NameError::NoProc));
    eventually("it is free again", is_free).await;
}

/// Once nobody freed it then, as long as its process lived, and it was taken by that process itself.
#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_waited_for_is_taken_back() {
    let cluster = Cluster::start().await;
    let (process, names) = (listener().await, cluster.names(1));
    let entries = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (polls, name) in entries.iter().enumerate() {
        let mut register = Box::pin(names.register(name, &process));
        for _ in 0..polls {
            if futures_util::poll!(&mut register).is_ready() {
                assert_eq!(names.unregister(name).await, Ok(true));
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    for name in entries {
        let other = cluster.names(0);
        eventually("it is free", async || other.whereis::<Say>(name).await == Ok(None)).await;
        names.register(name, &process).await.unwrap();
    }
    // Whoever asks again at once does not meet himself.
    for name in entries {
        assert_eq!(names.unregister(name).await, Ok(true));
        drop(
            tokio::time::timeout(std::time::Duration::from_micros(10), names.register(name, &process)).await,
        );
        names.register(name, &process).await.unwrap();
    }
    tokio::time::sleep(LONG).await;
    for name in entries {
        assert_eq!(cluster.names(0).call(name, Say::Answer, LONG).await, Ok(process.id().to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_of_a_node_that_is_gone_is_kept_until_the_cluster_gives_the_node_up() {
    let mut cluster = Cluster::start().await;
    let (first, second) = (listener().await, listener().await);
    cluster.names(2).register("printer", &first).await.unwrap();
    let old = cluster.home(2);
    cluster.crash(2);
    let names = cluster.names(0);
    let mut was_taken = false;
    eventually("it is given up", async || match names.register("printer", &second).await {
        Ok(()) => true,
        Err(NameError::Taken(id)) => {
            was_taken |= id.home() == Some(old);
            false
        }
        // The shard has no leader for a while.
        Err(NameError::Unavailable(_)) => false,
        Err(error) => panic!("{error}"),
    })
    .await;
    assert!(was_taken, "silence alone frees nothing");
    let found = cluster.names(1).call("printer", Say::Answer, LONG).await;
    assert_eq!(found, Ok(second.id().to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_name_of_an_earlier_start_is_free_when_the_next_one_is_there() {
    let mut cluster = Cluster::start().await;
    let (first, second) = (listener().await, listener().await);
    cluster.names(2).register("printer", &first).await.unwrap();
    cluster.names(2).register("scanner", &first).await.unwrap();
    cluster.crash(2);
    cluster.restart(2).await;
    let (own, other) = (cluster.names(2), cluster.names(0));
    eventually("for the node itself", async || own.register("printer", &second).await.is_ok()).await;
    eventually("for others", async || other.register("scanner", &second).await.is_ok()).await;
    for name in ["printer", "scanner"] {
        let found = cluster.names(1).call(name, Say::Answer, LONG).await;
        assert_eq!(found, Ok(second.id().to_string()), "{name}");
    }
}

/// It once was taken for ever, since the books had no member with that volume any more.
#[tokio::test(start_paused = true)]
async fn a_name_of_a_node_that_lost_its_volume_is_free() {
    let mut cluster = Cluster::start().await;
    let (first, second) = (listener().await, listener().await);
    cluster.names(2).register("printer", &first).await.unwrap();
    cluster.names(2).register("scanner", &first).await.unwrap();
    let old = cluster.home(2);
    cluster.crash(2);
    cluster.lose_volume(2);
    cluster.restart(2).await;
    assert_ne!(cluster.home(2).node, old.node, "an empty volume is another one");
    let (own, other) = (cluster.names(2), cluster.names(0));
    eventually("for the node itself", async || own.register("printer", &second).await.is_ok()).await;
    eventually("for others", async || other.register("scanner", &second).await.is_ok()).await;
    assert_eq!(cluster.names(1).call("printer", Say::Answer, LONG).await, Ok(second.id().to_string()));
}

/// Whoever is cut off ends it before another node starts it.
#[tokio::test(start_paused = true)]
async fn a_singleton_moves_and_never_runs_twice() {
    let cluster = Cluster::start().await;
    let stage = Stage::default();
    let mut parts = Vec::new();
    for at in 0..3 {
        let stage = stage.clone();
        let part =
            cluster.names(at).singleton("only", Mailbox::default(), move || (Only::default(), stage.clone()));
        parts.push(part.unwrap());
    }
    let first = where_runs(&cluster, 0).await;
    for at in 0..3 {
        assert_eq!(where_runs(&cluster, at).await, first, "all see the same");
    }
    cluster.cut_off(first);
    let other = (first + 1) % 3;
    eventually("another one keeps it", async || runs_at(&cluster, other).await.is_some_and(|at| at != first))
        .await;
    assert_eq!(stage.running(), 1, "the first has ended");
    cluster.heal();
    tokio::time::sleep(LONG).await;
    let second = where_runs(&cluster, first).await;
    assert_eq!(where_runs(&cluster, second).await, second);

    // It ends by itself: it is started again. Its node takes no part any more: another one starts it.
    let starts = stage.starts();
    cluster.names(first).cast("only", Say::End(ExitReason::Normal)).await.unwrap();
    eventually("it is started again", async || stage.starts() > starts).await;
    let at = where_runs(&cluster, first).await;
    parts.remove(at).stop().await;
    assert_eq!(stage.running(), 0);
    eventually("one of the rest keeps it", async || runs_at(&cluster, at).await.is_some_and(|now| now != at))
        .await;
    assert_eq!((stage.running(), stage.running_max()), (1, 1));
    for part in parts {
        part.stop().await;
    }
    assert_eq!(stage.running(), 0);
}

/// The keeper stayed where it was, held its name, and started nothing: no other node could.
#[tokio::test(start_paused = true)]
async fn a_singleton_that_cannot_be_made_is_tried_again() {
    let cluster = Cluster::start().await;
    let (stage, tries) = (Stage::default(), Arc::new(AtomicUsize::new(0)));
    let (to_make, tried) = (stage.clone(), Arc::clone(&tries));
    let make = move || {
        assert!(tried.fetch_add(1, SeqCst) > 0, "planned: the first try fails");
        (Only::default(), to_make.clone())
    };
    let part = cluster.names(0).singleton("only", Mailbox::default(), make).unwrap();
    assert_eq!(where_runs(&cluster, 1).await, 0);
    assert_eq!((stage.running(), tries.load(SeqCst)), (1, 2));
    part.stop().await;
    assert_eq!(stage.running(), 0);
}

/// It went on for as long as it liked, while another node had every right to start it.
#[tokio::test(start_paused = true)]
async fn a_singleton_that_is_slow_to_stop_is_killed_when_its_node_is_cut_off() {
    let cluster = Cluster::start().await;
    let stage = Stage::default();
    let slow = stage.clone();
    let make = move || (Only { last_words: LONG * 10 }, slow.clone());
    let part = cluster.names(0).singleton("only", Mailbox::default(), make).unwrap();
    assert_eq!(where_runs(&cluster, 1).await, 0);
    let stopped = tokio::time::timeout(LONG, part.stop());
    let cut = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(stage.running(), 1, "nobody hurries it");
        cluster.cut_off(0);
    };
    let (stopped, ()) = tokio::join!(stopped, cut);
    assert!(stopped.is_ok(), "it is killed");
    assert_eq!(stage.running(), 0);
}

/// Where the singleton runs, as a node sees it.
async fn runs_at(cluster: &Cluster, seen_by: usize) -> Option<usize> {
    let home = cluster.names(seen_by).whereis::<Say>("only").await.ok()??;
    home.call(Say::Answer, LONG).await.ok()?;
    let home = home.id().home().unwrap_or(cluster.home(seen_by));
    (0..3).find(|at| cluster.home(*at) == home)
}

async fn where_runs(cluster: &Cluster, seen_by: usize) -> usize {
    let mut found = None;
    eventually("it runs", async || {
        found = runs_at(cluster, seen_by).await;
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Names are kept by entities, but those are nobody's business.
#[tokio::test(start_paused = true)]
async fn the_entities_behind_names_cannot_be_reached_from_outside() {
    let cluster = Cluster::start().await;
    let router = cluster.router(0);
    let hidden = Entities::kinds(&router);
    assert!(hidden.iter().all(|kind| kind.kind.as_str() != Registration::KIND));
    assert!(hidden.iter().any(|kind| kind.kind.as_str() == "counter"));
    let request = Request {
        target: EntityId::new(Registration::KIND, "printer").unwrap(),
        body: Body::json("\"Whereis\"".to_owned()),
        request_id: RequestId::random(router.environment()),
        idempotency_key: None,
        timeout: LONG,
        trace: None,
    };
    let refused = Entities::start(&router, request).err();
    assert!(matches!(refused, Some(protocol::CallError::UnknownKind { .. })), "{refused:?}");
}
