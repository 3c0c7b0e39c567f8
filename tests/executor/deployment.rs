//! The production overlay, as `kubectl` renders it, and the Secrets that its operator makes.

use std::{path::Path, process::Command, time::Duration};

use playhouse_client::{Client, Config, Token};
use playhouse_statefulset::executor::{
    Objects,
    machine::{Executor, Image, Outsider},
};
use tokio::time::{Instant, sleep};

use crate::{
    nodes::new_cookie,
    privileges::{not_installed, not_tested},
};

/// How long something that must happen may take before a test gives up. Nothing here takes a fifth of it on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// How long a client tries: longer than a rollout leaves anybody without an answer, however busy the machine is.
const CLIENT_PATIENCE: Duration = Duration::from_secs(90);
/// How often a command is given again.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// The set, its client Service, and their port.
const NAME: &str = "playhouse";

/// The production overlay on this machine.
pub struct Deployment {
    /// Somebody in the namespace of the ingress controller: the policies let it send commands.
    pub clients: Outsider,
    pub executor: Executor,
    cookie: String,
    token: String,
}

/// The production overlay. `None`: it is not tested here, which was said.
pub fn production() -> Option<String> {
    let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("kustomize/overlays/production");
    let rendered = Command::new("kubectl").arg("kustomize").arg(overlay).output();
    let lacks = |error: &std::io::Error| not_installed("manifests", &format!("kubectl: {error}"));
    let output = rendered.inspect_err(lacks).ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Manifests with another text in one place.
pub fn edited(manifests: &str, from: &str, to: &str) -> String {
    assert_eq!(manifests.matches(from).count(), 1, "{from:?} is there once");
    manifests.replace(from, to)
}

/// `kubectl create secret generic NAME --from-file …`
fn create(executor: &Executor, name: &str, files: &[(&str, &str)]) {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    executor.create_secret(name, files.collect());
}

impl Deployment {
    /// A cluster with the Secrets, and nothing else yet. `None`: it is not tested here, which was said.
    pub fn prepare() -> Option<Self> {
        let image = Image {
            program: env!("CARGO_BIN_EXE_playhouse").into(),
            path: "/usr/local/bin/playhouse".into(),
            entry_point: vec!["/usr/local/bin/playhouse".to_owned()],
            arguments: vec!["run".to_owned()],
            user: 65_532,
        };
        let executor =
            Executor::new(image).inspect_err(|error| not_tested("a cluster", &error.to_string())).ok()?;
        let (cookie, token) = (new_cookie(), new_cookie());
        create(&executor, "playhouse-cookie", &[("cookie", &cookie), ("cookie-next", &cookie)]);
        create(&executor, "playhouse-admin", &[("tokens", &new_cookie())]);
        create(&executor, "playhouse-clients", &[("tokens", &token)]);
        let clients = executor.outsider("ingress-nginx", &[]).unwrap();
        Some(Self { clients, executor, cookie, token })
    }

    /// The first step of an exchange of the cookie: another one is accepted, too. Returns when each node has read it.
    pub async fn accept_another_cookie(&self) {
        create(
            &self.executor,
            "playhouse-cookie",
            &[("cookie", &self.cookie), ("cookie-next", &new_cookie())],
        );
        let has_read =
            |name: &str| self.executor.log(name).contains("the cookie was read again and is another one");
        let have_read = || self.executor.pods().iter().all(|pod| has_read(&pod.name));
        self.executor.until(PATIENCE, have_read).await.unwrap_or_else(|report| panic!("{report}"));
    }

    /// `kubectl apply`
    pub fn apply(&self, manifests: &str) {
        self.executor.apply(Objects::read(manifests).unwrap()).unwrap();
    }

    /// A client that knows only the Service.
    pub fn client(&self) -> Client {
        let address = self.executor.service(NAME).expect("the client Service has an address");
        self.client_of(&address.to_string())
    }

    /// A client of one pod.
    pub fn client_of(&self, host: &str) -> Client {
        let mut config = Config::new([format!("http://{host}:8080")]).unwrap();
        config.token = Some(Token::new(&self.token).unwrap());
        config.timeout = CLIENT_PATIENCE;
        config.connect_timeout = Duration::from_secs(1);
        config.backoff.max = Duration::from_millis(500);
        Client::new(config).unwrap()
    }

    /// `kubectl exec playhouse-0 -- playhouse …`: exit code and what it printed.
    pub async fn playhouse(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = vec!["/usr/local/bin/playhouse"];
        command.extend(arguments);
        command.extend(["--ops", "http://127.0.0.1:9090"]);
        command.extend(["--admin-token-file", "/etc/playhouse/admin/tokens"]);
        command.extend(["--token-file", "/etc/playhouse/clients/tokens"]);
        match self.executor.exec("playhouse-0", &command).await {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                (output.status.code(), String::from_utf8_lossy(&said).into_owned())
            }
            Err(error) => (None, error.to_string()),
        }
    }

    /// Returns when `playhouse status` finds nothing wrong.
    pub async fn until_well(&self) {
        let begin = Instant::now();
        loop {
            let (code, said) = self.playhouse(&["status"]).await;
            if code == Some(0) {
                return;
            }
            let report = || format!("the cluster does not become well: {said}\n{}", self.executor.report());
            assert!(begin.elapsed() < PATIENCE, "{}", report());
            sleep(ASK_EVERY).await;
        }
    }

    /// Returns when everything is as the manifests want it, and how long that took.
    pub async fn until_settled(&self) -> Duration {
        self.executor.until_settled(PATIENCE).await.unwrap_or_else(|report| panic!("{report}"))
    }

    /// Returns when so many pods are ready, and no other is there; and how long that took.
    pub async fn until_ready(&self, count: usize) -> Duration {
        let are_ready = || {
            let pods = self.executor.pods();
            pods.len() == count && pods.iter().all(|pod| pod.is_ready)
        };
        self.executor.until(PATIENCE, are_ready).await.unwrap_or_else(|report| panic!("{report}"))
    }

    /// Who is a member, and with which volume.
    pub async fn members(&self) -> Vec<(String, String)> {
        let (code, text) = self.playhouse(&["nodes", "--output", "json"]).await;
        assert_eq!(code, Some(0), "{text}");
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let members = all["members"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        members.map(|member| (text(&member["name"]), text(&member["raft_id"]))).collect()
    }
}
