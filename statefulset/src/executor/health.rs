//! What the answers to the three probes of a container mean, as the kubelet has it.
//!
//! Comes in: when the container started, and each answer. Leaves: when to ask next, whether it has started, whether it is ready,
//! and the verdict that it must end.

use std::time::Duration;

use super::objects::{pod::Container, probe::Probe};

/// Which question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Whether it has started.
    Startup,
    /// Whether it lives.
    Liveness,
    /// Whether it is ready.
    Readiness,
}

/// All of them.
pub const QUESTIONS: [Question; 3] = [Question::Startup, Question::Liveness, Question::Readiness];

/// The probes of one run of a container.
#[derive(Clone, Debug)]
pub struct Health {
    checks: Vec<Check>,
}

#[derive(Clone, Debug)]
struct Check {
    question: Question,
    probe: Probe,
    /// What counts, and how many answers in a row say otherwise.
    is_good: bool,
    others: u32,
    /// When it was asked last, since the start. `None`: not yet.
    asked: Option<Duration>,
}

impl Health {
    /// That of a container that starts now.
    #[must_use]
    pub fn new(container: &Container) -> Self {
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        let checks = QUESTIONS.into_iter().zip(probes);
        let check = |(question, probe): (_, &Option<Probe>)| {
            let is_good = question == Question::Liveness;
            probe.clone().map(|probe| Check { question, probe, is_good, others: 0, asked: None })
        };
        Self { checks: checks.filter_map(check).collect() }
    }

    /// Whether it has started: other questions wait for that.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.check(Question::Startup).is_none_or(|check| check.is_good)
    }

    /// Whether Services may send to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_started() && self.check(Question::Readiness).is_none_or(|check| check.is_good)
    }

    /// The question itself.
    #[must_use]
    pub fn probe(&self, question: Question) -> Option<&Probe> {
        self.check(question).map(|check| &check.probe)
    }

    /// When to ask, since the start of the container. `None`: not now, or never.
    #[must_use]
    pub fn next(&self, question: Question) -> Option<Duration> {
        let check = self.check(question)?;
        let waits = match question {
            Question::Startup => check.is_good,
            Question::Liveness | Question::Readiness => !self.is_started(),
        };
        let next = check.asked.map_or(check.probe.initial_delay(), |asked| asked + check.probe.period());
        (!waits).then_some(next)
    }

    /// It was asked at `at`.
    pub fn asked(&mut self, question: Question, at: Duration) {
        self.check_mut(question).into_iter().for_each(|check| check.asked = Some(at));
    }

    /// An answer came, or none in time. True: the container must end.
    pub fn answered(&mut self, question: Question, is_good: bool) -> bool {
        let Some(check) = self.check_mut(question) else { return false };
        let threshold =
            if is_good { check.probe.success_threshold } else { check.probe.failure_threshold }.max(1);
        // Until it has answered well once, a start that failed is counted from the beginning.
        let counts = is_good != check.is_good || question == Question::Startup && !is_good;
        check.others = if counts { check.others + 1 } else { 0 };
        if check.others < threshold {
            return false;
        }
        (check.is_good, check.others) = (is_good, 0);
        !is_good && question != Question::Readiness
    }

    fn check(&self, question: Question) -> Option<&Check> {
        self.checks.iter().find(|check| check.question == question)
    }

    fn check_mut(&mut self, question: Question) -> Option<&mut Check> {
        self.checks.iter_mut().find(|check| check.question == question)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::executor::objects::tests::objects;

    fn health(startup: Option<u32>) -> Health {
        let mut container = objects().stateful_sets["play"].spec.template.spec.containers[0].clone();
        container.startup_probe = startup.map(|failures| {
            serde_json::from_value(
                json!({"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": failures}),
            )
            .unwrap()
        });
        Health::new(&container)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_was_not_asked_lives_and_is_not_ready() {
        let mut health = health(None);
        assert!(health.is_started() && !health.is_ready());
        assert!(!health.answered(Question::Readiness, true));
        assert!(health.is_ready());
    }

    #[test]
    fn only_failures_in_a_row_end_it() {
        let mut health = health(None);
        for is_good in [false, false, true, false, false] {
            assert!(!health.answered(Question::Liveness, is_good));
        }
        assert!(health.answered(Question::Liveness, false));
    }

    #[test]
    fn readiness_never_ends_it() {
        let mut health = health(None);
        health.answered(Question::Readiness, true);
        assert!((0..10).all(|_| !health.answered(Question::Readiness, false)));
        assert!(!health.is_ready());
    }

    #[test]
    fn ready_is_lost_after_the_threshold_only() {
        let mut health = health(None);
        health.answered(Question::Readiness, true);
        health.answered(Question::Readiness, false);
        health.answered(Question::Readiness, false);
        assert!(health.is_ready(), "three are needed, and there were two");
        health.answered(Question::Readiness, false);
        assert!(!health.is_ready());
    }

    #[test]
    fn others_wait_until_it_has_started() {
        let mut health = health(Some(2));
        assert_eq!(health.next(Question::Startup), Some(seconds(0)));
        assert_eq!(health.next(Question::Liveness), None);
        assert!(!health.answered(Question::Startup, true));
        assert!(health.is_started());
        assert_eq!(health.next(Question::Startup), None, "it is not asked again");
        assert_eq!(health.next(Question::Liveness), Some(seconds(0)));
    }

    #[test]
    fn who_does_not_start_must_end() {
        let mut health = health(Some(2));
        assert!(!health.answered(Question::Startup, false));
        assert!(health.answered(Question::Startup, false));
    }

    #[test]
    fn it_is_asked_with_the_period() {
        let mut health = health(None);
        health.asked(Question::Liveness, seconds(3));
        assert_eq!(health.next(Question::Liveness), Some(seconds(13)));
        assert_eq!(health.next(Question::Readiness), Some(seconds(0)));
    }
}
