//! All nodes of the cluster, as processes.

use futures_util::future::{join_all, select_all, try_join_all};
use playhouse_cluster::environment::Environment;

use super::{Failure, Output, child::Child, plan::Plan};

/// All nodes, those that ended included.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) children: Vec<Child>,
}

impl Nodes {
    /// Starts all of them.
    pub(super) fn start(
        plans: Vec<Plan>,
        environment: &Environment,
        output: &Output,
    ) -> Result<Self, Failure> {
        let start = |(number, plan): (usize, Plan)| {
            let prefix = output.tint(&format!("{} |", plan.name), number);
            Child::start(plan, format!("{prefix} "), environment)
        };
        let children = plans.into_iter().enumerate().map(start).collect::<Result<_, _>>()?;
        Ok(Self { children })
    }

    /// Returns when all are ready, or one cannot be.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        try_join_all(self.children.iter_mut().map(Child::ready)).await.map(drop)
    }

    /// Says when a node ends, and how to start it again. Returns when none is left.
    pub(super) async fn all_ended(&mut self, output: &Output) {
        let mut running: Vec<_> = self.children.iter_mut().collect();
        while !running.is_empty() {
            let ends = running.iter_mut().map(|child| Box::pin(child.ended()));
            let (how, index, others) = select_all(ends).await;
            drop(others);
            let plan = &running.swap_remove(index).plan;
            output.note(&format!(
                "{} {} ended {how}. To start it again: playhouse dev --nodes 1 --config {}",
                output.alarm("node:"),
                plan.name,
                plan.config.display(),
            ));
        }
    }

    /// Each leaves in order.
    pub(super) fn ask_to_leave(&mut self) {
        self.children.iter_mut().for_each(Child::ask_to_leave);
    }

    /// Returns when none is left.
    pub(super) async fn left(&mut self) {
        join_all(self.children.iter_mut().map(Child::ended)).await;
    }

    /// Ends what still runs at once.
    pub(super) async fn kill(&mut self) {
        let running = self.children.iter_mut().filter_map(|child| child.is_running().then_some(child));
        join_all(running.map(Child::kill)).await;
    }
}
