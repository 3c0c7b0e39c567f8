//! What must hold, always or in the end.

use std::collections::{BTreeMap, BTreeSet};

use playhouse::node::{NodeReport, ShardReport};
use playhouse_cluster::{consensus::RaftId, identity::ClusterId};

use super::{
    history::{Input, Operation, Outcome, Output, Record},
    journal::Line,
    linearizable::{Verdict, judge},
    relay,
    world::World,
};

/// How many voters each group has.
const VOTERS: usize = 3;

/// Looks at running nodes again and again.
#[derive(Default)]
pub struct Watch {
    /// Who led which group in which term.
    leaders: BTreeMap<(u32, u64), RaftId>,
    clusters: BTreeSet<ClusterId>,
    pub violations: Vec<String>,
}

impl Watch {
    /// Two leaders in one term, or two clusters, are one too many.
    pub fn look(&mut self, world: &World) {
        for at in 0..world.hosts.len() {
            let Some((report, cluster)) =
                world.with(at, |node| (node.report(), node.identity().cluster_id()))
            else {
                continue;
            };
            let is_new = cluster.is_some_and(|cluster| self.clusters.insert(cluster));
            if is_new && self.clusters.len() > 1 {
                self.violations.push(format!("two clusters: {:?}", self.clusters));
            }
            for led in report.shards.iter().chain(&report.system) {
                let leader = *self.leaders.entry((led.shard, led.term)).or_insert(report.raft_id);
                if leader != report.raft_id {
                    let ShardReport { shard, term, .. } = led;
                    let other = report.raft_id;
                    self.violations
                        .push(format!("{leader:?} and {other:?} both led group {shard} in term {term}"));
                }
            }
        }
        self.violations.dedup();
    }
}

/// What the cluster lacks to be whole: all nodes up, all groups led once and with all their voters up to date.
pub fn missing_for_whole(world: &World) -> Vec<String> {
    let mut missing = Vec::new();
    let mut reports = Vec::new();
    for at in 0..world.hosts.len() {
        let asked = world.with(at, |node| {
            let ready = node.has_reached() && node.hears_quorum();
            (node.report(), ready, node.router().reachable_shards())
        });
        match asked {
            None => missing.push(format!("node {at} is not up: {:?}", world.ended(at))),
            Some((report, is_ready, reachable)) => {
                if !is_ready {
                    missing.push(format!("node {at} is not ready"));
                }
                if reachable != usize::from(world.shape.shards) {
                    let led: Vec<_> = report.shards.iter().map(|led| (led.shard, led.term)).collect();
                    missing.push(format!(
                        "node {at} reaches {reachable} shards, and leads these in terms: {led:?}"
                    ));
                }
                reports.push(report);
            }
        }
    }
    if missing.is_empty() {
        let up: BTreeSet<_> = reports.iter().map(|report| report.raft_id).collect();
        let shards = (0..u32::from(world.shape.shards)).map(Some);
        missing.extend(shards.chain([None]).filter_map(|group| missing_for_group(&reports, group, &up)));
    }
    missing
}

/// What a shard, or the system group (`None`), lacks.
fn missing_for_group(reports: &[NodeReport], group: Option<u32>, up: &BTreeSet<RaftId>) -> Option<String> {
    let led_by = |report: &NodeReport| match group {
        None => report.system.clone(),
        Some(shard) => report.shards.iter().find(|led| led.shard == shard).cloned(),
    };
    let led: Vec<_> = reports.iter().filter_map(led_by).collect();
    let name = group.map_or_else(|| "the system group".to_owned(), |shard| format!("shard {shard}"));
    let [led] = &led[..] else { return Some(format!("{name} has {} leaders", led.len())) };
    let voters = led.followers.iter().filter(|follower| follower.votes).count() + 1;
    if voters != VOTERS {
        return Some(format!("{name} has {voters} voters"));
    }
    if group.is_some() && led.followers.len() + 1 != VOTERS {
        return Some(format!("{name} has replicas that only learn"));
    }
    let behind = led.followers.iter().find(|follower| follower.lag > 0 || !up.contains(&follower.raft_id));
    behind.map(|follower| format!("{name} has a replica behind: {follower:?}"))
}

/// Every entity must have behaved as if it did one thing at a time.
pub fn linearizable(record: &Record) -> Vec<String> {
    let mut by_entity: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &record.operations {
        by_entity.entry(&operation.entity).or_default().push(operation);
    }
    let judged = by_entity.into_iter().filter_map(|(entity, operations)| {
        let verdict = judge(operations.iter().copied());
        let lines = || operations.iter().map(|line| format!("\n      {line}")).collect::<String>();
        (verdict != Verdict::Linearizable)
            .then(|| format!("{entity} is not linearizable: {verdict:?}{}", lines()))
    });
    judged.collect()
}

/// The value of a counter is what was acknowledged, and perhaps what is unknown. Independent of the search above.
pub fn totals(record: &Record, finals: &BTreeMap<String, i64>) -> Vec<String> {
    let mut violations = Vec::new();
    for (entity, value) in finals {
        let (mut acknowledged, mut unknown) = (0, 0);
        for operation in record.operations.iter().filter(|operation| operation.entity == *entity) {
            match (&operation.input, operation.outcome) {
                (Input::Add(add), Outcome::Told(Output::Value(_))) => acknowledged += add,
                (Input::Add(add), Outcome::Unknown) => unknown += add,
                _ => {}
            }
        }
        if *value < acknowledged || *value > acknowledged + unknown {
            violations.push(format!(
                "{entity} is {value}, but {acknowledged} was acknowledged and {unknown} is unknown"
            ));
        }
    }
    violations
}

/// Each message of a sender at most once and in its order; each acknowledged one is there, each refused one is not.
pub fn journals(record: &Record, journals: &[Vec<Line>]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut latest: BTreeMap<u32, u32> = BTreeMap::new();
    let mut present = BTreeSet::new();
    for line in journals.iter().flatten() {
        if !present.insert(*line) {
            violations.push(format!("{line:?} is in its journal twice"));
        }
        let before = latest.insert(line.sender, line.number).unwrap_or_default();
        if before >= line.number {
            violations.push(format!("{line:?} is in its journal after {before}"));
        }
    }
    for sent in &record.sent {
        match (sent.happened, present.contains(&sent.line)) {
            (Some(true), false) => violations.push(format!("{:?} was acknowledged and is lost", sent.line)),
            (Some(false), true) => violations.push(format!("{:?} was refused and is there", sent.line)),
            _ => {}
        }
    }
    violations
}

/// What became of the casts of one relay.
pub struct Relayed {
    pub relay: u32,
    /// How many lines it has passed on.
    pub passed: u32,
    /// What is in its journal.
    pub journal: Vec<Line>,
    /// What became a dead letter.
    pub letters: Vec<Line>,
}

/// Each committed cast is one effect or one dead letter, and those with an effect have it in their order.
pub fn relayed(record: &Record, relayed: &Relayed) -> Vec<String> {
    let Relayed { relay, passed, journal, letters } = relayed;
    let said = record.passed.get(relay).copied().unwrap_or_default();
    let mut violations = Vec::new();
    if *passed < said {
        violations.push(format!("relay {relay} passed {passed} lines on, but had said that it was {said}"));
    }
    let lines = (1..=*passed).map(|number| relay::line(*relay, number));
    let (readable, unreadable): (Vec<_>, Vec<_>) = lines.partition(|line| relay::is_readable(*line));
    if *journal != readable {
        violations.push(format!("relay {relay} cast {readable:?} to its journal, which has {journal:?}"));
    }
    let mut letters = letters.clone();
    letters.sort_unstable();
    if letters != unreadable {
        violations.push(format!("relay {relay} cast {unreadable:?} in vain; dead letters are {letters:?}"));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Sent;

    #[test]
    fn casts_of_relays_show_what_is_lost_repeated_or_both_effect_and_letter() {
        let record = Record { passed: [(1, 4)].into(), ..Record::default() };
        let faults = |passed: u32, journal: &[u32], letters: &[u32]| {
            let lines = |numbers: &[u32]| numbers.iter().map(|number| relay::line(1, *number)).collect();
            let found = Relayed { relay: 1, passed, journal: lines(journal), letters: lines(letters) };
            relayed(&record, &found).len()
        };
        assert_eq!(faults(4, &[2, 3], &[4, 1]), 0, "letters are of several shards, and have no order");
        assert_eq!(faults(5, &[2, 3, 5], &[1, 4]), 0, "nobody heard of the last one");
        assert_eq!(faults(3, &[2, 3], &[1]), 1, "it was acknowledged");
        assert_eq!(faults(4, &[2, 3], &[4]), 1, "neither effect nor letter");
        assert_eq!(faults(4, &[2, 3], &[1, 1, 4]), 1, "two letters");
        assert_eq!(faults(4, &[2, 3, 4], &[1, 4]), 1, "both");
        assert_eq!(faults(4, &[3, 2], &[1, 4]), 1, "reordered");
    }

    fn line(number: u32) -> Line {
        Line { sender: 1, number }
    }

    fn sent(number: u32, happened: Option<bool>) -> Sent {
        Sent { line: line(number), happened }
    }

    #[test]
    fn a_journal_shows_what_is_lost_repeated_reordered_or_made_up() {
        let record = Record {
            sent: vec![sent(1, Some(true)), sent(2, None), sent(3, Some(false)), sent(4, Some(true))],
            ..Record::default()
        };
        let faults = |numbers: &[u32]| {
            let lines = numbers.iter().map(|number| line(*number)).collect();
            journals(&record, &[lines]).len()
        };
        assert_eq!(faults(&[1, 4]), 0);
        assert_eq!(faults(&[1, 2, 4]), 0);
        assert_eq!(faults(&[1]), 1, "lost");
        assert_eq!(faults(&[1, 3, 4]), 1, "refused");
        assert_eq!(faults(&[2, 1, 4]), 1, "reordered");
        assert_eq!(faults(&[1, 1, 4]), 2, "repeated, and out of order");
    }

    #[test]
    fn a_total_shows_what_is_lost_or_repeated() {
        let add = |outcome| Operation {
            client: 0,
            entity: "counter/a".to_owned(),
            input: Input::Add(2),
            began: 0,
            ended: 0,
            outcome,
        };
        let operations =
            vec![add(Outcome::Told(Output::Value(2))), add(Outcome::Unknown), add(Outcome::Never)];
        let record = Record { operations, ..Record::default() };
        let is_bad = |value| !totals(&record, &[("counter/a".to_owned(), value)].into()).is_empty();
        assert_eq!([0, 2, 4, 6].map(is_bad), [true, false, false, true]);
    }
}
