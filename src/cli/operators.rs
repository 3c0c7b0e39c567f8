//! How commands for operators reach the cluster: over the ops port of any of its nodes.

use std::path::PathBuf;

use playhouse_client::{Address, Config, Ops, Problem, ReadError, Token};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Exit, Failure, health::OPS_PORT, server::Server};

/// The longest answer with a part of a shard; one value of a shard is far smaller.
const LARGE_ANSWER_BYTES_MAX: usize = 96 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Operators {
    /// Address of a node's ops port; repeat it, and another one is asked when one does not answer; unless given, the host
    /// of each --server at port 9090
    #[arg(long, env = "PLAYHOUSE_OPS", value_name = "URL", value_delimiter = ',')]
    ops: Vec<Address>,

    /// File whose first line is an admin token
    #[arg(long, env = "PLAYHOUSE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl Operators {
    /// Where to ask.
    pub(super) fn addresses(&self, server: &Server) -> Vec<Address> {
        if !self.ops.is_empty() {
            return self.ops.clone();
        }
        let mut addresses: Vec<_> =
            server.addresses().iter().map(|address| address.with_port(OPS_PORT)).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// A way to give commands, one after the other.
    pub(super) fn desk(&self, server: &Server) -> Result<Desk, Failure> {
        let mut config = server.config()?;
        config.token = self.admin_token_file.as_ref().map(Token::from_file).transpose()?;
        Ok(Desk { addresses: self.addresses(server), config })
    }
}

/// Gives commands to the first node that can carry them out.
#[derive(Debug)]
pub(super) struct Desk {
    addresses: Vec<Address>,
    config: Config,
}

impl Desk {
    /// For commands whose answer has a part of a shard: several MiB, and more when one value is larger.
    pub(super) fn for_large_answers(mut self) -> Self {
        self.config.response_bytes_max = LARGE_ANSWER_BYTES_MAX;
        self
    }

    /// Gives the command `name`.
    pub(super) async fn act<T: DeserializeOwned>(&self, name: &str, arguments: &Value) -> Result<T, Failure> {
        self.try_act(name, arguments).await?.map_err(explain)
    }

    /// As [`act`](Self::act), when it matters why it failed.
    pub(super) async fn try_act<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &Value,
    ) -> Result<Result<T, ReadError>, Failure> {
        self.try_act_from(0, name, arguments).await
    }

    /// Reads what `name` shows, from the first node that shows it: what one of them cannot tell another one may.
    pub(super) async fn look<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        self.try_look(name).await?.map_err(explain)
    }

    /// As [`look`](Self::look), when it matters why nobody did.
    pub(super) async fn try_look<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Result<T, ReadError>, Failure> {
        self.first_of(0, name, &json!({}), |_| true).await
    }

    /// As [`look`](Self::look), with arguments. What is wrong with those is wrong for all nodes.
    pub(super) async fn look_with<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &Value,
    ) -> Result<T, Failure> {
        let is_of_node = |error: &ReadError| match error {
            ReadError::Rejected(problem) => problem.refusal.as_deref() != Some("unknown_member"),
            _ => true,
        };
        self.first_of(0, name, arguments, is_of_node).await?.map_err(explain)
    }

    /// How many addresses there are.
    pub(super) fn count(&self) -> usize {
        self.addresses.len()
    }

    /// As [`try_act`](Self::try_act), but the first one to be asked is the address with this number, counted around. Another
    /// number is another try, for commands that are safe to repeat.
    pub(super) async fn try_act_from<T: DeserializeOwned>(
        &self,
        first: usize,
        name: &str,
        arguments: &Value,
    ) -> Result<Result<T, ReadError>, Failure> {
        self.first_of(first, name, arguments, may_be_asked_elsewhere).await
    }

    async fn first_of<T: DeserializeOwned>(
        &self,
        first: usize,
        name: &str,
        arguments: &Value,
        goes_on: impl Fn(&ReadError) -> bool,
    ) -> Result<Result<T, ReadError>, Failure> {
        let (mut last, count) = (None, self.count());
        for address in self.addresses.iter().cycle().skip(first % count.max(1)).take(count) {
            match Ops::new(address.clone(), self.config.clone())?.act(name, arguments).await {
                // What a node said is worth more than that another one was not reached.
                Err(error) if goes_on(&error) => {
                    if !matches!(last, Some(ReadError::Rejected(_)))
                        || matches!(error, ReadError::Rejected(_))
                    {
                        last = Some(error);
                    }
                }
                outcome => return Ok(outcome),
            }
        }
        last.map(Err).ok_or_else(|| Failure::usage("neither --ops nor --server is given"))
    }
}

/// Nothing happened, and another node may do better.
fn may_be_asked_elsewhere(error: &ReadError) -> bool {
    match error {
        ReadError::GaveUp(gave_up) => gave_up.last.nothing_happened(),
        ReadError::Rejected(problem) => matches!(problem.refusal.as_deref(), Some("starting" | "not_member")),
        _ => false,
    }
}

/// What a command that failed means for people.
pub(super) fn explain(error: ReadError) -> Failure {
    match error {
        ReadError::Rejected(problem) if problem.code == "refused" => refused(&problem),
        ReadError::Rejected(problem) if problem.code == "unauthorized" => {
            Failure::new(Exit::Unauthorized, problem.to_string())
                .state("nothing changed")
                .next("give a token of ops.admin_token_file with --admin-token-file")
        }
        ReadError::Rejected(problem) if problem.code == "unavailable" => {
            Failure::new(Exit::Unavailable, problem.to_string())
                .next("`playhouse status` shows what is wrong")
        }
        ReadError::Rejected(problem) if problem.status == 404 => {
            Failure::new(Exit::Failed, problem.to_string())
                .next("is --ops the ops port of a node of this release?")
        }
        error => error.into(),
    }
}

fn refused(problem: &Problem) -> Failure {
    let failure = Failure::new(Exit::Refused, &problem.detail).state("nothing changed");
    match problem.refusal.as_deref() {
        Some("unknown_member" | "wrong_state") => failure.next("`playhouse nodes` shows all members"),
        Some("too_few_stay") => failure.next("add nodes first, or say --force"),
        Some("starting" | "not_member") => failure.next("ask another node with --ops"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::post};
    use playhouse_cluster::environment::Environment;
    use tokio::{net::TcpListener, runtime::Handle};

    use super::*;

    async fn node(status: StatusCode, answer: Value) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let routes =
            Router::new().route("/admin/v1/nodes", post(move || async move { (status, answer.to_string()) }));
        let environment = Environment::real(Handle::current(), Handle::current());
        drop(environment.spawn(async move { axum::serve(listener, routes).await.unwrap() }));
        address
    }

    async fn desk() -> Desk {
        let problem = json!({"status": 503, "code": "unavailable", "detail": "no majority is heard"});
        let addresses = vec![
            node(StatusCode::SERVICE_UNAVAILABLE, problem).await,
            node(StatusCode::OK, json!({"members": []})).await,
        ];
        Desk { config: Config::for_addresses(addresses.clone()), addresses }
    }

    #[tokio::test]
    async fn what_one_node_cannot_show_another_one_shows() {
        let shown: Value = desk().await.look("nodes").await.unwrap();
        assert_eq!(shown, json!({"members": []}));
    }

    /// It may have happened.
    #[tokio::test]
    async fn a_command_that_failed_is_not_given_to_another_node() {
        let outcome = desk().await.act::<Value>("nodes", &json!({})).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
}
