//! Whatever happens to the machines, a client sees what it would have seen if nothing had happened.
//!
//! Two stages get the same commands at the same times. One of them loses power, moves, forgets its entities, crashes
//! handlers and commits late; every reply, timer, item and state must be the same.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entity::Entity;

/// What happens to one of the two.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Nothing,
    LosePower,
    FailOver,
    Passivate,
    CrashHandler,
}

/// One round: commands that are under way together, then time passes.
#[derive(Clone, Debug)]
struct Round {
    commands: Vec<Value>,
    wait_ms: u64,
    disturbance: Disturbance,
}

fn rounds(commands: Vec<Value>) -> impl Strategy<Value = Vec<Round>> {
    let disturbance = prop_oneof![
        Just(Disturbance::Nothing),
        Just(Disturbance::LosePower),
        Just(Disturbance::FailOver),
        Just(Disturbance::Passivate),
        Just(Disturbance::CrashHandler),
    ];
    let commands = proptest::collection::vec(proptest::sample::select(commands), 1..5);
    // Crashes further apart than the crash window do not add up to a quarantine.
    let round = (commands, prop_oneof![0..200u64, Just(11_000)], disturbance)
        .prop_map(|(commands, wait_ms, disturbance)| Round { commands, wait_ms, disturbance });
    proptest::collection::vec(round, 1..25)
}

fn decode<E: Entity>(command: &Value) -> E::Command {
    serde_json::from_value(command.clone()).unwrap()
}

fn told<E: Entity>(outcome: Result<E::Reply, CallError>) -> Result<Value, CallError> {
    outcome.map(|reply| serde_json::to_value(reply).unwrap())
}

/// All commands of a round are executed before the first of them is durable.
fn together<E: Entity>(stage: &mut Stage, commands: &[Value]) -> Vec<Result<Value, CallError>> {
    stage.stall();
    let promises: Vec<_> =
        commands.iter().map(|command| stage.send::<E>("e", &decode::<E>(command))).collect();
    stage.resume();
    promises.iter().map(|promise| told::<E>(promise.outcome().unwrap())).collect()
}

fn one_by_one<E: Entity>(stage: &mut Stage, commands: &[Value]) -> Vec<Result<Value, CallError>> {
    commands.iter().map(|command| told::<E>(stage.call::<E>("e", &decode::<E>(command)))).collect()
}

fn disturb<E: Entity>(stage: &mut Stage, disturbance: Disturbance, command: &Value) {
    match disturbance {
        Disturbance::Nothing => {}
        Disturbance::LosePower => stage.crash(),
        Disturbance::FailOver => stage.fail_over(),
        Disturbance::Passivate => drop(stage.passivate()),
        Disturbance::CrashHandler => {
            stage.crash_next_handler();
            assert_eq!(told::<E>(stage.call::<E>("e", &decode::<E>(command))), Err(CallError::Crashed));
            stage.advance(Duration::from_secs(11));
        }
    }
}

fn same_for_both<E: Entity>(rounds: Vec<Round>) -> Result<(), TestCaseError> {
    let (mut calm, mut disturbed) = (Stage::of::<E>(), Stage::of::<E>());
    for Round { commands, wait_ms, disturbance } in rounds {
        prop_assert_eq!(one_by_one::<E>(&mut calm, &commands), together::<E>(&mut disturbed, &commands));
        disturb::<E>(&mut disturbed, disturbance, &commands[0]);
        let behind_ms = disturbed.now_ms() - calm.now_ms();
        calm.advance(Duration::from_millis(behind_ms));
        prop_assert_eq!(calm.timers(), disturbed.timers());
        let wait = Duration::from_millis(wait_ms);
        prop_assert_eq!(calm.advance(wait), disturbed.advance(wait));
        prop_assert_eq!(calm.view::<E>("e"), disturbed.view::<E>("e"));
        prop_assert_eq!(calm.take_published(), disturbed.take_published());
    }
    Ok(())
}

fn queue_commands() -> Vec<Value> {
    let mut commands = vec![
        json!({"push": {"item": "a"}}),
        json!({"push_many": {"items": [1, {"b": null}], "delay_ms": 50}}),
        json!({"lease": {"count": 2, "visibility_ms": 100}}),
        json!({"lease": {}}),
        json!({"redrive": {}}),
        json!({"stats": {}}),
        json!({"peek": {}}),
        json!({"dead_letters": {}}),
        json!({"configure": {"max_attempts": 2}}),
        json!({"purge": {"what": "dead"}}),
    ];
    commands.extend((1..6).map(|token| json!({"ack": {"token": token}})));
    commands.extend((1..6).map(|token| json!({"nack": {"token": token, "delay_ms": 10}})));
    commands
}

fn document_commands() -> Vec<Value> {
    vec![
        json!({"put": {"value": {"a": 1}}}),
        json!({"put": {"value": null, "ttl_ms": 100}}),
        json!({"put": {"value": 2, "if_revision": 1}}),
        json!({"merge": {"patch": {"b": [2], "a": null}}}),
        json!({"delete": {}}),
        json!({"get": {}}),
        json!({"expire": {}}),
    ]
}

fn room_commands() -> Vec<Value> {
    vec![
        json!({"join": {"member": "ann", "ttl_ms": 100}}),
        json!({"join": {"member": "bob", "ttl_ms": 250}}),
        json!({"join": {"member": "cat"}}),
        json!({"leave": {"member": "ann"}}),
        json!({"publish": {"item": "x", "member": "ann"}}),
        json!({"publish": {"item": {"y": 1}}}),
        json!({"history": {}}),
        json!({"members": {}}),
    ]
}

fn lease_commands() -> Vec<Value> {
    vec![
        json!({"acquire": {"owner": "a", "ttl_ms": 100}}),
        json!({"acquire": {"owner": "b", "ttl_ms": 300}}),
        json!({"renew": {"owner": "a", "token": 1, "ttl_ms": 200}}),
        json!({"release": {"owner": "a", "token": 1}}),
        json!({"release": {"owner": "b", "token": 2}}),
        json!({"get": {}}),
    ]
}

fn counter_commands() -> Vec<Value> {
    vec![json!({"add": 1}), json!({"add": i64::MAX}), json!({"set": -5}), json!({"get": {}})]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_queue(rounds in rounds(queue_commands())) {
        same_for_both::<Queue>(rounds)?;
    }

    #[test]
    fn a_document(rounds in rounds(document_commands())) {
        same_for_both::<Document>(rounds)?;
    }

    #[test]
    fn a_room(rounds in rounds(room_commands())) {
        same_for_both::<Room>(rounds)?;
    }

    #[test]
    fn a_lease(rounds in rounds(lease_commands())) {
        same_for_both::<Lease>(rounds)?;
    }

    #[test]
    fn a_counter(rounds in rounds(counter_commands())) {
        same_for_both::<Counter>(rounds)?;
    }
}
