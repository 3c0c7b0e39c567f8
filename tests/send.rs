//! `playhouse send`, as a shell sees it: the real binary against a scripted server.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[allow(dead_code)] // Not every test needs all of it.
#[path = "../client/tests/support/scripted.rs"]
mod scripted;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use scripted::{Answer, Scripted, Seen};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    sync::mpsc,
};

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn send(server: &str, file: &Path, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_playhouse"))
        .args(["--server", server, "--output", "json", "send", file.to_str().unwrap()])
        .args(more)
        .env_remove("PLAYHOUSE_TOKEN_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn finish(child: Child) -> (i32, Value, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    let complaint = String::from_utf8(stderr).unwrap();
    let summary = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
    (status.code().unwrap(), summary, complaint)
}

fn add(key: &str, add: u64) -> String {
    json!({"kind": "counter", "key": key, "command": {"add": add}}).to_string() + "\n"
}

/// Counters that remember idempotency keys, as the real ones do.
#[derive(Clone, Default)]
struct Counters {
    by_path: Arc<Mutex<BTreeMap<String, Counter>>>,
}

#[derive(Default)]
struct Counter {
    value: u64,
    /// By idempotency key.
    replies: BTreeMap<String, u64>,
}

impl Counters {
    fn call(&self, seen: &Seen) -> Answer {
        let mut counters = self.by_path.lock().unwrap();
        let Counter { value, replies } = counters.entry(seen.path.clone()).or_default();
        let command: Value = serde_json::from_str(&seen.body).unwrap();
        let reply = *replies.entry(seen.key().to_owned()).or_insert_with(|| {
            *value += command["add"].as_u64().unwrap();
            *value
        });
        Answer::ok(json!({"value": reply}).to_string())
    }

    fn values(&self) -> Vec<u64> {
        self.by_path.lock().unwrap().values().map(|counter| counter.value).collect()
    }
}

#[tokio::test]
async fn all_lines_arrive_and_the_same_file_again_changes_nothing() {
    let (place, counters) = (Place::new(), Counters::default());
    let script = counters.clone();
    let server = Scripted::start(move |seen| script.call(seen)).await;
    let text: String = (0..300).map(|n| add(&format!("c{}", n % 3), 1)).collect();
    let file = place.write("in.ndjson", &text);

    for _ in 0..2 {
        let (code, summary, complaint) = finish(send(&server.url(), &file, &[])).await;
        assert_eq!((code, &summary["ok"], &summary["failed"]), (0, &json!(300), &json!(0)), "{complaint}");
        assert_eq!(counters.values(), [100, 100, 100]);
        assert!(summary["latency_ms"]["p99"].as_f64().unwrap() > 0.0);
        assert_eq!(summary["complete_to_line"], 300);
    }
    assert!(!place.path("in.ndjson.failed.ndjson").exists());

    let (code, ..) = finish(send(&server.url(), &file, &["--again"])).await;
    assert_eq!((code, counters.values()), (0, vec![200, 200, 200]));
}

#[tokio::test]
async fn lines_of_one_entity_go_in_order_and_others_beside_them() {
    let place = Place::new();
    let server =
        Scripted::start(|_| Answer::After(Duration::from_millis(2), Box::new(Answer::ok("null")))).await;
    let text: String = (0..120).map(|n| add(&format!("c{}", n % 4), n)).collect();
    let file = place.write("in.ndjson", &text);
    let (code, ..) = finish(send(&server.url(), &file, &[])).await;
    assert_eq!(code, 0);

    let mut by_entity: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for seen in server.seen() {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        by_entity.entry(seen.path).or_default().push(body["add"].as_u64().unwrap());
    }
    assert_eq!(by_entity.len(), 4);
    assert!(by_entity.values().all(|numbers| numbers.len() == 30 && numbers.is_sorted()));
    assert_eq!(server.connections(), 4, "as many at a time as there are entities");
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_costs_no_line_and_no_second_effect() {
    let (place, counters) = (Place::new(), Counters::default());
    let text: String = (0..400).map(|n| add(&format!("c{}", n % 7), 1)).collect();
    let file = place.write("in.ndjson", &text);

    // Applies a command and dies before it answers, in the middle of the file.
    let (dying, mut died) = mpsc::unbounded_channel();
    let (script, mut left) = (counters.clone(), 150);
    let first = Scripted::start(move |seen| {
        left -= 1;
        let answer = script.call(seen);
        if left > 0 {
            return answer;
        }
        let _ = dying.send(());
        Answer::Drop
    })
    .await;
    let (url, address) = (first.url(), first.address());
    let child = send(&url, &file, &["--in-flight", "16"]);
    died.recv().await.unwrap();
    first.kill().await;

    let script = counters.clone();
    let _second = Scripted::start_at(address, move |seen| script.call(seen)).await;
    let (code, summary, complaint) = finish(child).await;
    assert_eq!((code, &summary["ok"]), (0, &json!(400)), "{complaint}");
    assert_eq!(counters.values().iter().sum::<u64>(), 400);
}

#[tokio::test]
async fn failed_lines_are_kept_with_their_reasons_and_can_be_sent_again() {
    let (place, counters) = (Place::new(), Counters::default());
    let script = counters.clone();
    let mut text = add("good", 1) + "{not json\n\n" + &add("bad", 2);
    writeln!(text, r#"{{"kind":"counter","key":"good","command":{{"add":4}},"id":"mine"}}"#).unwrap();
    let file = place.write("in.ndjson", &text);
    let server = Scripted::start(move |seen| match seen.path.contains("bad") {
        true => Answer::problem(404, "unknown_kind"),
        false => script.call(seen),
    })
    .await;

    let (code, summary, complaint) = finish(send(&server.url(), &file, &[])).await;
    assert_eq!(code, 1);
    assert_eq!([&summary["ok"], &summary["failed"], &summary["malformed"]], [2, 1, 1]);
    assert!(complaint.contains("line 2:") && complaint.contains("line 4:"), "{complaint}");
    assert!(server.seen().iter().any(|seen| seen.key() == "mine"));

    let mut failed = place.lines("in.ndjson.failed.ndjson");
    failed.sort_by_key(|line| line["failed"]["line"].as_u64());
    assert_eq!(
        (failed[0]["failed"]["code"].as_str(), &failed[0]["text"]),
        (Some("malformed"), &json!("{not json"))
    );
    assert_eq!(
        (&failed[1]["failed"]["code"], &failed[1]["failed"]["line"]),
        (&json!("unknown_kind"), &json!(4))
    );

    // Sent again as it was kept, the line has the key that it had.
    let again = place.write("again.ndjson", &(failed[1].to_string() + "\n"));
    let before = server.seen().into_iter().find(|seen| seen.path.contains("bad")).unwrap();
    let _ = finish(send(&server.url(), &again, &["--failed", place.path("f").to_str().unwrap()])).await;
    assert_eq!(server.seen().last().unwrap().key(), before.key());
    assert_eq!(place.lines("f").len(), 1);
}

#[tokio::test]
async fn too_many_failures_stop_it() {
    let place = Place::new();
    let server = Scripted::start(|_| Answer::problem(404, "unknown_kind")).await;
    let text: String = (0..1000).map(|n| add(&n.to_string(), 1)).collect();
    let file = place.write("in.ndjson", &text);
    let (code, summary, _) =
        finish(send(&server.url(), &file, &["--max-failures", "3", "--in-flight", "2"])).await;
    assert_eq!((code, &summary["stopped"]), (1, &json!("failures")));
    let failed = summary["failed"].as_u64().unwrap();
    assert!((3..=4).contains(&failed), "{failed}");
}

#[tokio::test]
async fn without_a_server_or_a_token_it_stops_instead_of_failing_every_line() {
    let place = Place::new();
    let text: String = (0..1000).map(|n| add(&n.to_string(), 1)).collect();
    let file = place.write("in.ndjson", &text);

    let dead = format!("http://{}", scripted::dead_address().await);
    let (code, summary, _) = finish(send(&dead, &file, &["--retry-for", "300ms", "--in-flight", "5"])).await;
    assert_eq!((code, &summary["stopped"], &summary["ok"]), (4, &json!("unavailable"), &json!(0)));
    assert_eq!((&summary["failed"], &summary["complete_to_line"]), (&json!(5), &json!(5)));

    let server = Scripted::start(|_| Answer::problem(401, "unauthorized")).await;
    let (code, summary, _) = finish(send(&server.url(), &file, &["--in-flight", "5"])).await;
    assert_eq!((code, &summary["stopped"]), (5, &json!("unauthorized")));
    assert!(server.seen().len() <= 10);
}

#[tokio::test]
async fn an_interrupt_finishes_what_is_in_flight_and_says_how_far_it_came() {
    let place = Place::new();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let server = Scripted::start(move |_| {
        let _ = arrived.send(());
        Answer::After(Duration::from_millis(300), Box::new(Answer::ok("null")))
    })
    .await;
    let text: String = (0..1000).map(|n| add(&n.to_string(), 1)).collect();
    let file = place.write("in.ndjson", &text);
    let child = send(&server.url(), &file, &["--in-flight", "4"]);
    for _ in 0..4 {
        arrivals.recv().await.unwrap();
    }
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());

    let (code, summary, complaint) = finish(child).await;
    assert_eq!((code, &summary["stopped"]), (130, &json!("interrupted")), "{complaint}");
    assert_eq!((&summary["ok"], &summary["complete_to_line"]), (&json!(4), &json!(4)));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn lines_come_from_standard_input_as_they_are_written() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let server = Scripted::start(move |seen| {
        let _ = arrived.send(seen.path.clone());
        Answer::ok("null")
    })
    .await;
    let mut child = send(&server.url(), Path::new("-"), &[]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(add("first", 1).as_bytes()).await.unwrap();
    stdin.flush().await.unwrap();
    assert!(arrivals.recv().await.unwrap().contains("first"), "it is sent before the input ends");
    stdin.write_all(b"{\"kind\":\"counter\",\"key\":\"second\",\"command\":1,\"cast\":true}").await.unwrap();
    drop(stdin);
    let (code, summary, _) = finish(child).await;
    assert_eq!((code, &summary["ok"]), (0, &json!(2)));
    assert!(arrivals.recv().await.unwrap().ends_with("second/cast"));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_clear_error() {
    let place = Place::new();
    let (code, _, complaint) = finish(send("http://127.0.0.1:1", &place.path("absent"), &[])).await;
    assert_eq!(code, 1);
    assert!(complaint.contains("absent"), "{complaint}");
    let file = place.write("in", "");
    let same = file.to_str().unwrap().to_owned();
    let (code, ..) = finish(send("http://127.0.0.1:1", &file, &["--failed", &same])).await;
    assert_eq!(code, 2);
}
