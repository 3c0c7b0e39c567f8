//! What the image says about itself: the same in the Dockerfile and in what `pack` writes, and what the node means.

use std::{collections::BTreeMap, path::Path};

use playhouse_statefulset::port;
use serde_json::{Value, json};

use crate::{
    archive::{Archive, SMALL_PROGRAM},
    dockerfile::{Instruction, Stage, pairs, stages, substituted},
};

fn last() -> Stage {
    stages().pop().expect("there is one")
}

fn packed() -> Value {
    Archive::of(Path::new(SMALL_PROGRAM), &[]).config()["config"].clone()
}

fn list(instruction: &Instruction) -> Value {
    serde_json::from_str(&instruction.rest).expect("a list, as there is no shell that would split words")
}

fn ports(stage: &Stage) -> Vec<String> {
    let mut ports: Vec<_> = stage.one("EXPOSE").rest.split(' ').map(|port| format!("{port}/tcp")).collect();
    ports.sort();
    ports
}

/// With the defaults of the stage's arguments.
fn labels(stage: &Stage) -> BTreeMap<String, String> {
    let arguments: Vec<_> = stage.all("ARG").flat_map(|argument| pairs(&argument.rest)).collect();
    pairs(&substituted(&stage.one("LABEL").rest, &arguments)).into_iter().collect()
}

fn nanoseconds(duration: &str) -> u64 {
    let seconds: u64 = duration.strip_suffix('s').unwrap().parse().unwrap();
    seconds * 1_000_000_000
}

#[test]
fn the_dockerfile_and_the_packer_say_the_same() {
    let (stage, packed) = (last(), packed());

    assert_eq!(packed["User"], stage.one("USER").rest);
    assert_eq!(packed["WorkingDir"], stage.one("WORKDIR").rest);
    assert_eq!(packed["StopSignal"], stage.one("STOPSIGNAL").rest);
    assert_eq!(packed["Env"], json!([stage.one("ENV").rest]));
    assert_eq!(packed["Entrypoint"], list(stage.one("ENTRYPOINT")));
    assert_eq!(packed["Cmd"], list(stage.one("CMD")));
    assert_eq!(packed["Labels"], json!(labels(&stage)));
    let opened: Vec<_> = packed["ExposedPorts"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(opened, ports(&stage));

    let check = stage.one("HEALTHCHECK");
    let command = check.rest.strip_prefix("CMD ").unwrap().trim_start();
    let mut expected: Vec<String> = vec!["CMD".to_owned()];
    expected.extend(serde_json::from_str::<Vec<String>>(command).unwrap());
    assert_eq!(
        packed["Healthcheck"],
        json!({
            "Test": expected,
            "Interval": nanoseconds(&check.flags["interval"]),
            "Timeout": nanoseconds(&check.flags["timeout"]),
            "StartPeriod": nanoseconds(&check.flags["start-period"]),
            "Retries": check.flags["retries"].parse::<u64>().unwrap(),
        })
    );
    assert_eq!(check.flags.len(), 4);
}

#[test]
fn it_opens_the_ports_of_a_pod() {
    let mut numbers: Vec<_> = port::ALL.iter().map(|port| format!("{}/tcp", port.number)).collect();
    numbers.sort();
    assert_eq!(ports(&last()), numbers);
}

/// An engine that gives up before the command does would never see what it says.
#[test]
fn the_health_check_ends_by_itself_before_it_is_ended() {
    let check = packed()["Healthcheck"].clone();
    let words: Vec<_> = check["Test"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let ["CMD", program, "health", "--ops", asked, "--timeout", own] = words[..] else { panic!("{words:?}") };
    // Named, as variables for people who use the container as their command line may point elsewhere.
    assert_eq!(asked, format!("http://127.0.0.1:{}", port::OPS.number));
    assert!(nanoseconds(own) < check["Timeout"].as_u64().unwrap());
    assert!(check["Timeout"].as_u64() < check["Interval"].as_u64());
    assert_eq!(json!([program]), packed()["Entrypoint"]);
}

#[test]
fn the_labels_are_those_of_the_workspace() {
    let labels = labels(&last());
    let label = |name: &str| labels[&format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("title"), env!("CARGO_PKG_NAME"));
}

#[test]
fn who_builds_says_where_it_is_from() {
    let options = ["--revision", "0123abc", "--source", "https://git.example.com/playhouse"];
    let image = Archive::of(Path::new(SMALL_PROGRAM), &options);
    let labels = image.config()["config"]["Labels"].clone();
    assert_eq!(labels["org.opencontainers.image.revision"], "0123abc");
    assert_eq!(labels["org.opencontainers.image.source"], "https://git.example.com/playhouse");
}

/// A tag such as `latest`, or none, is another image every week.
#[test]
fn every_image_that_it_begins_with_is_named_by_a_tag() {
    let stages = stages();
    let own: Vec<_> = stages.iter().filter_map(|stage| stage.name.clone()).collect();
    assert_eq!(last().from, "scratch");
    for Stage { from, .. } in
        stages.iter().filter(|stage| stage.from != "scratch" && !own.contains(&stage.from))
    {
        let (_, tag) = from.rsplit_once(':').unwrap_or_else(|| panic!("{from} has no tag"));
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{from}");
    }
}

/// The last stage has nothing that could run a command, and takes files from named stages only.
#[test]
fn the_last_stage_only_copies() {
    let stage = last();
    assert_eq!(stage.all("RUN").count(), 0);
    for copy in stage.all("COPY") {
        assert_eq!(copy.flags.get("from").map(String::as_str), Some("build"), "{copy:?}");
    }
    let volume = stage.all("COPY").last().unwrap();
    assert_eq!(volume.flags["chown"], stage.one("USER").rest);
    assert!(volume.rest.ends_with(" /var/lib/playhouse"), "{volume:?}");
}

/// What is an argument or a variable of a build can be read by whoever has the image.
#[test]
fn nothing_secret_is_asked_for() {
    for instruction in stages().iter().flat_map(|stage| stage.instructions.clone()) {
        if ["ARG", "ENV"].contains(&instruction.name.as_str()) {
            for word in ["TOKEN", "COOKIE", "SECRET", "PASSWORD", "KEY"] {
                assert!(!instruction.rest.to_uppercase().contains(word), "{instruction:?}");
            }
        }
    }
}
