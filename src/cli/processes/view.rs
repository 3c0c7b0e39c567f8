//! What nodes tell of their processes, as far as it is shown to people.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ProcessesView {
    pub(super) nodes: Vec<NodeView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeView {
    pub(super) name: String,
    /// Why nothing is known.
    pub(super) why: Option<String>,
    pub(super) processes: Option<ReportView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ReportView {
    pub(super) counts: CountsView,
    pub(super) trees: Excerpt<BranchView>,
    pub(super) unsupervised: Excerpt<LeafView>,
    pub(super) deepest: Excerpt<LeafView>,
    pub(super) names: Excerpt<NameView>,
    pub(super) cluster_names: Excerpt<NameView>,
    pub(super) groups: Excerpt<GroupView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct CountsView {
    pub(super) processes: usize,
    pub(super) supervisors: usize,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) messages_deepest: usize,
    pub(super) refused: usize,
    pub(super) dropped: usize,
    pub(super) dead_letters: usize,
    pub(super) exits: ExitsView,
    pub(super) restarts: usize,
    pub(super) gave_up: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ExitsView {
    pub(super) crashed: usize,
}

/// The first of a list, and how many there are beside.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Excerpt<T> {
    pub(super) shown: Vec<T>,
    pub(super) more: usize,
}

impl<T> Default for Excerpt<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), more: 0 }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct BranchView {
    pub(super) id: Option<String>,
    pub(super) state: String,
    pub(super) process: Option<u64>,
    pub(super) is_supervisor: bool,
    pub(super) actor: Option<String>,
    pub(super) strategy: Option<String>,
    pub(super) restarts: Option<usize>,
    pub(super) is_silent: bool,
    pub(super) names: Vec<String>,
    pub(super) mailbox: Option<MailboxView>,
    pub(super) children: Excerpt<BranchView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LeafView {
    pub(super) process: u64,
    pub(super) actor: String,
    pub(super) names: Vec<String>,
    pub(super) mailbox: MailboxView,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct MailboxView {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) refused: usize,
    pub(super) dropped: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NameView {
    pub(super) name: String,
    pub(super) process: u64,
    pub(super) is_confirmed: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct GroupView {
    pub(super) group: String,
    pub(super) members: Excerpt<u64>,
}

impl ProcessesView {
    /// Of the nodes that answered.
    pub(super) fn reports(&self) -> impl Iterator<Item = (&str, &ReportView)> {
        self.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.processes.as_ref()?)))
    }
}

/// `1 process`, `12,000 processes`
pub(super) fn plural(count: usize, what: &str) -> String {
    let ending = match what {
        _ if count == 1 => "",
        what if what.ends_with('s') || what.ends_with("sh") => "es",
        _ => "s",
    };
    format!("{} {what}{ending}", number(count))
}

/// `1,234,567`
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `48 B`, `1.2 KiB`, `16.0 MiB`
pub(super) fn size(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}
