//! Opens all shards at once, and fetches them one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io, iter,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use playhouse_client::ReadError;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    backup::{BackupWriter, FORMAT, Header, Pair, Part},
    cli::{Exit, Failure, Output, operators::Desk},
};

/// How often a shard is begun at most: it may move meanwhile, or its leader may be lost.
const ATTEMPTS_MAX: usize = 20;
/// How long to wait before it is begun again. All attempts together outlast several elections.
const AGAIN: Duration = Duration::from_millis(500);

/// How many shards are being opened at a time.
const OPENING_MAX: usize = 32;
/// How often copies are asked for that are not read yet; well below the time after which a node gives them up.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// How many copies one request names.
const KEPT_TOGETHER_MAX: usize = 512;

/// Who carries out commands. All that a backup needs are safe to repeat.
pub(super) trait Commands {
    /// At how many addresses.
    fn count(&self) -> usize;

    /// Gives the command `name`, first to the address with the number `first`, counted around.
    async fn give<T: DeserializeOwned>(
        &self,
        first: usize,
        name: &str,
        arguments: &Value,
    ) -> Result<Result<T, ReadError>, Failure>;
}

impl Commands for Desk {
    fn count(&self) -> usize {
        self.count()
    }

    async fn give<T: DeserializeOwned>(
        &self,
        first: usize,
        name: &str,
        arguments: &Value,
    ) -> Result<Result<T, ReadError>, Failure> {
        self.try_act_from(first, name, arguments).await
    }
}

/// Where shards come from.
pub(super) struct Source<'a, C> {
    commands: C,
    output: &'a Output,
    /// The number of the address that did well last: a node that hangs, or sees no majority, is not asked first again.
    answering: AtomicUsize,
    /// The copies that are open and not read to their end.
    open: Mutex<BTreeSet<String>>,
}

/// A copy that was opened.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OpenView {
    copy: String,
    pub(super) shards: u32,
    pub(super) cluster_id: String,
    pub(super) release: String,
    pub(super) schemas: BTreeMap<String, u32>,
    term: u64,
    index: u64,
    pub(super) taken_ms: u64,
}

/// Some pairs of it.
#[derive(Debug, Deserialize)]
struct PartView {
    body: String,
    checksum: String,
}

/// Why a copy is of no use.
enum CopyFailure {
    /// Another one may be.
    Passing(Failure),
    /// No other one will be.
    Lasting(Failure),
}

impl<'a, C: Commands> Source<'a, C> {
    pub(super) fn new(commands: C, output: &'a Output) -> Self {
        Self { commands, output, answering: AtomicUsize::new(0), open: Mutex::default() }
    }

    /// Opens a copy of a shard, as soon as it has a leader.
    pub(super) async fn open(&self, shard: u32) -> Result<OpenView, Failure> {
        self.attempt(shard, async |at| self.open_once(at, shard).await).await
    }

    /// Opens a copy of every shard; `first` is that of the first one.
    pub(super) async fn open_others(&self, first: &OpenView) -> Result<Vec<OpenView>, Failure> {
        let others = stream::iter(1..first.shards).map(|shard| self.open(shard)).buffered(OPENING_MAX);
        let others: Vec<_> = others.try_collect().await?;
        Ok(iter::once(first.clone()).chain(others).collect())
    }

    /// Keeps copies open that are not read yet. One that ends nevertheless is opened again when its turn comes.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            let open: Vec<_> = self.open.lock().iter().cloned().collect();
            for some in open.chunks(KEPT_TOGETHER_MAX) {
                self.keep_some(some).await;
            }
        }
    }

    /// Asks everybody, until one says that it was done.
    async fn keep_some(&self, copies: &[String]) {
        let first = self.answering.load(Relaxed);
        for at in first..first + self.commands.count() {
            let kept = self.commands.give::<Value>(at, "backup-keep", &json!({"copies": copies})).await;
            if matches!(kept, Ok(Ok(_))) {
                return;
            }
        }
    }

    /// Copies a shard into the backup, from the copy that was opened, or from another one if that is of no use any more. Every
    /// copy must be of the cluster of `first`.
    pub(super) async fn copy(
        &self,
        shard: u32,
        opened: &OpenView,
        first: &OpenView,
        backup: &mut BackupWriter,
    ) -> Result<(), Failure> {
        let mut opened = Some(opened.clone());
        self.attempt(shard, async |at| self.copy_attempt(at, shard, opened.take(), first, backup).await).await
    }

    async fn copy_attempt(
        &self,
        at: usize,
        shard: u32,
        opened: Option<OpenView>,
        first: &OpenView,
        backup: &mut BackupWriter,
    ) -> Result<(), CopyFailure> {
        let open = match opened {
            Some(open) => open,
            None => self.open_once(at, shard).await?,
        };
        if (&open.cluster_id, open.shards) != (&first.cluster_id, first.shards) {
            let what =
                format!("the addresses lead to two clusters: {} and {}", first.cluster_id, open.cluster_id);
            return Err(CopyFailure::Lasting(Failure::new(Exit::Usage, what)));
        }
        let copied = self.copy_once(at, shard, &open, backup).await;
        self.open.lock().remove(&open.copy);
        // One that is not given back ends by itself.
        drop(self.commands.give::<Value>(at, "backup-close", &json!({"copy": open.copy})).await);
        copied
    }

    /// Each attempt begins at another address.
    async fn attempt<T>(
        &self,
        shard: u32,
        mut attempt: impl AsyncFnMut(usize) -> Result<T, CopyFailure>,
    ) -> Result<T, Failure> {
        let first = self.answering.load(Relaxed);
        let last = first + ATTEMPTS_MAX - 1;
        for at in first..=last {
            match attempt(at).await {
                Ok(done) => {
                    self.answering.store(at, Relaxed);
                    return Ok(done);
                }
                Err(CopyFailure::Passing(failure)) if at < last => {
                    self.output.note(&format!("shard {shard} is begun again: {}", failure.what()));
                    tokio::time::sleep(AGAIN).await;
                }
                Err(CopyFailure::Passing(failure) | CopyFailure::Lasting(failure)) => return Err(failure),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn open_once(&self, at: usize, shard: u32) -> Result<OpenView, CopyFailure> {
        let open: OpenView = self.ask(at, "backup-open", &json!({"shard": shard})).await?;
        self.open.lock().insert(open.copy.clone());
        Ok(open)
    }

    async fn copy_once(
        &self,
        at: usize,
        shard: u32,
        open: &OpenView,
        backup: &mut BackupWriter,
    ) -> Result<(), CopyFailure> {
        let header = Header {
            format: FORMAT,
            cluster_id: open.cluster_id.clone(),
            shard,
            shards: open.shards,
            term: open.term,
            index: open.index,
            taken_ms: open.taken_ms,
        };
        let mut writer = backup.shard(&header).map_err(lasting)?;
        let mut after: Option<Bytes> = None;
        loop {
            let (part, pairs) = self.read(at, &open.copy, after.as_ref()).await?;
            let Some((last, _)) = pairs.last() else { break };
            if after.as_ref().is_some_and(|after| pairs[0].0 <= *after) {
                return Err(not_a_part(shard, "it begins where it should not"));
            }
            after = Some(last.clone());
            writer.add(&part, &pairs).map_err(|error| not_written(shard, &error))?;
        }
        backup.end_shard(&header, writer).map(drop).map_err(lasting)
    }

    async fn read(
        &self,
        at: usize,
        copy: &str,
        after: Option<&Bytes>,
    ) -> Result<(Part, Vec<Pair>), CopyFailure> {
        let after = after.map(|after| BASE64.encode(after));
        let view: PartView = self.ask(at, "backup-read", &json!({"copy": copy, "after": after})).await?;
        let damaged = |reason: String| {
            let what = format!("what the node sent is damaged: {reason}");
            CopyFailure::Passing(Failure::new(Exit::Failed, what))
        };
        let body = BASE64.decode(view.body).map_err(|error| damaged(error.to_string()))?;
        let checksum = u64::from_str_radix(&view.checksum, 16).map_err(|error| damaged(error.to_string()))?;
        let part = Part { body: body.into(), checksum };
        let pairs = part.open().map_err(damaged)?;
        Ok((part, pairs))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        at: usize,
        name: &str,
        arguments: &Value,
    ) -> Result<T, CopyFailure> {
        let asked = self.commands.give(at, name, arguments).await.map_err(CopyFailure::Lasting)?;
        asked.map_err(|error| {
            let is_passing = match &error {
                ReadError::GaveUp(_) => true,
                ReadError::Rejected(problem) => problem.status >= 500,
                _ => false,
            };
            let failure = crate::cli::operators::explain(error);
            if is_passing { CopyFailure::Passing(failure) } else { CopyFailure::Lasting(failure) }
        })
    }
}

fn lasting(error: crate::backup::BackupError) -> CopyFailure {
    CopyFailure::Lasting(error.into())
}

fn not_written(shard: u32, error: &io::Error) -> CopyFailure {
    CopyFailure::Lasting(Failure::new(
        Exit::Failed,
        format!("could not write the file of shard {shard}: {error}"),
    ))
}

fn not_a_part(shard: u32, reason: &str) -> CopyFailure {
    CopyFailure::Lasting(Failure::new(
        Exit::Failed,
        format!("what the node sent is no part of shard {shard}: {reason}"),
    ))
}
