//! The command line, as a shell sees it: the real binary against a scripted server.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[allow(dead_code)] // Not every test needs all of it.
#[path = "../client/tests/support/scripted.rs"]
mod scripted;

use std::process::{Output, Stdio};

use scripted::{Answer, Scripted, Seen, dead_address};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

fn playhouse(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_playhouse"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PLAYHOUSE_SERVER", "PLAYHOUSE_OPS", "PLAYHOUSE_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command
}

async fn run(arguments: &[&str]) -> Output {
    playhouse(arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn answer(seen: &Seen) -> Answer {
    match seen.path.as_str() {
        "/v1/entities/counter/visits/call" => {
            Answer::ok(r#"{"value":7}"#).with_header("Entity-Revision", "3")
        }
        "/v1/entities/counter/visits/cast" => {
            Answer::Reply { status: 202, headers: vec![], body: String::new() }
        }
        "/v1/entities/counter/visits" => Answer::ok(
            r#"{"kind":"counter","key":"visits","shard":3,"node":"n0","revision":2,"state":{"value":7}}"#,
        ),
        "/v1/entities/counter?limit=100" | "/v1/entities/counter?limit=1" => {
            Answer::ok(r#"{"entities":[{"key":"a","revision":1}],"next_after":"a"}"#)
        }
        "/v1/entities/counter?limit=100&after=a" => {
            Answer::ok(r#"{"entities":[{"key":"visits","revision":12}],"next_after":null}"#)
        }
        "/v1/kinds" => Answer::ok(
            r#"{"kinds":[{"kind":"counter","summary":"A number.","durable":true,"schema":1,"reads_from":1,"examples":[{"add":1}]}]}"#,
        ),
        "/readyz" => Answer::ok("ready"),
        "/health" => Answer::ok(
            r#"{"status":"ok","version":"0.1.0","uptime_seconds":90.5,"node":"n0","checks":[{"name":"store","status":"ok","detail":"","duration_ms":0.5}]}"#,
        ),
        "/admin/v1/status" => Answer::problem(401, "unauthorized"),
        _ => Answer::problem(404, "not_found"),
    }
}

#[tokio::test]
async fn call_prints_the_reply() {
    let server = Scripted::start(answer).await;
    let call = ["--server", &server.url(), "call", "counter", "visits", r#"{"add": 1}"#];
    let output = run(&call).await;
    assert_eq!(text(&output.stdout), "{\n  \"value\": 7\n}\n");
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    assert_eq!(server.seen()[0].body, r#"{"add": 1}"#);

    let output = run(&[&call[..], &["--output", "json", "--idempotency-key", "k1"]].concat()).await;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, json!({"reply": {"value": 7}, "revision": 3, "request_id": null}));
    assert_eq!(server.seen()[1].key(), "k1");
}

#[tokio::test]
async fn a_command_comes_from_standard_input() {
    let server = Scripted::start(answer).await;
    let mut child = playhouse(&["cast", "counter", "visits", "-"])
        .env("PLAYHOUSE_SERVER", server.url())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"add\": 2}\n").await.unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(server.seen()[0].body, r#"{"add": 2}"#);
}

#[tokio::test]
async fn states_lists_and_kinds_are_printed_for_people_and_programs() {
    let server = Scripted::start(answer).await;
    let url = server.url();
    let print = async |arguments: &[&str]| {
        let output = run(&[&["--server", &url], arguments].concat()).await;
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    assert!(
        print(&["get", "counter", "visits"])
            .await
            .starts_with("counter/visits: revision 2, shard 3, node n0\n{")
    );
    assert_eq!(print(&["list", "counter"]).await, "KEY  REVISION\na    1\n");
    assert_eq!(
        print(&["list", "counter", "--all", "--output", "json"]).await,
        "{\"key\":\"a\",\"revision\":1}\n{\"key\":\"visits\",\"revision\":12}\n"
    );
    assert_eq!(
        print(&["--output", "json", "list", "counter", "--limit", "1"]).await,
        "{\"entities\":[{\"key\":\"a\",\"revision\":1}],\"next_after\":\"a\"}\n"
    );
    let kinds = print(&["kinds"]).await;
    assert!(kinds.contains("counter  durable  {\"add\":1}    A number."), "{kinds}");
}

#[tokio::test]
async fn health_and_status_look_at_the_ops_port() {
    let server = Scripted::start(answer).await;
    let (url, dead) = (server.url(), format!("http://{}", dead_address().await));
    let output = run(&["health", "--ops", &url]).await;
    assert_eq!(code(&output), 0);
    assert!(
        text(&output.stdout).starts_with("n0: ok, release 0.1.0, up 90.5 s\n"),
        "{}",
        text(&output.stdout)
    );

    let output = run(&["--server", &url, "status", "--ops", &url]).await;
    assert_eq!(code(&output), 0, "the cluster is for admins: {}", text(&output.stdout));
    let silent = Scripted::start(|seen| match seen.path.as_str() {
        "/admin/v1/status" => Answer::problem(404, "not_found"),
        _ => answer(seen),
    })
    .await;
    let silent_url = silent.url();
    let output = run(&["--server", &silent_url, "status", "--ops", &silent_url]).await;
    assert_eq!(code(&output), 1, "nobody tells of the cluster");

    let output =
        run(&["--server", &url, "--server", &dead, "--timeout", "200ms", "status", "--ops", &url]).await;
    assert_eq!(code(&output), 1, "one of two does not answer");
    let output = run(&["--server", &dead, "--timeout", "200ms", "status", "--ops", &dead]).await;
    assert_eq!(code(&output), 4);
    let output = run(&["--timeout", "200ms", "health", "--ops", &dead]).await;
    assert_eq!(code(&output), 4);
}

#[tokio::test]
async fn exit_codes_tell_what_happened() {
    let refused = r#"{"status":422,"code":"refused","refusal":"overflow","detail":"too large"}"#;
    for (answer, expected, words) in [
        (Answer::Reply { status: 422, headers: vec![], body: refused.into() }, 3, "too large (overflow)"),
        (Answer::problem(404, "unknown_kind"), 1, "`playhouse kinds`"),
        (Answer::problem(400, "invalid_body"), 2, "nothing changed"),
        (Answer::problem(401, "unauthorized"), 5, "--token-file"),
        (Answer::problem(500, "crashed"), 1, "the entity is as it was"),
        (Answer::Hang, 4, "--idempotency-key"),
        (Answer::Reply { status: 200, headers: vec![], body: "<html>".into() }, 1, "<html>"),
    ] {
        let server = Scripted::start(move |_| answer.clone()).await;
        let output =
            run(&["--server", &server.url(), "--timeout", "300ms", "call", "counter", "visits", "1"]).await;
        let complaint = text(&output.stderr);
        assert_eq!(code(&output), expected, "{complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn bad_arguments_are_refused_before_anything_is_sent() {
    let server = Scripted::start(answer).await;
    for arguments in [
        &["call", "counter", "visits", "{"][..],
        &["call", "Counter", "visits", "1"],
        &["call", "counter", "", "1"],
        &["call", "counter", "visits", "1", "--idempotency-key", "two words"],
        &["call", "counter", "visits", "1", "--timeout", "soon"],
        &["list", "counter", "--limit", "0"],
        &["nonsense"],
    ] {
        let output = run(&[&["--server", &server.url()], arguments].concat()).await;
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stderr));
    }
    let output = run(&["--server", "localhost:8080", "kinds"]).await;
    assert_eq!(code(&output), 2);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_absent_server_is_explained_to_people_and_programs() {
    let dead = format!("http://{}", dead_address().await);
    let arguments = ["--server", &dead, "--timeout", "200ms", "call", "counter", "visits", "1"];
    let output = run(&arguments).await;
    let complaint = text(&output.stderr);
    assert!(complaint.contains("could not connect") && complaint.contains("playhouse dev"), "{complaint}");
    assert!(complaint.contains("state: nothing happened"), "{complaint}");

    let output = run(&[&arguments[..], &["--output", "json"]].concat()).await;
    let complaint: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(complaint["error"]["exit"], 4);
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let server = Scripted::start(|seen| {
        assert_eq!(seen.header("authorization"), "Bearer s3cret");
        Answer::problem(401, "unauthorized")
    })
    .await;
    let path = path.to_str().unwrap();
    let output = run(&["--server", &server.url(), "--token-file", path, "kinds"]).await;
    assert_eq!(code(&output), 5);
    assert!(!text(&output.stderr).contains("s3cret"));
}
