//! How a supervisor answers an operator.

use super::{Held, Office};
use crate::process::{
    ExitReason,
    supervisor::{
        child::RunningChild,
        decisions::{Child, ChildKey, ChildState, Refusal},
        request::{ChildStatus, ChildView, Failure, Request, SupervisorView},
    },
};

impl Office {
    /// Does what was asked. Whoever asked may have gone away; it is done all the same.
    pub(super) async fn answer(&mut self, request: Request) {
        match request {
            Request::StartChild(spec, answer) => {
                let added = self.decisions.start_child(Some(spec.id), spec.rules, Held::new(spec.start));
                let _ = answer.send(self.run(added).await);
            }
            Request::StartDynamic(rules, start, answer) => {
                let added = self.decisions.start_child(None, rules, Held::new(start));
                let _ = answer.send(self.run(added).await);
            }
            Request::Restart(id, answer) => {
                let found = self.decisions.restart_child(&id);
                let _ = answer.send(self.run(found).await);
            }
            Request::Terminate(id, answer) => {
                let key = self.decisions.key_of(&id);
                let _ = answer.send(self.terminate(key).await);
            }
            Request::TerminateActor(actor, answer) => {
                let key = self.by_actor.get(&actor).copied().ok_or(Refusal::NotFound);
                let _ = answer.send(self.terminate(key).await);
            }
            Request::Delete(id, answer) => {
                let _ = answer.send(self.decisions.delete_child(&id).map_err(Failure::Refused));
            }
            Request::Rules(id, answer) => {
                let _ = answer.send(self.find(&id).map(|child| child.rules));
            }
            Request::Find(id, answer) => {
                let _ = answer.send(self.find(&id).map(|child| child.content.running.clone()));
            }
            Request::Which(answer) => {
                let _ = answer.send(Ok(self.decisions.children().map(|(_, child)| view(child)).collect()));
            }
            Request::Look(children_max, answer) => {
                let _ = answer.send(Ok(self.show(children_max)));
            }
            Request::Count(answer) => {
                let _ = answer.send(Ok(self.decisions.count()));
            }
        }
    }

    /// Starts a child for an operator.
    async fn run(&mut self, key: Result<ChildKey, Refusal>) -> Result<RunningChild, Failure> {
        let key = key.map_err(Failure::Refused)?;
        self.failure = None;
        self.settle().await;
        let running = self.decisions.child(key).and_then(|child| child.content.running.clone());
        running.ok_or_else(|| {
            let failure = self.failure.take().map(|(_, reason)| reason);
            Failure::Start(failure.unwrap_or(ExitReason::Shutdown))
        })
    }

    fn find(&self, id: &str) -> Result<&Child<Held>, Failure> {
        let key = self.decisions.key_of(id);
        key.and_then(|key| self.decisions.child(key).ok_or(Refusal::NotFound)).map_err(Failure::Refused)
    }

    fn show(&self, children_max: usize) -> SupervisorView {
        let children: Vec<_> =
            self.decisions.children().take(children_max).map(|(_, child)| view(child)).collect();
        SupervisorView {
            strategy: if self.decisions.is_dynamic() {
                "simple_one_for_one"
            } else {
                self.decisions.flags().strategy.name()
            },
            restarts: self.decisions.restarts_made(),
            more: self.decisions.children().count() - children.len(),
            children,
        }
    }

    async fn terminate(&mut self, key: Result<ChildKey, Refusal>) -> Result<(), Failure> {
        key.and_then(|key| self.decisions.terminate_child(key)).map_err(Failure::Refused)?;
        self.settle().await;
        Ok(())
    }
}

fn view(child: &Child<Held>) -> ChildView {
    let status = match (&child.content.running, child.state) {
        (Some(running), _) => ChildStatus::Running(running.clone()),
        (None, ChildState::Restarting) => ChildStatus::Restarting,
        (None, _) => ChildStatus::Stopped,
    };
    ChildView { id: child.id.clone(), status, child_type: child.rules.child_type }
}
