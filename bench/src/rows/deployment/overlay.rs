//! The production overlay and the Secrets that its operator makes, on this machine.

use std::time::Duration;

use playhouse_client::{Client, Config, Token};
use playhouse_statefulset::executor::{
    Objects,
    machine::{Executor, Image, Outsider, Unavailable},
};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::CHILD;
use crate::child::own_program;

/// As they are reviewed.
pub(super) const MANIFESTS: &str = include_str!("../../../../kustomize/rendered/production.yaml");
const RELEASE: &str = concat!("playhouse.dev/release: ", env!("CARGO_PKG_VERSION"));

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the command line is asked: what it answers is known that much later.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The set, its client Service, and the one that is killed.
const NAME: &str = "playhouse";
const VICTIM: &str = "playhouse-1";
const PROGRAM: &str = "/usr/local/bin/playhouse";
const USER: u32 = 65_532;

/// No network leads to these nodes, so it may be known.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The production overlay on this machine. All of it is gone when dropped.
pub(super) struct Overlay {
    /// Somebody whom the policies let send commands.
    pub(super) clients: Outsider,
    executor: Executor,
}

/// What `playhouse nodes` says, as far as it is wanted.
#[derive(Deserialize)]
struct Nodes {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    /// Known if it was heard.
    leads: Option<usize>,
}

/// The manifests with another release.
pub(super) fn next_release() -> String {
    assert!(MANIFESTS.contains(RELEASE), "the manifests are of this release");
    MANIFESTS.replace(RELEASE, "playhouse.dev/release: next")
}

impl Overlay {
    /// A cluster with the Secrets, and nothing else yet.
    pub(super) fn prepare() -> Result<Self, Unavailable> {
        let executor = Executor::new(Image {
            program: own_program(),
            path: PROGRAM.into(),
            entry_point: [PROGRAM, CHILD].map(str::to_owned).into(),
            arguments: vec!["run".to_owned()],
            user: USER,
        })?;
        for (name, files) in [
            ("playhouse-cookie", ["cookie", "cookie-next"].as_slice()),
            ("playhouse-admin", &["tokens"]),
            ("playhouse-clients", &["tokens"]),
        ] {
            let files = files.iter().map(|file| ((*file).to_owned(), SECRET.to_owned()));
            executor.create_secret(name, files.collect());
        }
        Ok(Self { clients: executor.outsider("ingress-nginx", &[])?, executor })
    }

    pub(super) fn apply(&self, manifests: &str) {
        let objects = Objects::read(manifests).expect("the manifests of production are understood");
        self.executor.apply(objects).expect("nothing immutable changed");
    }

    pub(super) fn scale(&self, nodes: u32) {
        self.executor.scale(NAME, nodes).expect("the set is there");
    }

    /// Kills a container, and returns when another one has taken its place.
    pub(super) async fn kill(&self) {
        let restarts = || self.executor.pods().iter().find(|pod| pod.name == VICTIM).map(|pod| pod.restarts);
        let before = restarts();
        self.executor.kill(VICTIM).expect("it runs");
        self.until(|| restarts() > before).await;
    }

    /// A client that knows only the Service, with the defaults of clients.
    pub(super) fn client(&self) -> Client {
        let address = self.executor.service(NAME).expect("the client Service has an address");
        let mut config = Config::new([format!("http://{address}:8080")]).expect("it is an address");
        config.token = Some(Token::new(SECRET).expect("it is a token"));
        Client::new(config).expect("this machine has clients")
    }

    /// Returns when so many pods are ready, and no other is there.
    pub(super) async fn until_ready(&self, count: u32) {
        self.until(|| {
            let pods = self.executor.pods();
            pods.len() == count as usize && pods.iter().all(|pod| pod.is_ready)
        })
        .await;
    }

    /// Returns when everything is as the manifests want it.
    pub(super) async fn until_settled(&self) {
        self.until(|| self.executor.is_settled()).await;
    }

    async fn until(&self, is_so: impl FnMut() -> bool) {
        self.executor.until(PATIENCE, is_so).await.unwrap_or_else(|report| panic!("{report}"));
    }

    /// Returns when `playhouse status` finds nothing wrong.
    pub(super) async fn until_well(&self) {
        self.until_said(&["status"], |_| true).await;
    }

    /// Returns when each of so many nodes leads some shards, and nothing has moved for 2 s.
    pub(super) async fn until_shared(&self, count: u32) {
        let have_shares = |said: &str| {
            let nodes: Nodes = serde_json::from_str(said).expect("it says what docs/cli.md tells");
            let leads = |member: &&Member| member.leads.is_some_and(|leads| leads > 0);
            nodes.members.iter().filter(leads).count() == count as usize
        };
        self.until_said(&["nodes", "--output", "json"], have_shares).await;
        self.playhouse(&["scale", &count.to_string()]).await;
    }

    /// Returns when a command goes well and says what is wanted.
    async fn until_said(&self, arguments: &[&str], is_so: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        loop {
            let said = self.ask(arguments).await;
            if said.as_deref().is_ok_and(&is_so) {
                return;
            }
            let report = || format!("{arguments:?}: {said:?}\n{}", self.executor.report());
            assert!(begin.elapsed() < PATIENCE, "{}", report());
            sleep(ASK_EVERY).await;
        }
    }

    /// A command of operators, in a pod, which must go well.
    pub(super) async fn playhouse(&self, arguments: &[&str]) {
        let said = self.ask(arguments).await;
        drop(said.unwrap_or_else(|said| panic!("{arguments:?}: {said}\n{}", self.executor.report())));
    }

    /// What it said, whether it went well or not.
    async fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let command = [&[PROGRAM, CHILD], arguments].concat();
        let output = self.executor.exec("playhouse-0", &command).await.map_err(|error| error.to_string())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (said, complaint) = (text(output.stdout), text(output.stderr));
        if output.status.success() { Ok(said) } else { Err(said + &complaint) }
    }
}
