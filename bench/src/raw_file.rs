//! The limit of any store: append to one file and `fdatasync`, with the same group commit.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::mpsc,
};

use playhouse_cluster::environment::Environment;
use tokio::sync::oneshot;

struct Append {
    bytes: Vec<u8>,
    done: oneshot::Sender<()>,
}

/// A thread that drains all that waits, writes once, syncs once, wakes all.
#[derive(Clone, Debug)]
pub struct RawFile {
    queue: mpsc::Sender<Append>,
}

impl RawFile {
    /// Creates the file.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the file or the thread.
    pub fn create(path: &Path, environment: &Environment) -> io::Result<Self> {
        let file = File::create(path)?;
        let (queue, waiting) = mpsc::channel();
        environment.thread("raw file", move || write(&file, &waiting).expect("the disk works"))?;
        Ok(Self { queue })
    }

    /// Appends; returns when it is durable.
    ///
    /// # Panics
    ///
    /// When the disk refused.
    pub async fn append(&self, bytes: Vec<u8>) {
        let (done, appended) = oneshot::channel();
        self.queue.send(Append { bytes, done }).expect("the thread lives");
        appended.await.expect("the thread lives");
    }
}

fn write(mut file: &File, waiting: &mpsc::Receiver<Append>) -> io::Result<()> {
    while let Ok(first) = waiting.recv() {
        let round: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let bytes: Vec<_> = round.iter().flat_map(|append| &append.bytes).copied().collect();
        file.write_all(&bytes)?;
        file.sync_data()?;
        // A writer that no longer waits has ended its run.
        round.into_iter().for_each(|append| append.done.send(()).unwrap_or_default());
    }
    Ok(())
}
