//! The executor notices what a cluster would notice: with a broken manifest nothing becomes ready, and the reason can be read.

use std::time::Duration;

use playhouse_statefulset::executor::Objects;

use crate::{
    alone,
    deployment::{Deployment, PATIENCE, edited, production},
};

/// How long a deployment that cannot become ready is watched after its reason is known.
const WATCHED: Duration = Duration::from_secs(4);

/// What the readiness probe of a node answers that waits for its cluster.
const NOT_READY: &str = "/readyz: status 503: failed  serving: the node is starting, and waits for ";
/// What a node says whose discovery finds nobody.
const NOBODY: &str = "discovery found nothing";

/// Applies what is broken; returns when report and logs have the reasons, and nothing is ready a good while later.
fn is_never_ready(deployment: &Deployment, manifests: &str, reasons: &[&str]) {
    let executor = &deployment.executor;
    let watched = deployment.clients.block_on(async {
        deployment.apply(manifests);
        let told = || {
            let logs = executor.pods().into_iter().map(|pod| executor.log(&pod.name));
            let all: String = logs.chain([executor.report()]).collect();
            reasons.iter().all(|reason| all.contains(reason))
        };
        executor
            .until(PATIENCE, told)
            .await
            .unwrap_or_else(|report| panic!("{reasons:?} is not told:\n{report}"));
        executor.until_settled(WATCHED).await
    });
    let report = watched.unwrap().expect_err("it does not become ready");
    assert!(executor.pods().iter().all(|pod| !pod.is_ready), "{report}");
    println!("noticed: {}", report.lines().nth(1).unwrap_or_default());
}

#[test]
fn a_discovery_name_that_nobody_has_is_noticed() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let name = r#"discovery_name = "playhouse-peers""#;
    let broken = edited(&manifests, name, r#"discovery_name = "playhouse-pears""#);
    is_never_ready(&deployment, &broken, &[NOT_READY, NOBODY, "playhouse-pears"]);
}

#[test]
fn peers_that_are_published_only_when_ready_are_noticed() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let broken = edited(&manifests, "publishNotReadyAddresses: true", "publishNotReadyAddresses: false");
    is_never_ready(&deployment, &broken, &[NOT_READY, NOBODY, "playhouse-peers"]);
}

#[test]
fn a_probe_at_the_wrong_port_is_noticed() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let probe = "path: /readyz\n            port: ops";
    let broken = edited(&manifests, probe, "path: /readyz\n            port: 9091");
    is_never_ready(&deployment, &broken, &[":9091: Connection refused"]);
}

#[test]
fn a_secret_that_nobody_made_is_waited_for() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let broken = edited(&manifests, "secretName: playhouse-cookie", "secretName: playhouse-cake");
    is_never_ready(&deployment, &broken, &["ContainerCreating: Secret playhouse-cake not found"]);
    assert!(deployment.executor.pods().iter().all(|pod| pod.pid.is_none()), "nothing was started");
}

/// Policies that cut the peers off are put into force, not only read.
#[test]
fn a_policy_without_the_peers_is_noticed() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let broken = manifests.replace(
        "port: 4370\n      protocol: TCP\n  podSelector",
        "port: 4371\n      protocol: TCP\n  podSelector",
    );
    assert_ne!(broken, manifests);
    is_never_ready(&deployment, &broken, &[NOT_READY, "cannot connect to a peer"]);
}

#[test]
fn a_setting_that_nothing_reads_is_noticed() {
    let _alone = alone();
    let (Some(manifests), Some(deployment)) = (production(), Deployment::prepare()) else { return };
    let broken = manifests.replace("PLAYHOUSE_BOOTSTRAP__INITIATOR:", "PLAYHOUSE_BOOTSTRAP__INITATOR:");
    assert_ne!(broken, manifests);
    is_never_ready(&deployment, &broken, &["CrashLoopBackOff", "initator"]);
}

/// What nobody understands must not be passed over.
#[test]
fn a_field_that_the_executor_does_not_know_is_refused() {
    let Some(manifests) = production() else { return };
    assert!(Objects::read(&manifests).is_ok());
    let broken = edited(&manifests, "terminationGracePeriodSeconds: 45", "terminationGracePeriod: 45");
    let refused = Objects::read(&broken).unwrap_err().to_string();
    assert!(
        refused.contains("spec.template.spec") && refused.contains("terminationGracePeriod"),
        "{refused}"
    );
}
