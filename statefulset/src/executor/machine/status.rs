//! How a pod is, for tests and for people.

use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr};

use super::pod::Pod;
use crate::executor::health::Question;

/// How many lines of a log are shown.
const LINES_SHOWN: usize = 25;

/// How a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// One of a kind in all time.
    pub uid: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Which template it is made from.
    pub revision: String,
    /// Whether Services may send to it.
    pub is_ready: bool,
    /// Whether it was told to end.
    pub is_terminating: bool,
    /// How often its container was started again.
    pub restarts: u32,
    /// The process of its container, if it runs.
    pub pid: Option<u32>,
    /// Why it does not run.
    pub waits_for: Option<String>,
    /// What was wrong with the last answers to its probes.
    pub wrong: BTreeMap<Question, String>,
    /// How its container ended the last time.
    pub last_end: Option<String>,
}

impl PodStatus {
    pub(super) fn of(pod: &Pod) -> Self {
        let state = pod.state().clone();
        Self {
            name: pod.identity.name.clone(),
            uid: pod.identity.uid.clone(),
            address: pod.identity.address,
            revision: pod.revision.clone(),
            is_ready: pod.is_ready(),
            is_terminating: pod.is_terminating(),
            restarts: state.restarts,
            pid: state.running.map(|running| running.pid),
            waits_for: state.waits_for,
            wrong: state.wrong,
            last_end: state.last_end,
        }
    }

    pub(super) fn report(&self, log: &str) -> String {
        let Self { name, address, restarts, .. } = self;
        let ready = if self.is_ready { "ready" } else { "not ready" };
        let mut text = format!("── {name} at {address}: {ready}, {restarts} restarts");
        let mut add = |part: String| write!(text, "; {part}").expect("a text takes all");
        self.is_terminating.then(|| add("ends".to_owned()));
        self.waits_for.iter().for_each(|reason| add(format!("waits: {reason}")));
        self.last_end.iter().for_each(|end| add(format!("ended: {end}")));
        self.wrong.iter().for_each(|(question, reason)| add(format!("{question:?}: {reason}")));
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        text + "\n" + &last.iter().map(|line| format!("   {line}\n")).collect::<String>()
    }
}
