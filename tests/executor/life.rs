//! The life of a deployment: it forms, loses a container, is updated, grows, shrinks, and is stopped by mistake. Nothing that was
//! acknowledged is lost or happens twice.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use playhouse_statefulset::executor::machine::PodStatus;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    alone,
    deployment::{Deployment, PATIENCE, edited, production},
    load::Load,
};

/// How many clients there are at the same time: a debug binary on two cores has enough to do with them.
const CLIENTS: usize = 4;
/// How long somebody waits for a connection before the port counts as closed.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// How often somebody new tries all ports: pods hear of it within a moment.
const TRIES_MAX: usize = 5;

#[test]
fn a_deployment_lives_and_loses_nothing() {
    let _alone = alone();
    let Some(manifests) = production() else { return };
    let Some(deployment) = Deployment::prepare() else { return };
    let clients = &deployment.clients;
    clients.block_on(forms(&deployment, &manifests)).unwrap();
    policies_hold(&deployment);
    clients.block_on(under_load(&deployment, &manifests)).unwrap();
    clients.block_on(stopped_by_mistake(&deployment)).unwrap();
}

async fn forms(deployment: &Deployment, manifests: &str) {
    let begin = Instant::now();
    deployment.apply(manifests);
    deployment.until_ready(3).await;
    println!("executor: first deployment to ready: {:.1?}", begin.elapsed());
    deployment.until_settled().await;
    deployment.until_well().await;
    println!("executor: first deployment to three copies of everything: {:.1?}", begin.elapsed());
    deployment.accept_another_cookie().await;
}

/// Clients reach the gateway, the monitoring reaches the metrics, and nobody else reaches anything.
fn policies_hold(deployment: &Deployment) {
    let pod = deployment.executor.pods()[0].address;
    for (namespace, labels, open) in [
        ("ingress-nginx", [("app", "x")], [true, false, false]),
        ("monitoring", [("app", "x")], [false, true, false]),
        ("elsewhere", [("app.kubernetes.io/name", "playhouse")], [false, false, false]),
    ] {
        let somebody = deployment.executor.outsider(namespace, &labels).unwrap();
        let reached = somebody.block_on(async {
            let mut reached = [false; 3];
            for _ in 0..TRIES_MAX {
                let ports = [8080, 9090, 4370].map(|port| reaches(pod, port));
                let [gateway, ops, peer] = ports;
                reached = [gateway.await, ops.await, peer.await];
                if reached == open {
                    break;
                }
            }
            reached
        });
        assert_eq!(reached.unwrap(), open, "{namespace} reaches 8080, 9090, 4370");
    }
}

async fn reaches(address: Ipv4Addr, port: u16) -> bool {
    let connected = timeout(CONNECT_MAX, TcpStream::connect((address, port))).await;
    connected.is_ok_and(|connected| connected.is_ok())
}

/// No call fails, whatever is done in order.
async fn under_load(deployment: &Deployment, manifests: &str) {
    let load = Load::start("deployed", CLIENTS, || deployment.client());
    load.until_answers(50).await;
    loses_a_container(deployment).await;
    let manifests = is_updated(deployment, manifests).await;
    hangs(deployment).await;
    grows(deployment).await;
    shrinks(deployment, &manifests).await;
    load.until_answers(50).await;
    let mut book = load.stop().await;
    book.assert_no_failures();
    book.settle(&deployment.client()).await;
    for pod in deployment.executor.pods() {
        book.audit_by(&deployment.client_of(&pod.address.to_string()), &pod.name).await;
    }
}

/// A container that is killed is started again in its pod: with its address, and with its volume, which makes it the same member.
async fn loses_a_container(deployment: &Deployment) {
    let executor = &deployment.executor;
    let (members, before) = (deployment.members().await, executor.pods());
    let begin = Instant::now();
    executor.kill("playhouse-1").unwrap();
    executor.until(PATIENCE, || executor.pods()[1].restarts == 1).await.unwrap();
    let refused = executor.evict("playhouse-0").unwrap_err().to_string();
    assert!(refused.contains("disruption budget playhouse"), "{refused}");
    deployment.until_ready(3).await;
    println!("executor: killed pod to ready: {:.1?}", begin.elapsed());
    let after = executor.pods();
    let identity =
        |pods: &[PodStatus]| pods.iter().map(|pod| (pod.uid.clone(), pod.address)).collect::<Vec<_>>();
    assert_eq!(identity(&before), identity(&after));
    deployment.until_settled().await;
    deployment.until_well().await;
    assert_eq!(deployment.members().await, members);
}

/// Another release, and other settings: pods are exchanged from the highest on, one at a time, each with its volume.
async fn is_updated(deployment: &Deployment, manifests: &str) -> String {
    let members = deployment.members().await;
    let manifests = manifests.replace("playhouse.dev/release: 0.1.0", "playhouse.dev/release: 0.1.1");
    // A pod that hangs is found sooner; the next step waits for that.
    let manifests = edited(
        &manifests,
        "failureThreshold: 6",
        "failureThreshold: 3\n          terminationGracePeriodSeconds: 2",
    );
    let manifests = edited(&manifests, "periodSeconds: 10", "periodSeconds: 2");
    let begin = Instant::now();
    deployment.apply(&manifests);
    let order = exchanged(deployment).await;
    println!("executor: rolling update of three: {:.1?}", begin.elapsed());
    assert_eq!(order, ["playhouse-2", "playhouse-1", "playhouse-0"]);
    deployment.until_well().await;
    assert_eq!(deployment.members().await, members, "each has its volume");
    manifests
}

/// In which order pods were exchanged, until all are. Never are two missing.
async fn exchanged(deployment: &Deployment) -> Vec<String> {
    let executor = &deployment.executor;
    let uids = || executor.pods().into_iter().map(|pod| (pod.name, pod.uid)).collect::<BTreeMap<_, _>>();
    let (mut known, mut order) = (uids(), Vec::new());
    let look = || {
        let ready = executor.pods().iter().filter(|pod| pod.is_ready).count();
        assert!(ready >= 2, "{}", executor.report());
        for (name, uid) in uids() {
            if known.insert(name.clone(), uid.clone()).is_some_and(|before| before != uid) {
                order.push(name);
            }
        }
        executor.is_settled()
    };
    executor.until(PATIENCE, look).await.unwrap_or_else(|report| panic!("{report}"));
    order
}

/// A process that makes no step is found by the liveness probe, and started again.
async fn hangs(deployment: &Deployment) {
    let executor = &deployment.executor;
    let begin = Instant::now();
    executor.freeze("playhouse-2").unwrap();
    executor.until(PATIENCE, || executor.pods()[2].restarts == 1).await.unwrap();
    let found = begin.elapsed();
    deployment.until_ready(3).await;
    println!("executor: hanging pod to its end: {found:.1?}, to ready: {:.1?}", begin.elapsed());
    let end = executor.pods()[2].last_end.clone().unwrap();
    assert!(end.contains("Liveness failed") && end.contains("killed after 2s"), "{end}");
    deployment.until_settled().await;
    deployment.until_well().await;
}

/// More pods join by themselves, and take their share.
async fn grows(deployment: &Deployment) {
    let begin = Instant::now();
    deployment.executor.scale("playhouse", 5).unwrap();
    deployment.until_ready(5).await;
    println!("executor: three to five, to ready: {:.1?}", begin.elapsed());
    deployment.until_settled().await;
    deployment.until_well().await;
    println!("executor: three to five, to well: {:.1?}", begin.elapsed());
    assert_eq!(deployment.members().await.len(), 5);
}

/// First the nodes leave, then there are fewer pods.
async fn shrinks(deployment: &Deployment, manifests: &str) {
    let begin = Instant::now();
    let (code, said) = deployment.playhouse(&["scale", "3"]).await;
    assert_eq!(code, Some(0), "{said}");
    let left = begin.elapsed();
    // The manifests say three, as they always did.
    deployment.apply(manifests);
    deployment.until_settled().await;
    println!("executor: five to three: {left:.1?} until two have left, {:.1?} in all", begin.elapsed());
    for name in ["playhouse-4", "playhouse-3"] {
        let (code, said) = deployment.playhouse(&["forget", name]).await;
        assert_eq!(code, Some(0), "{said}");
    }
    deployment.until_well().await;
}

/// Two of three are taken away without a word to the cluster: nobody is answered until they are back, and nothing is lost.
async fn stopped_by_mistake(deployment: &Deployment) {
    let executor = &deployment.executor;
    let load = Load::start("mistaken", CLIENTS, || deployment.client());
    load.until_answers(50).await;
    let told = load.told();
    assert!(told.iter().any(|(_, value)| *value > 0));
    executor.scale("playhouse", 1).unwrap();
    executor.until(PATIENCE, || executor.pods().len() == 1).await.unwrap();
    let one = || executor.pods().first().is_some_and(|pod| !pod.is_ready);
    executor.until(PATIENCE, one).await.expect("one of three is not ready: it hears no majority");
    let pod = &executor.pods()[0];
    assert_eq!(pod.restarts, 0, "it waits, and is not killed for that");
    let begin = Instant::now();
    executor.scale("playhouse", 3).unwrap();
    deployment.until_ready(3).await;
    println!("executor: two of three back to ready: {:.1?}", begin.elapsed());
    load.until_answers(50).await;
    let mut book = load.stop().await;
    book.settle(&deployment.client()).await;
    deployment.until_settled().await;
    for pod in executor.pods() {
        book.audit_by(&deployment.client_of(&pod.address.to_string()), &pod.name).await;
    }
}
