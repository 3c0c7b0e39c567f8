//! What the configuration says of itself.

use std::process::Output;

use serde_json::{Value, json};

use super::process::{forget_environment, playhouse};

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let arguments: Vec<_> = arguments.iter().map(Into::into).collect();
    let mut command = playhouse(&arguments);
    forget_environment(&mut command);
    command.envs(variables.iter().copied()).output().await.unwrap()
}

#[tokio::test]
async fn every_setting_tells_where_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("playhouse.toml");
    std::fs::write(&file, "[limits]\nidle_passivation = \"3m\"\n[drain]\nbudget = \"7s\"\n").unwrap();
    let file = file.to_str().unwrap();
    let arguments =
        ["--output", "json", "config", "show", "--dev", "--config", file, "--set", "log.level=debug"];
    let variables = [("PLAYHOUSE_DRAIN__BUDGET", "9s")];
    let output = run(&arguments, &variables).await;
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let setting = |key: &str| {
        let settings = shown["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].clone(), setting["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("store.engine"), (json!("fjall"), "default".to_owned()));
    assert_eq!(setting("node.shards"), (json!("16"), "default of dev".to_owned()));
    assert_eq!(setting("log.level"), (json!("debug"), "command line".to_owned()));
    let (value, from) = setting("limits.idle_passivation");
    assert!(value == "3m" && from.contains(file), "{value} {from}");
    let (value, from) = setting("drain.budget");
    assert!(value == "9s" && from.contains("PLAYHOUSE_DRAIN__BUDGET"), "{value} {from}");
}

#[tokio::test]
async fn an_unknown_key_is_refused_and_the_nearest_one_suggested() {
    for command in [&["config", "show"][..], &["run"], &["dev"]] {
        let arguments = [command, &["--set", "store.enigne=sled"]].concat();
        let output = run(&arguments, &[]).await;
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(says.contains("unknown key store.enigne; did you mean store.engine?"), "{says}");
    }
    let output = run(&["config", "show"], &[("PLAYHOUSE_STORE__ENIGNE", "sled")]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean"));
}
