//! What an operator can see of the processes of one node: supervision trees, names, groups, mailboxes.
//!
//! Comes in: how many rows of each are wanted. Leaves: a [`ProcessReport`], whose lists are bounded and say how much they leave out.
//!
//! Nothing is kept for this while nobody looks but which processes and supervisors there are. Supervisors are asked for their children, all at the
//! same time; one that is busy, because it waits for a child to start or to stop, is shown with what is known without it.

mod first;
mod report;
mod tree;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{task::yield_now, time::Instant};

pub use self::report::{Branch, BranchState, Excerpt, GroupRow, Leaf, NameRow, ProcessReport};
use self::{
    first::First,
    tree::{Forest, Orphans},
};
use super::{ClusterNames, Distribution, MailboxStats, ProcessCounts, names, table::Entry};

/// How long supervisors, and the shards of names, may take to answer, all together.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How many names of a process are shown beside it.
const NAMES_OF_ROW_MAX: usize = 4;
/// How many members of a group are named.
const MEMBERS_SHOWN_MAX: usize = 8;

/// Looks at the processes that [belong](Distribution::scope) to one node. A cheap handle.
#[derive(Clone, Debug)]
pub struct Observer {
    distribution: Distribution,
    cluster_names: Option<ClusterNames>,
}

impl Observer {
    /// For the processes of this node.
    #[must_use]
    pub fn new(distribution: Distribution, cluster_names: Option<ClusterNames>) -> Self {
        Self { distribution, cluster_names }
    }

    /// What there is now, at most `rows_max` rows of each list. What changes meanwhile may be seen or not.
    pub async fn look(&self, rows_max: usize) -> ProcessReport {
        let until = Instant::now() + ANSWERS_WITHIN;
        let table = self.distribution.table();
        let mut forest = Forest::plant(table, rows_max);
        let cluster_names = async {
            match &self.cluster_names {
                Some(names) => names.of_this_node(rows_max, until).await,
                None => Excerpt::default(),
            }
        };
        let ((trees, silent), cluster_names) = tokio::join!(biased; forest.grow(until), cluster_names);
        let census = self.census(&silent, rows_max).await;
        let (names, by_process) = self.local_names(rows_max).await;
        let mut report = ProcessReport {
            counts: census.counts,
            trees: forest.harvest(trees, census.orphans),
            unsupervised: census.unsupervised.into_excerpt(leaf),
            deepest: census
                .deepest
                .into_excerpt(|_, (number, entry, stats)| Leaf::new(number, &entry, stats)),
            names,
            cluster_names,
            groups: self.groups(rows_max),
        };
        report.name_rows(by_process, NAMES_OF_ROW_MAX);
        report
    }

    /// Looks at each process once.
    async fn census(&self, silent: &BTreeSet<u64>, rows_max: usize) -> Census {
        let table = self.distribution.table();
        let supervisors: BTreeSet<_> = table.supervisors().into_iter().map(|(number, _)| number).collect();
        let mut census = Census {
            counts: ProcessCounts::default(),
            unsupervised: First::new(rows_max),
            deepest: First::new(rows_max),
            orphans: Orphans::new(),
        };
        let see = |number, entry, stats| census.take(number, entry, stats, &supervisors, silent, rows_max);
        census.counts = table.survey(see).await;
        census
    }

    /// The first names of this node, and the names of each process that has few of them.
    async fn local_names(&self, rows_max: usize) -> (Excerpt<NameRow>, NamesOf) {
        let (mut first, mut by_process) = (First::new(rows_max), NamesOf::new());
        for part in 0..names::PARTS {
            for (name, process) in self.distribution.names().registered_in(part) {
                let of = by_process.entry(process.number()).or_default();
                if of.len() < NAMES_OF_ROW_MAX {
                    of.push(name.to_string());
                }
                first.push(name, process.number());
            }
            yield_now().await;
        }
        let row = |name: std::sync::Arc<str>, process| NameRow {
            name: name.to_string(),
            process,
            is_confirmed: true,
        };
        (first.into_excerpt(row), by_process)
    }

    fn groups(&self, rows_max: usize) -> Excerpt<GroupRow> {
        let groups = self.distribution.groups().own(MEMBERS_SHOWN_MAX, rows_max);
        let row = |(group, shown, len): (std::sync::Arc<str>, Vec<u64>, usize)| GroupRow {
            group: group.to_string(),
            members: Excerpt { more: len - shown.len(), shown },
        };
        Excerpt { shown: groups.0.into_iter().map(row).collect(), more: groups.1 }
    }
}

/// The names of processes.
type NamesOf = BTreeMap<u64, Vec<String>>;

/// What one look at all processes finds.
struct Census {
    counts: ProcessCounts,
    unsupervised: First<u64, (Entry, MailboxStats)>,
    deepest: First<(Reverse<usize>, u64), (u64, Entry, MailboxStats)>,
    /// The children of supervisors that do not answer.
    orphans: Orphans,
}

impl Census {
    fn take(
        &mut self,
        number: u64,
        entry: Entry,
        stats: MailboxStats,
        supervisors: &BTreeSet<u64>,
        silent: &BTreeSet<u64>,
        rows_max: usize,
    ) {
        if stats.messages > 0 {
            self.deepest.push((Reverse(stats.messages), number), (number, entry.clone(), stats));
        }
        match entry.parent.filter(|parent| supervisors.contains(parent)) {
            None => self.unsupervised.push(number, (entry, stats)),
            Some(parent) if silent.contains(&parent) => {
                self.orphans
                    .entry(parent)
                    .or_insert_with(|| First::new(rows_max))
                    .push(number, (entry, stats));
            }
            Some(_) => {}
        }
    }
}

fn leaf(number: u64, (entry, stats): (Entry, MailboxStats)) -> Leaf {
    Leaf::new(number, &entry, stats)
}

#[cfg(test)]
mod tests;
