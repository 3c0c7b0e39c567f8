//! Joins the rooms of a node.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use playhouse_cluster::{
    consensus::{GroupId, Leadership, RaftId},
    environment::{Environment, watch},
    identity::Identity,
    peering::{self, CONSENSUS, ConsensusService, Local, Peering, Service, ServiceId, processes::Processes},
    placement,
};

use super::{
    CHANGES_MAX, Links, NodeReport, Operator, Settings, StartError,
    cluster::{self, council::Council, links::PushedFrames, shards::Groups, starts::Books},
    meters,
    offline::Audit,
    report,
};
use crate::{
    entity::{KindRegistry, RegisterError},
    process::{ClusterNames, Distribution, Home, Registration},
    router::{Router, RouterIdentity},
    telemetry::Metrics,
};

/// Moves of shards under way in the whole cluster: each leader of many has the next one at hand when one of its
/// [`CHANGES_MAX`] is done.
const MOVES_MAX: usize = 4 * CHANGES_MAX;

pub(super) fn placement_config(settings: &Settings) -> placement::Config {
    let down_replaced_after_ms =
        u64::try_from(settings.place.down_replaced_after.as_millis()).unwrap_or(u64::MAX);
    placement::Config { moves_max: MOVES_MAX, down_replaced_after_ms }
}

pub(super) fn open_router(
    identity: &Identity,
    settings: &Settings,
    kinds: &Arc<KindRegistry>,
    metrics: &Metrics,
    environment: &Environment,
) -> Router {
    let router_identity =
        RouterIdentity { node: identity.raft_id().0, incarnation: identity.incarnation().0 };
    let answers = meters::answer_observer(metrics, kinds);
    Router::new(router_identity, settings.shards, Arc::clone(kinds), environment.clone(), answers)
}

/// The kinds that the node itself needs come behind those of people.
pub(super) fn with_internal_kinds(
    mut kinds: KindRegistry,
    settings: &Settings,
) -> Result<KindRegistry, StartError> {
    if settings.distribution.is_some() {
        match kinds.register::<Registration>() {
            // Whoever made the registry took care of it.
            Ok(()) | Err(RegisterError::Twice(_)) => {}
            Err(error) => return Err(StartError::Fatal { reason: error.to_string() }),
        }
    }
    Ok(kinds)
}

/// The way to other nodes.
pub(super) struct Way {
    pub(super) peering: Peering,
    pub(super) processes: Option<Processes>,
    pub(super) distribution: Option<Distribution>,
}

#[allow(clippy::too_many_arguments)] // One place calls it, and each is another matter.
pub(super) async fn open_peering(
    settings: &Settings,
    links: &Links,
    local: Local,
    identity: &Identity,
    router: &Router,
    groups: &Groups,
    others: &[(ServiceId, Arc<dyn Service>)],
    environment: &Environment,
) -> Result<Way, StartError> {
    let groups = groups.clone();
    let consensus = ConsensusService::new(move |group: GroupId, from: RaftId, request| {
        let Some(group) = groups.get(group) else {
            let none: BoxFuture<'static, _> =
                Box::pin(std::future::ready(Err("this node has no replica of that group".to_owned())));
            return none;
        };
        // Called in the order of arrival; only the answer is waited for.
        let answer = group.receive(from, request);
        Box::pin(async move { Ok(answer.await) })
    });
    let services: BTreeMap<ServiceId, Arc<dyn Service>> =
        others.iter().cloned().chain([(CONSENSUS, Arc::new(consensus) as Arc<dyn Service>)]).collect();
    let processes = match &settings.processes {
        Some(config) => Some(Processes::start(config.clone(), &local, environment).await?),
        None => None,
    };
    let distribution = distribution(settings, &local, environment);
    let lanes = links.config.shard_lanes.get();
    let frames = PushedFrames::new(router.clone(), lanes, processes.clone(), distribution.clone());
    let frames = Arc::new(frames);
    let (has_processes, mail) = (processes.is_some(), distribution.is_some());
    let config = peering::Config { processes: has_processes, mail, ..links.config.clone() };
    let peering = Peering::start(
        config,
        local,
        identity.cluster_id(),
        Arc::clone(&links.cookies),
        Arc::clone(&links.discovery),
        services,
        frames,
        environment.clone(),
    );
    Ok(Way { peering: peering.await?, processes, distribution })
}

/// The processes of this start of this node.
pub(super) fn distribution(
    settings: &Settings,
    local: &Local,
    environment: &Environment,
) -> Option<Distribution> {
    let home = Home { node: local.raft_id, incarnation: local.incarnation };
    let config = settings.distribution.clone()?;
    Some(Distribution::new(home, config, environment.clone()))
}

/// Names in the cluster, for the processes of this node.
pub(super) fn cluster_names(
    distribution: Option<&Distribution>,
    router: &Router,
    council: &Council,
    operator: &Operator,
) -> Option<ClusterNames> {
    let books = Books { known: council.system.known(), council: operator.way_to_council() };
    Some(ClusterNames::new(distribution?.clone(), router.clone(), books))
}

/// Makes reports of a node.
pub(super) type Report = Arc<dyn Fn() -> NodeReport + Send + Sync>;

/// Makes reports of this node.
pub(super) fn reporter(
    identity: &Arc<Identity>,
    council: &Council,
    groups: &Groups,
    recoveries: Vec<String>,
) -> Report {
    let (identity, council, groups) = (Arc::clone(identity), council.clone(), groups.clone());
    Arc::new(move || {
        let peers =
            council.peering.as_ref().map(|peering| peering.peers().borrow().clone()).unwrap_or_default();
        let suspect = |id: &RaftId| peers[id].liveness == playhouse_cluster::peering::Liveness::Suspect;
        let led = groups.all();
        let led = led.iter().filter_map(|(id, group)| report::shard_report(*id, group));
        let (system, shards): (Vec<_>, Vec<_>) =
            led.partition(|report| report.shard == cluster::system::SYSTEM.0);
        NodeReport {
            name: identity.name().to_owned(),
            raft_id: identity.raft_id(),
            incarnation: identity.incarnation(),
            leads_system: !system.is_empty(),
            system: system.into_iter().next(),
            suspects: peers.keys().copied().filter(suspect).collect(),
            shards,
            recoveries: recoveries.clone(),
        }
    })
}

/// What was forced upon the volume, for the log and for reports: the last of it.
pub(super) fn recoveries(data_dir: &Path) -> Vec<String> {
    let all = match Audit::of(data_dir).read_outcomes() {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(%error, "the record of recoveries cannot be read");
            return vec![error.to_string()];
        }
    };
    let (earlier, last) = all.split_at(all.len().saturating_sub(RECOVERIES_SHOWN_MAX));
    for entry in last {
        tracing::warn!(recovery = %entry, "this volume went on without a majority once");
    }
    let count = earlier.len();
    let more = (count > 0).then(|| format!("{count} more before, in the file `recoveries` on the volume"));
    more.into_iter().chain(last.iter().map(ToString::to_string)).collect()
}

/// How many recoveries are told.
const RECOVERIES_SHOWN_MAX: usize = 32;

/// Without its replica of the system group a node follows nothing any more.
pub(super) async fn tell_stopped(
    mut leadership: watch::Receiver<Leadership>,
    stopped: watch::Receiver<bool>,
    fatal: watch::Sender<Option<String>>,
) {
    drop(leadership.wait_for(|leadership| *leadership == Leadership::Stopped).await);
    if !*stopped.borrow() {
        let reason = "the Raft group of the configuration stopped";
        tracing::error!(reason, "the node cannot serve");
        fatal.send_first(reason.to_owned());
    }
}

/// Returns when a task of the node panicked, with why the node cannot go on: nobody does the work of that task before the next start.
pub(super) async fn panicked(mut first: watch::Receiver<Option<&'static str>>) -> String {
    let name = first.wait_for(Option::is_some).await.ok().and_then(|name| *name);
    // Without one, everything that could panic has ended in order.
    let Some(name) = name else { return std::future::pending().await };
    format!("the task {name} panicked, which is a bug; standard error has what it said")
}

/// Makes a panic of a task the end of the node.
pub(super) async fn tell_panicked(
    first: watch::Receiver<Option<&'static str>>,
    fatal: watch::Sender<Option<String>>,
) {
    tokio::select! {
        biased;
        () = fatal.closed() => {}
        reason = panicked(first) => fatal.send_first(reason),
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::consensus::Term;

    use super::*;

    /// What `tell_stopped` says when the group goes from `Leader` to `Stopped`.
    async fn told(is_stopping: bool) -> Option<String> {
        let (lead, leadership) = watch::channel(Leadership::Leader { term: Term(1) });
        let (_stop, stopped) = watch::channel(is_stopping);
        let (tell, fatal) = watch::channel(None);
        let mut telling = std::pin::pin!(tell_stopped(leadership, stopped, tell));
        assert!(futures_util::poll!(&mut telling).is_pending(), "nothing has stopped yet");
        lead.send_replace(Leadership::Stopped);
        telling.await;
        fatal.borrow().clone()
    }

    /// A node without its replica of the configuration once went on for ever with what it knew last.
    #[tokio::test]
    async fn a_system_group_that_stops_is_the_end_of_the_node() {
        let reason = told(false).await.expect("the node is told to end");
        assert!(reason.contains("configuration stopped"), "{reason}");
    }

    /// What it does is done by nobody then: a shard without its mover once kept its place for ever.
    #[tokio::test]
    async fn a_task_that_panics_is_the_end_of_the_node() {
        let environment = Environment::simulated(1);
        let (tell, mut fatal) = watch::channel(None);
        environment.spawn(tell_panicked(environment.panicked(), tell));
        let mover = environment.spawn_vital("mover of a shard", async { panic!("as the test wants") });
        assert!(mover.await.unwrap_err().is_panic());
        let reason = fatal.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(reason.contains("mover of a shard panicked"), "{reason}");
    }

    #[tokio::test]
    async fn the_end_of_all_tasks_is_no_panic() {
        let (tell, fatal) = watch::channel(None);
        let (tasks, first) = watch::channel(None);
        let mut telling = std::pin::pin!(tell_panicked(first, tell));
        assert!(futures_util::poll!(&mut telling).is_pending());
        drop(tasks);
        assert!(futures_util::poll!(&mut telling).is_pending());
        assert_eq!(*fatal.borrow(), None);
    }

    #[tokio::test]
    async fn at_an_orderly_stop_it_is_no_news() {
        assert_eq!(told(true).await, None);
    }
}
