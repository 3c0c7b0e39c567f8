//! What an operator may ask of a supervisor that runs: to add, stop, start again and remove children, and to count them.

use std::sync::Arc;

use super::{ChildKey, ChildState, Decisions, Purpose, Step};
use crate::process::supervisor::spec::{ChildRules, ChildType, SpecError};

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process::supervisor) enum Refusal {
    NotFound,
    /// A child of this id is known, and does not run.
    AlreadyPresent,
    /// A child of this id runs.
    AlreadyStarted,
    Running,
    Restarting,
    /// There are as many children as there may be.
    Full,
    Spec(SpecError),
}

/// How many children a supervisor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Child specifications, whether their children run or not. One for a `simple_one_for_one` supervisor.
    pub specs: usize,
    /// Children that run.
    pub active: usize,
    /// Children that are supervisors, whether they run or not.
    pub supervisors: usize,
    /// Children that are workers, whether they run or not.
    pub workers: usize,
}

impl<T> Decisions<T> {
    /// Adds a child at the right end, without starting it.
    pub(in crate::process::supervisor) fn add(
        &mut self,
        id: Option<Arc<str>>,
        rules: ChildRules,
        content: T,
    ) -> Result<ChildKey, Refusal> {
        self.flags.check(&rules).map_err(Refusal::Spec)?;
        if let Some(key) = id.as_ref().and_then(|id| self.ids.get(id)) {
            let running = matches!(self.children[key].state, ChildState::Running { .. });
            return Err(if running { Refusal::AlreadyStarted } else { Refusal::AlreadyPresent });
        }
        if self.children.len() >= self.flags.children_max {
            return Err(Refusal::Full);
        }
        Ok(self.insert(id, rules, content))
    }

    /// Adds a child and starts it. If it cannot be started, it is forgotten.
    pub(in crate::process::supervisor) fn start_child(
        &mut self,
        id: Option<Arc<str>>,
        rules: ChildRules,
        content: T,
    ) -> Result<ChildKey, Refusal> {
        let key = self.add(id, rules, content)?;
        self.plan.push_back(Step::Start(key, Purpose::NewChild));
        Ok(key)
    }

    /// Stops a child. Its specification stays, unless it is temporary or dynamic.
    ///
    /// If its restart was waited for, the others that went down with it come up without it; OTP leaves them down.
    pub(in crate::process::supervisor) fn terminate_child(&mut self, key: ChildKey) -> Result<(), Refusal> {
        let child = self.children.get(&key).ok_or(Refusal::NotFound)?;
        let others_wait = child.state == ChildState::Restarting;
        self.plan.push_back(Step::Stop(vec![key]));
        if others_wait {
            self.bring_up(self.group(key).into_iter().filter(|other| *other != key));
        }
        Ok(())
    }

    /// Starts a child that does not run. It does not count as a restart.
    pub(in crate::process::supervisor) fn restart_child(&mut self, id: &str) -> Result<ChildKey, Refusal> {
        let key = self.idle(id)?;
        self.plan.push_back(Step::Start(key, Purpose::OldChild));
        Ok(key)
    }

    /// Forgets a child that does not run.
    pub(in crate::process::supervisor) fn delete_child(&mut self, id: &str) -> Result<(), Refusal> {
        let key = self.idle(id)?;
        self.remove(key);
        Ok(())
    }

    /// The child of this id.
    pub(in crate::process::supervisor) fn key_of(&self, id: &str) -> Result<ChildKey, Refusal> {
        self.ids.get(id).copied().ok_or(Refusal::NotFound)
    }

    pub(in crate::process::supervisor) fn count(&self) -> Counts {
        let (mut active, mut supervisors) = (0, 0);
        for child in self.children.values() {
            active += usize::from(matches!(child.state, ChildState::Running { .. }));
            supervisors += usize::from(child.rules.child_type == ChildType::Supervisor);
        }
        let specs = if self.dynamic { 1 } else { self.children.len() };
        Counts { specs, active, supervisors, workers: self.children.len() - supervisors }
    }

    fn idle(&self, id: &str) -> Result<ChildKey, Refusal> {
        let key = self.key_of(id)?;
        match self.children[&key].state {
            ChildState::Stopped => Ok(key),
            ChildState::Restarting => Err(Refusal::Restarting),
            _ => Err(Refusal::Running),
        }
    }
}
