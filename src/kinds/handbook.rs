//! Executes the tables of `docs/kinds.md`, so that they stay true.

use serde_json::Value;

use super::{Counter, Document, Lease, Limiter, Queue, Room, scene::Scene};
use crate::{
    entity::{Entity, Refusal},
    protocol::RefusalClass,
};

const HANDBOOK: &str = include_str!("../../docs/kinds.md");
const START_MS: u64 = 1_800_000_000_000;

/// One section: the kind, and its table rows as (left, right).
fn sections() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    HANDBOOK.split("\n## ").skip(1).map(|section| (section.lines().next().unwrap(), rows(section))).collect()
}

fn rows(section: &'static str) -> Vec<(&'static str, &'static str)> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
    cells
        .filter_map(|line| line.split_once(" | "))
        .map(|(left, right)| (left.trim(), right.trim()))
        .skip(1)
        .collect()
}

fn in_code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// `409 held`, as the tables write it.
fn refusal(error: &impl Refusal) -> String {
    let status = match error.class() {
        RefusalClass::Conflict => 409,
        RefusalClass::Unprocessable => 422,
    };
    format!("{status} `{}`", error.code())
}

fn play<E: Entity>(rows: &[(&str, &str)]) {
    let mut scene = Scene::<E>::new("handbook");
    scene.advance(START_MS - scene.now_ms());
    for (left, right) in rows {
        let Some(command) = in_code(left) else {
            let seconds: u64 = left.strip_suffix(" s later").unwrap().parse().unwrap();
            scene.advance(seconds * 1_000);
            continue;
        };
        match (scene.try_ask(command), in_code(right)) {
            (Ok(reply), Some(expected)) => {
                assert_eq!(reply, serde_json::from_str::<Value>(expected).unwrap(), "{command}");
            }
            (Err(error), None) => assert_eq!(refusal(&error), *right, "{command}"),
            (outcome, _) => panic!("{command}: expected {right}, got {outcome:?}"),
        }
    }
}

#[test]
fn the_handbook_shows_what_the_kinds_answer() {
    let sections = sections();
    for (kind, rows) in &sections {
        assert!(!rows.is_empty(), "{kind} shows nothing");
        match *kind {
            Counter::KIND => play::<Counter>(rows),
            Document::KIND => play::<Document>(rows),
            Lease::KIND => play::<Lease>(rows),
            Limiter::KIND => play::<Limiter>(rows),
            Queue::KIND => play::<Queue>(rows),
            Room::KIND => play::<Room>(rows),
            other => panic!("docs/kinds.md describes {other}, which does not exist"),
        }
    }
}

#[test]
fn the_handbook_has_all_kinds_and_every_example_is_a_command() {
    let mut registry = crate::entity::KindRegistry::default();
    super::register_all(&mut registry).unwrap();
    let described: Vec<&str> = sections().iter().map(|(kind, _)| *kind).collect();
    for kind in registry.descriptions() {
        assert!(described.contains(&kind.kind.as_str()), "{} is missing", kind.kind);
        assert!(!kind.examples.is_empty(), "{} has no examples", kind.kind);
    }
    examples_parse::<Counter>();
    examples_parse::<Document>();
    examples_parse::<Lease>();
    examples_parse::<Limiter>();
    examples_parse::<Queue>();
    examples_parse::<Room>();
}

fn examples_parse<E: Entity>() {
    for example in E::command_examples() {
        let command: Result<E::Command, _> = serde_json::from_value(example.clone());
        assert!(command.is_ok(), "{} {example}", E::KIND);
    }
}
