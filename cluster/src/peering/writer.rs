//! Writes what a session sends: takes all that waits, seals it, writes it in large pieces.

use std::{io, sync::Arc};

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{Lane, link::Link, outbox::End, record, record::Sealer, session::Session};
use crate::environment::WriteEnd;

/// How many records are sealed before they are written.
const RECORDS: usize = 4;
/// A buffer that grew larger than this is given back.
const KEEP_BYTES: usize = 1 << 20;

/// Runs until the session ends. A plain session has no `sealer`.
pub(super) async fn run(link: Arc<Link>, session: Arc<Session>, half: WriteEnd, sealer: Option<Sealer>) {
    let mut end = session.outbox.end();
    let mut writer = Writer { link, session: Arc::clone(&session), half, sealer, sealed: Vec::new() };
    let outcome = tokio::select! {
        biased;
        // An error would mean that the session is gone, and we hold it.
        _ = end.wait_for(|end| *end == End::Closed) => Ok(()),
        outcome = writer.write_all() => outcome,
    };
    if let Err(error) = outcome {
        session.close(&format!("could not write: {error}"));
    }
    // The peer may be gone; dropping the half closes it anyway.
    let _ = timeout(writer.link.config.stall_timeout, writer.half.shutdown()).await;
}

struct Writer {
    link: Arc<Link>,
    session: Arc<Session>,
    half: WriteEnd,
    sealer: Option<Sealer>,
    sealed: Vec<u8>,
}

impl Writer {
    async fn write_all(&mut self) -> io::Result<()> {
        let mut plain = Vec::new();
        // Behind each of its frames stands a sync of a disk, so a turn of the scheduler more is nothing; and each write costs
        // more than what is in it.
        let gathers = self.session.lane() == Lane::Consensus;
        while let Some(frames) = self.session.outbox.take(&mut plain, gathers).await {
            self.link.traffic(&self.session).frames_out.add(frames);
            self.write_frames(&plain).await?;
            plain.clear();
            if plain.capacity() > KEEP_BYTES {
                plain = Vec::new();
            }
        }
        Ok(())
    }

    async fn write_frames(&mut self, plain: &[u8]) -> io::Result<()> {
        let Some(mut sealer) = self.sealer.take() else { return self.write(plain).await };
        let mut sealed = std::mem::take(&mut self.sealed);
        for piece in plain.chunks(RECORDS * record::PLAIN_BYTES_MAX) {
            self.write(sealer.seal(piece, &mut sealed)).await?;
        }
        (self.sealed, self.sealer) = (sealed, Some(sealer));
        Ok(())
    }

    /// Each step must be done in time, not all of them together: a slow peer is not a dead one.
    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = timeout(self.link.config.stall_timeout, self.half.write(bytes)).await;
            let written = written.unwrap_or_else(|_| {
                self.link.statistics.stalled_closed.increment();
                Err(io::ErrorKind::TimedOut.into())
            })?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.session.pulse.written(self.link.now_ms());
            self.link.traffic(&self.session).bytes_out.add(written as u64);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}
