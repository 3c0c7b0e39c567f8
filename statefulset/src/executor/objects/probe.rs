//! How a container is asked how it is.

use std::time::Duration;

use serde::Deserialize;

use super::meta::PortRef;

/// A question that is asked again and again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    http_get: Option<HttpGet>,
    exec: Option<Exec>,
    tcp_socket: Option<TcpSocket>,
    #[serde(default)]
    initial_delay_seconds: u64,
    #[serde(default = "ten")]
    period_seconds: u64,
    #[serde(default = "one")]
    timeout_seconds: u64,
    /// How many good answers in a row count.
    #[serde(default = "once")]
    pub success_threshold: u32,
    /// How many bad answers in a row count.
    #[serde(default = "three")]
    pub failure_threshold: u32,
    termination_grace_period_seconds: Option<u64>,
}

/// What is done with a container.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Handler {
    /// A request is sent.
    HttpGet(HttpGet),
    /// A program is run in it.
    Exec(Exec),
    /// A connection is opened.
    TcpSocket(TcpSocket),
    /// Nothing, for a while.
    Sleep(Sleep),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGet {
    /// Of what.
    #[serde(default = "slash")]
    pub path: String,
    /// Where.
    pub port: PortRef,
    #[serde(default)]
    #[serde(rename = "scheme")]
    _scheme: Scheme,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Scheme {
    #[default]
    Http,
}

/// A program that is run in the container.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Its path and arguments.
    pub command: Vec<String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSocket {
    /// Where.
    pub port: PortRef,
}

/// A wait.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// How long.
    pub seconds: u64,
}

impl Probe {
    /// What is asked. `None`: not exactly one thing.
    #[must_use]
    pub fn handler(&self) -> Option<Handler> {
        let http = self.http_get.clone().map(Handler::HttpGet);
        let exec = self.exec.clone().map(Handler::Exec);
        let socket = self.tcp_socket.clone().map(Handler::TcpSocket);
        let mut all = [http, exec, socket].into_iter().flatten();
        all.next().filter(|_| all.next().is_none())
    }

    /// From the start of the container to the first question.
    #[must_use]
    pub fn initial_delay(&self) -> Duration {
        Duration::from_secs(self.initial_delay_seconds)
    }

    /// From question to question.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs(self.period_seconds.max(1))
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }

    /// From SIGTERM to SIGKILL when this probe ends the container, if it says so.
    #[must_use]
    pub fn grace(&self) -> Option<Duration> {
        self.termination_grace_period_seconds.map(Duration::from_secs)
    }
}

fn slash() -> String {
    "/".to_owned()
}

fn ten() -> u64 {
    10
}

fn one() -> u64 {
    1
}

fn once() -> u32 {
    1
}

fn three() -> u32 {
    3
}
