//! Health, probes and commands for operators of one node, on its ops port.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE},
    http::request::Builder,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Address, ClientError, Config, Failure, Problem, ReadError,
    client::Shared,
    error::{Ended, beginning},
    failure::{GaveUp, Outcome},
    transport::Answer,
};

/// The ops port of one node. It is asked once: what is asked is whether it answers now.
#[derive(Debug)]
pub struct Ops {
    shared: Shared,
    address: Address,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `up` when all is well; else `stuck`, `starting` or `unready`.
    pub status: String,
    /// The node's release.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Its name.
    pub node: String,
    /// What was looked at.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Whether the server said so with a success status.
    #[serde(skip)]
    pub healthy: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// `passed` when it is well, else `failed`.
    pub status: String,
    /// For people.
    #[serde(default)]
    pub detail: Option<String>,
    /// How long looking took, in milliseconds.
    #[serde(default)]
    pub duration_ms: f64,
}

/// What a probe such as `readyz` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Whether it succeeded.
    pub ok: bool,
    /// Why, or why not.
    pub detail: String,
}

impl Ops {
    /// The ops port at `address`, such as `http://127.0.0.1:9090`. Token, timeouts and limits are those of `config`;
    /// its addresses are not used.
    ///
    /// # Errors
    ///
    /// As [`Client::new`](crate::Client::new).
    pub fn new(address: Address, config: Config) -> Result<Self, ClientError> {
        let shared = Shared::new(Config { addresses: vec![address.clone()], ..config })?;
        Ok(Self { shared, address })
    }

    /// Which address it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// `/health`, whether it says well or unwell.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; never because the node is unwell.
    pub async fn health(&self) -> Result<Health, ReadError> {
        let answer = self.ask("/health").await?;
        let health: Result<Health, _> = serde_json::from_slice(&answer.body);
        match health {
            Ok(health) => Ok(Health { healthy: answer.status.is_success(), ..health }),
            Err(source) if answer.status.is_success() => {
                Err(ReadError::Decode { source, answer: beginning(&answer.body) })
            }
            Err(_) => Err(ReadError::Rejected(Problem::read(answer.status, &answer.headers, &answer.body))),
        }
    }

    /// A probe by its name: `livez`, `readyz` or `startupz`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; never because the probe fails.
    pub async fn probe(&self, name: &str) -> Result<Probe, ReadError> {
        let answer = self.ask(&format!("/{name}")).await?;
        let detail = beginning(&answer.body).trim().to_owned();
        Ok(Probe { ok: answer.status.is_success(), detail })
    }

    /// Gives a command of those that `GET /admin/v1` lists. The token is that of an admin.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. Only [`ReadError::Rejected`] with a status below 500 says for sure that nothing changed; to give the
    /// same command again is safe.
    pub async fn act<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &serde_json::Value,
    ) -> Result<T, ReadError> {
        let mut request = Request::post(self.address.join(&format!("/admin/v1/{name}")))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.shared.config.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        let body = Full::new(Bytes::from(arguments.to_string()));
        let answer = self.exchange(request, body, self.shared.config.timeout).await?;
        if !answer.status.is_success() {
            return Err(ReadError::Rejected(Problem::read(answer.status, &answer.headers, &answer.body)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|source| ReadError::Decode { source, answer: beginning(&answer.body) })
    }

    async fn ask(&self, path: &str) -> Result<Answer, Ended> {
        let wait = self.shared.config.timeout.min(self.shared.config.attempt_timeout);
        let request = Request::get(self.address.join(path));
        self.exchange(request, Full::new(Bytes::new()), wait).await
    }

    async fn exchange(&self, request: Builder, body: Full<Bytes>, wait: Duration) -> Result<Answer, Ended> {
        let start = tokio::time::Instant::now();
        let reads = request.method_ref() == Some(&Method::GET);
        let request = request.body(body).expect("path and headers are ours");
        let answer = self.shared.transport.exchange(&self.address, request, wait).await;
        answer.map_err(|last: Failure| {
            let is_known = reads || last.nothing_happened();
            let outcome = if is_known { Outcome::NothingHappened } else { Outcome::Unknown };
            Ended::GaveUp(Box::new(GaveUp {
                attempts: 1,
                elapsed: start.elapsed(),
                outcome,
                idempotency_key: None,
                last,
            }))
        })
    }
}
