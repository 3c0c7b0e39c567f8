//! Supervision trees: who is below whom, as the supervisors tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::{Branch, BranchState, Excerpt, First, report::brief};
use crate::process::{
    ChildStatus, ChildType, ChildView, MailboxStats,
    supervisor::SupervisorView,
    table::{Entry, Overseen, ProcessTable},
};

/// How many rows all trees of a node have together.
const TREE_ROWS_MAX: usize = 2_000;
/// How deep a tree is shown.
const DEPTH_MAX: usize = 32;

/// Children of supervisors that do not answer, by supervisor.
pub(super) type Orphans = BTreeMap<u64, First<u64, (Entry, MailboxStats)>>;

/// The supervisors of a node, and what those say that are shown.
pub(super) struct Forest<'a> {
    table: &'a ProcessTable,
    supervisors: BTreeMap<u64, Overseen>,
    /// The supervisors below each, for those that do not answer.
    below: BTreeMap<u64, Vec<u64>>,
    views: BTreeMap<u64, SupervisorView>,
    rows_max: usize,
    rows_left: usize,
}

impl<'a> Forest<'a> {
    pub(super) fn plant(table: &'a Arc<ProcessTable>, rows_max: usize) -> Self {
        let supervisors: BTreeMap<u64, Overseen> = table.supervisors().into_iter().collect();
        let mut below: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (number, overseen) in &supervisors {
            if let Some(parent) = overseen.parent {
                below.entry(parent).or_default().push(*number);
            }
        }
        Self { table, supervisors, below, views: BTreeMap::new(), rows_max, rows_left: TREE_ROWS_MAX }
    }

    /// Asks the supervisors, from the top. Returns those at the top, and all that did not answer.
    pub(super) async fn grow(&mut self, until: Instant) -> (Excerpt<u64>, BTreeSet<u64>) {
        let is_top = |overseen: &Overseen| {
            overseen.parent.is_none_or(|parent| !self.supervisors.contains_key(&parent))
        };
        let tops = self.supervisors.iter().filter(|(_, overseen)| is_top(overseen));
        let tops: Vec<_> = tops.map(|(number, _)| *number).collect();
        let shown: Vec<_> = tops.iter().copied().take(self.rows_max).collect();
        let more = tops.len() - shown.len();
        let (mut level, mut silent, mut asked) = (shown.clone(), BTreeSet::new(), 0);
        for _ in 0..DEPTH_MAX {
            level.truncate(TREE_ROWS_MAX - asked);
            asked += level.len();
            if level.is_empty() {
                break;
            }
            // Half of the time that is left: one that is silent takes none from those below, which may answer.
            let within = until.saturating_duration_since(Instant::now()) / 2;
            level = self.ask(&level, Instant::now() + within, &mut silent).await;
        }
        (Excerpt { shown, more }, silent)
    }

    /// Asks all of a level at once. Returns those below.
    async fn ask(&mut self, level: &[u64], until: Instant, silent: &mut BTreeSet<u64>) -> Vec<u64> {
        let rows_max = self.rows_max;
        let asked = level.iter().map(|number| {
            let reference = self.supervisors.get(number).map(|overseen| overseen.reference.clone());
            async move { timeout_at(until, reference?.look_at(rows_max)).await.ok()?.ok() }
        });
        let views = join_all(asked).await;
        let mut below = Vec::new();
        for (number, view) in level.iter().zip(views) {
            match view {
                Some(view) => {
                    let running = view.children.iter().filter_map(|child| child.status.running());
                    let numbers = running.map(|child| child.cell().get_id().pid());
                    below.extend(numbers.filter(|number| self.supervisors.contains_key(number)));
                    self.views.insert(*number, view);
                }
                None => {
                    silent.insert(*number);
                    below.extend(self.below_silent(*number));
                }
            }
        }
        below
    }

    /// Supervisors below one that does not answer.
    fn below_silent(&self, number: u64) -> Vec<u64> {
        self.below.get(&number).into_iter().flatten().copied().take(self.rows_max).collect()
    }

    /// The trees.
    pub(super) fn harvest(mut self, tops: Excerpt<u64>, mut orphans: Orphans) -> Excerpt<Branch> {
        let mut trees = Excerpt { shown: Vec::new(), more: tops.more };
        for top in tops.shown {
            self.add(&mut trees, |forest| forest.supervisor(top, None, 0, &mut orphans));
        }
        trees
    }

    /// Adds a row, as long as there may be one more.
    fn add(&mut self, to: &mut Excerpt<Branch>, make: impl FnOnce(&mut Self) -> Branch) {
        if self.rows_left == 0 {
            to.more += 1;
            return;
        }
        self.rows_left -= 1;
        let branch = make(self);
        to.shown.push(branch);
    }

    fn supervisor(&mut self, number: u64, id: Option<String>, depth: usize, orphans: &mut Orphans) -> Branch {
        let mut branch = Branch { id, process: Some(number), is_supervisor: true, ..Branch::default() };
        let Some(view) = self.views.remove(&number) else {
            branch.is_silent = true;
            branch.children = self.known_below(number, depth, orphans);
            return branch;
        };
        branch.strategy = Some(view.strategy.to_owned());
        branch.restarts = Some(view.restarts);
        branch.children.more = view.more;
        for child in view.children {
            self.add(&mut branch.children, |forest| forest.child(child, depth + 1, orphans));
        }
        branch
    }

    /// What is known of the children of a supervisor that does not answer.
    fn known_below(&mut self, number: u64, depth: usize, orphans: &mut Orphans) -> Excerpt<Branch> {
        let processes = orphans.remove(&number).map(|first| first.into_excerpt(process)).unwrap_or_default();
        let mut children = Excerpt { shown: Vec::new(), more: processes.more };
        for child in processes.shown {
            self.add(&mut children, |_| child);
        }
        if depth < DEPTH_MAX {
            for below in self.below_silent(number) {
                self.add(&mut children, |forest| forest.supervisor(below, None, depth + 1, orphans));
            }
        }
        children
    }

    fn child(&mut self, child: ChildView, depth: usize, orphans: &mut Orphans) -> Branch {
        let is_supervisor = child.child_type == ChildType::Supervisor;
        let id = child.id.map(|id| brief(&id));
        let number = match child.status {
            ChildStatus::Running(running) if running.exit().is_some() => {
                return Branch { id, state: BranchState::Ended, is_supervisor, ..Branch::default() };
            }
            ChildStatus::Running(running) => running.cell().get_id().pid(),
            ChildStatus::Restarting => {
                return Branch { id, state: BranchState::Restarting, is_supervisor, ..Branch::default() };
            }
            ChildStatus::Stopped => {
                return Branch { id, state: BranchState::Stopped, is_supervisor, ..Branch::default() };
            }
        };
        if is_supervisor {
            return self.supervisor(number, id, depth, orphans);
        }
        let branch = Branch { id, process: Some(number), ..Branch::default() };
        let entry = self.table.entry(number);
        let stats = entry.as_ref().and_then(|entry| Some(entry.process.upgrade()?.stats()));
        Branch { actor: entry.map(|entry| brief(entry.actor)), mailbox: stats, ..branch }
    }
}

fn process(number: u64, (entry, stats): (Entry, MailboxStats)) -> Branch {
    Branch {
        process: Some(number),
        actor: Some(brief(entry.actor)),
        mailbox: Some(stats),
        ..Branch::default()
    }
}
