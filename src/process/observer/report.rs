//! What is told about the processes of a node: to other nodes in our codec, to programs as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::process::{MailboxStats, ProcessCounts, table::Entry};

/// The processes of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// In numbers.
    pub counts: ProcessCounts,
    /// The supervisors that have none above them, in the order of their starts, with what is below.
    pub trees: Excerpt<Branch>,
    /// Processes that no supervisor has started, oldest first.
    pub unsupervised: Excerpt<Leaf>,
    /// Processes for which messages wait, the most first.
    pub deepest: Excerpt<Leaf>,
    /// Names on this node, in order.
    pub names: Excerpt<NameRow>,
    /// Names in the whole cluster of processes of this node, in order.
    pub cluster_names: Excerpt<NameRow>,
    /// Groups that have members on this node, in order.
    pub groups: Excerpt<GroupRow>,
}

/// The first of a list, and how many there are beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt<T> {
    /// The first.
    pub shown: Vec<T>,
    /// How many are left out.
    pub more: usize,
}

impl<T> Default for Excerpt<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), more: 0 }
    }
}

/// A process, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its number on its node.
    pub process: u64,
    /// The type of the actor in it.
    pub actor: String,
    /// The first of its names on its node.
    pub names: Vec<String>,
    /// Its mailbox.
    pub mailbox: MailboxStats,
}

/// A supervisor, or a child of one, with what is below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// What its supervisor calls it. Children of `simple_one_for_one` have no ids, nor do supervisors at the top.
    pub id: Option<String>,
    /// Whether it runs.
    pub state: BranchState,
    /// Its number on its node, while it runs.
    pub process: Option<u64>,
    /// Whether it is a supervisor.
    pub is_supervisor: bool,
    /// The type of the actor in it, if it is a process with a mailbox of ours.
    pub actor: Option<String>,
    /// Of a supervisor that answers: in OTP's words.
    pub strategy: Option<String>,
    /// Of a supervisor that answers: how many restarts there were since it began.
    pub restarts: Option<u64>,
    /// It is a supervisor and does not answer now: it waits for a child to start or to stop. Its children are those that are known without it.
    pub is_silent: bool,
    /// The first of its names on its node.
    pub names: Vec<String>,
    /// Its mailbox, if it is a process with one of ours.
    pub mailbox: Option<MailboxStats>,
    /// Its children, in the order in which they are started.
    pub children: Excerpt<Branch>,
}

/// How a child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// It runs.
    #[default]
    Running,
    /// It has ended, and its supervisor has not heard of it yet.
    Ended,
    /// It ended and waits for its next start.
    Restarting,
    /// It does not run, and nobody starts it but an operator or the restart of a sibling.
    Stopped,
}

/// A name of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// The number of the process on its node.
    pub process: u64,
    /// Of a name in the whole cluster: whether the entity that keeps it says so, too. It may not have answered.
    pub is_confirmed: bool,
}

/// A group, as far as it is on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// The numbers of its members on that node.
    pub members: Excerpt<u64>,
}

impl Leaf {
    pub(super) fn new(process: u64, entry: &Entry, mailbox: MailboxStats) -> Self {
        Self { process, actor: brief(entry.actor), names: Vec::new(), mailbox }
    }
}

/// How much is told of a text that people made up, in bytes: a report must fit into one frame.
const TEXT_BYTES_MAX: usize = 256;

/// The text, or its beginning.
pub(super) fn brief(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    format!("{}…", &text[..end])
}

impl ProcessReport {
    /// Writes names beside the processes that have them.
    pub(super) fn name_rows(&mut self, mut names: BTreeMap<u64, Vec<String>>, names_max: usize) {
        for row in &self.cluster_names.shown {
            let of = names.entry(row.process).or_default();
            if of.len() < names_max && !of.contains(&row.name) {
                of.push(row.name.clone());
            }
        }
        let of = |process: u64| names.get(&process).cloned().unwrap_or_default();
        for leaf in self.unsupervised.shown.iter_mut().chain(&mut self.deepest.shown) {
            leaf.names = of(leaf.process);
        }
        self.trees.shown.iter_mut().for_each(|branch| branch.name(&of));
    }
}

impl Branch {
    fn name(&mut self, of: &impl Fn(u64) -> Vec<String>) {
        self.names = self.process.map(of).unwrap_or_default();
        self.children.shown.iter_mut().for_each(|child| child.name(of));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(brief("desk"), "desk");
        let long = "é".repeat(200);
        assert_eq!(brief(&long), format!("{}…", "é".repeat(128)));
    }
}
