//! Backups of a cluster that is not as it should be, in the time of the test.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use parking_lot::Mutex;
use playhouse_client::{Problem, ReadError};
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{backup::Part, cli::output::Format};

/// After so long a node gives up a copy that nobody asks for.
const IDLE_MAX: Duration = Duration::from_secs(60);
const ADDRESSES: usize = 3;
const SHARDS: u32 = 2;
/// How long it takes a node to find that a shard has no leader.
const SEARCH: Duration = Duration::from_secs(10);

/// A cluster whose shards are empty.
struct Cluster {
    /// The number of an address whose node sees no majority.
    minority: Mutex<Option<usize>>,
    /// Until then the last shard has no leader.
    leaderless_until: Instant,
    asked: Mutex<Vec<(usize, String)>>,
    /// Of which shards copies were opened.
    opened: Mutex<Vec<u64>>,
    /// When copies were opened, or asked for last. Those that were given up are not there.
    copies: Mutex<BTreeMap<String, Instant>>,
}

impl Cluster {
    fn new(minority: Option<usize>, leaderless_for: Duration) -> Self {
        Self {
            minority: Mutex::new(minority),
            leaderless_until: Instant::now() + leaderless_for,
            asked: Mutex::default(),
            opened: Mutex::default(),
            copies: Mutex::default(),
        }
    }

    async fn open(&self, shard: u64) -> Result<Value, u16> {
        if shard == u64::from(SHARDS) - 1 && Instant::now() < self.leaderless_until {
            sleep(SEARCH).await;
            return Err(503);
        }
        self.opened.lock().push(shard);
        let copy = format!("copy-{shard}");
        self.copies.lock().insert(copy.clone(), Instant::now());
        Ok(json!({
            "copy": copy,
            "shards": SHARDS,
            "cluster_id": "00ff",
            "release": "1.0.0",
            "schemas": {},
            "term": 1,
            "index": 1,
            "taken_ms": 1,
        }))
    }

    fn touch(&self, copy: &Value) -> Result<(), u16> {
        let mut copies = self.copies.lock();
        let used = copies.get_mut(copy.as_str().unwrap()).ok_or(503_u16)?;
        if used.elapsed() > IDLE_MAX {
            return Err(503);
        }
        *used = Instant::now();
        Ok(())
    }

    async fn answer(&self, at: usize, name: &str, given: &Value) -> Result<Value, u16> {
        if *self.minority.lock() == Some(at) {
            return Err(503);
        }
        match name {
            "backup-open" => self.open(given["shard"].as_u64().unwrap()).await,
            "backup-read" => {
                let part = Part::pack(&[]);
                let checksum = format!("{:016x}", part.checksum);
                self.touch(&given["copy"])?;
                Ok(json!({"body": BASE64.encode(part.body), "checksum": checksum}))
            }
            "backup-keep" => {
                for copy in given["copies"].as_array().unwrap() {
                    // One that is not open any more is told when it is read.
                    let _ = self.touch(copy);
                }
                Ok(json!({}))
            }
            "backup-close" => {
                self.copies.lock().remove(given["copy"].as_str().unwrap());
                Ok(json!({}))
            }
            _ => panic!("{name}"),
        }
    }

    /// Which addresses were asked to do it.
    fn asked(&self, name: &str) -> Vec<usize> {
        self.asked.lock().iter().filter(|(_, asked)| asked == name).map(|(at, _)| *at).collect()
    }
}

impl Commands for &Cluster {
    fn count(&self) -> usize {
        ADDRESSES
    }

    async fn give<T: DeserializeOwned>(
        &self,
        first: usize,
        name: &str,
        arguments: &Value,
    ) -> Result<Result<T, ReadError>, Failure> {
        let at = first % ADDRESSES;
        self.asked.lock().push((at, name.to_owned()));
        let problem = |status| {
            let problem = json!({"status": status, "code": "unavailable"});
            ReadError::Rejected(Box::new(from_value::<Problem>(problem).unwrap()))
        };
        let answer = self.answer(at, name, arguments).await;
        Ok(answer.map(|answer| from_value(answer).unwrap()).map_err(problem))
    }
}

async fn backed_up(cluster: &Cluster) -> Manifest {
    let (folder, output) = (tempfile::tempdir().unwrap(), Output::new(Format::Json));
    let to = folder.path().join("backup");
    let exit = take(&Source::new(cluster, &output), &to, &output).await;
    assert_eq!(exit.unwrap(), Exit::Ok);
    Backup::open(&to).unwrap().manifest().clone()
}

/// All attempts went to the first address, so one node without a majority failed every backup.
#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_help_is_not_the_only_one_asked() {
    let cluster = Cluster::new(Some(0), Duration::ZERO);
    assert_eq!(backed_up(&cluster).await.files.len(), 2);
    assert_eq!(cluster.asked("backup-open"), [0, 1, 1], "who did well is asked first from then on");
    assert!(cluster.asked("backup-read").iter().all(|at| *at == 1));
}

/// Copies were kept only when all were open: those that were opened first were gone when their turn came.
#[tokio::test(start_paused = true)]
async fn copies_stay_open_while_others_are_opened() {
    let begin = Instant::now();
    let cluster = Cluster::new(None, 2 * IDLE_MAX);
    assert_eq!(backed_up(&cluster).await.files.len(), 2);
    assert!(begin.elapsed() >= 2 * IDLE_MAX);
    assert_eq!(*cluster.opened.lock(), [0, 1], "none was opened again");
    assert!(cluster.copies.lock().is_empty(), "all were given back");
}

/// What keeps copies must not depend on one node either.
#[tokio::test(start_paused = true)]
async fn copies_are_kept_through_whoever_answers() {
    let (cluster, output) = (Cluster::new(Some(0), Duration::ZERO), Output::new(Format::Json));
    let source = Source::new(&cluster, &output);
    source.open(0).await.unwrap();
    *cluster.minority.lock() = Some(1);
    tokio::select! {
        biased;
        never = source.keep() => match never {},
        () = sleep(3 * IDLE_MAX) => {}
    }
    assert_eq!(cluster.asked("backup-keep")[..2], [1, 2]);
    assert!(cluster.copies.lock()["copy-0"].elapsed() < IDLE_MAX / 2);
}
