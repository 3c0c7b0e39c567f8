//! Looks at the crate's journals before the crate does.
//!
//! The crate cuts a journal at the first byte that it does not understand, whatever lies behind. That is right
//! for a write that a crash tore, and loses acknowledged batches if the byte was damaged later. The
//! [marks](super::mark) tell the two apart. Format of the crate, version 3, all numbers little endian:
//!
//! ```text
//! journal = batch… │ zeros to the end of the file
//! batch   = 1: u8 │ number of items: u32 │ sequence number: u64 │ item… │ 3: u8 │ checksum: u64 │ "FJL" 3
//! item    = 2: u8 │ kind: u8 │ compression: u8 │ keyspace: u64 │ key length: u16 │ value length: u32
//!           │ stored length: u32 │ key │ stored value
//!         | 4: u8 │ keyspace: u64
//! checksum = xxh3_64 of the bytes of all items
//! ```
//!
//! The checksum does not cover the sequence number. So it must rise from batch to batch; a damage that keeps the
//! order is harmless.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::mark::{self, MARK_BYTES, Mark};
use crate::store::StoreError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

/// Refuses journals that lost something acknowledged; cuts a write that a crash tore. `synced` is the highest
/// write known to be on disk.
pub(super) fn check(tree: &Path, synced: u64) -> Result<(), StoreError> {
    let journals = list(tree).map_err(|error| StoreError::io(tree, error))?;
    let (mut last, mut sequence) = (None, None);
    for (index, path) in journals.iter().enumerate() {
        let bytes = fs::read(path).map_err(|error| StoreError::io(path, error))?;
        let content = read(used(&bytes), &mut sequence);
        last = content.last.or(last);
        let is_sealed = index + 1 < journals.len();
        match content.verdict(last, synced) {
            Verdict::Whole => (),
            Verdict::Torn if !is_sealed => {
                cut(path, &content).map_err(|error| StoreError::io(path, error))?
            }
            Verdict::Torn | Verdict::Damaged => return Err(damaged(path, content.end)),
        }
    }
    Ok(())
}

fn damaged(path: &Path, end: usize) -> StoreError {
    let reason = format!("it cannot be read behind byte {end}, where acknowledged batches lie");
    StoreError::Corrupt { path: path.to_owned(), reason }
}

/// The journals, oldest first. The last is the one that is written.
fn list(tree: &Path) -> io::Result<Vec<PathBuf>> {
    if !tree.exists() {
        return Ok(Vec::new());
    }
    let mut journals = Vec::new();
    for entry in fs::read_dir(tree)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (Some(number), Some("jnl")) = (number, path.extension().and_then(|end| end.to_str())) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// The bytes without the zeros at the end, which are only space that was set aside.
fn used(bytes: &[u8]) -> &[u8] {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut used = bytes;
    while let Some(rest) = used.strip_suffix(&ZEROS) {
        used = rest;
    }
    let end = used.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &used[..end]
}

/// Removes the remains of a write that was never acknowledged, and keeps a copy beside the tree.
fn cut(path: &Path, content: &Content) -> io::Result<()> {
    let (end, bytes) = (content.end, content.rest.len());
    let copy = copy_name(path, end);
    tracing::warn!(path = %path.display(), end, bytes, copy = %copy.display(), "a crash tore the last write; cut");
    fs::write(copy, content.rest)?;
    let file = File::options().write(true).open(path)?;
    file.set_len(end as u64)?;
    file.sync_all()
}

/// Where the copy of a torn end goes: not among the files of the crate.
fn copy_name(journal: &Path, end: usize) -> PathBuf {
    let name = journal.file_stem().unwrap_or_default().to_string_lossy();
    let tree = journal.parent().unwrap_or(Path::new("."));
    tree.with_file_name(format!("torn-{name}-{end}"))
}

/// What could be read of a journal.
struct Content<'a> {
    /// Where the last whole batch ends.
    end: usize,
    /// The mark of the last whole batch that has one.
    last: Option<Mark>,
    /// What lies behind the last whole batch.
    rest: &'a [u8],
}

/// What the end of a journal means.
enum Verdict {
    /// Everything can be read.
    Whole,
    /// What cannot be read was never acknowledged, as far as anybody knows.
    Torn,
    /// What cannot be read was acknowledged.
    Damaged,
}

impl Content<'_> {
    /// `last`: the mark of the last whole batch in this or an earlier journal.
    fn verdict(&self, last: Option<Mark>, synced: u64) -> Verdict {
        let unreadable: Vec<_> = marks(self.rest).collect();
        let synced = unreadable.iter().map(|mark| mark.synced).max().unwrap_or(0).max(synced);
        let is_known_to_be_short = last.is_some_and(|last| last.write < synced);
        if self.rest.is_empty() {
            Verdict::Whole
        } else if is_known_to_be_short || unreadable.iter().any(|mark| mark.write <= synced) {
            Verdict::Damaged
        } else {
            Verdict::Torn
        }
    }
}

/// Reads whole batches behind the one with the number `sequence`.
fn read<'a>(bytes: &'a [u8], sequence: &mut Option<u64>) -> Content<'a> {
    let mut content = Content { end: 0, last: None, rest: bytes };
    while let Some(batch) = read_batch(content.rest) {
        if sequence.is_some_and(|before| batch.sequence <= before) {
            break;
        }
        *sequence = Some(batch.sequence);
        content.end += batch.length;
        content.rest = &bytes[content.end..];
        content.last = batch.mark.or(content.last);
    }
    content
}

struct Batch {
    length: usize,
    sequence: u64,
    mark: Option<Mark>,
}

/// The batch at the start of `bytes`, if it is whole.
fn read_batch(bytes: &[u8]) -> Option<Batch> {
    let mut cursor = Cursor { bytes, at: 0 };
    (cursor.byte()? == START).then_some(())?;
    let items = u32::from_le_bytes(cursor.array()?);
    let sequence = u64::from_le_bytes(cursor.array()?);
    let (body, mut mark) = (cursor.at, None);
    for _ in 0..items {
        mark = cursor.item()?.or(mark);
    }
    let checksum = xxh3_64(&bytes[body..cursor.at]);
    let is_whole = cursor.byte()? == END
        && u64::from_le_bytes(cursor.array()?) == checksum
        && cursor.take(TRAILER.len())? == TRAILER;
    is_whole.then_some(Batch { length: cursor.at, sequence, mark })
}

/// All marks in bytes that cannot be read as batches.
fn marks(bytes: &[u8]) -> impl Iterator<Item = Mark> {
    let key = mark::key();
    let length = key.len();
    let windows = bytes.windows(length + MARK_BYTES).filter(move |window| window.starts_with(&key));
    windows.filter_map(move |window| Mark::decode(&window[length..]))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Reads one item. Inside: its mark, if it is one.
    fn item(&mut self) -> Option<Option<Mark>> {
        match self.byte()? {
            CLEAR => self.take(8).map(|_| None),
            ITEM => {
                self.take(1 + 1 + 8)?;
                let key_length = u16::from_le_bytes(self.array()?);
                self.take(4)?;
                let stored_length = u32::from_le_bytes(self.array()?);
                let key = self.take(key_length.into())?;
                let value = self.take(stored_length as usize)?;
                Some((key == mark::key()).then(|| Mark::decode(value)).flatten())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM, 0, 0];
        item.extend(1u64.to_le_bytes());
        item.extend((key.len() as u16).to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend(key);
        item.extend(value);
        item
    }

    /// A batch as the crate writes it: one value and the mark.
    fn batch(write: u64, synced: u64) -> Vec<u8> {
        let body = [item(b"key", b"value"), item(&mark::key(), &Mark { write, synced }.encode())].concat();
        let mut batch = vec![START];
        batch.extend(2u32.to_le_bytes());
        batch.extend(write.to_le_bytes());
        batch.extend(&body);
        batch.push(END);
        batch.extend(xxh3_64(&body).to_le_bytes());
        batch.extend(TRAILER);
        batch
    }

    fn journal(synced: [u64; 3]) -> Vec<u8> {
        let batches = (1..).zip(synced).flat_map(|(write, synced)| batch(write, synced));
        batches.chain([0; 100]).collect()
    }

    /// Every byte of the batches in `range`, except the sequence number of the last, which does not matter.
    fn bytes_of(range: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let length = batch(1, 0).len();
        let unprotected = 2 * length + 5..2 * length + 13;
        (range.start * length..range.end * length).filter(move |at| !unprotected.contains(at))
    }

    fn check_bytes(bytes: &[u8], synced: u64) -> (Result<(), StoreError>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let path = tree.join("0.jnl");
        fs::write(&path, bytes).unwrap();
        let outcome = check(&tree, synced);
        (outcome, fs::metadata(path).unwrap().len())
    }

    #[test]
    fn a_whole_journal_stays_as_it_is() {
        let bytes = journal([0, 1, 2]);
        let (outcome, length) = check_bytes(&bytes, 3);
        outcome.unwrap();
        assert_eq!(length, bytes.len() as u64);
    }

    /// The last write was not synced: whatever remains of it is cut, all that came before stays.
    #[test]
    fn a_torn_write_is_cut() {
        let length = batch(1, 0).len();
        for damaged in bytes_of(2..3) {
            let mut bytes = journal([0, 1, 2]);
            bytes[damaged] ^= 0xff;
            let (outcome, left) = check_bytes(&bytes, 2);
            outcome.unwrap();
            assert_eq!(left, 2 * length as u64);
        }
    }

    /// The same damage in a write that was acknowledged: refused, and the file stays.
    #[test]
    fn damage_of_an_acknowledged_write_is_refused() {
        for damaged in bytes_of(0..3) {
            let mut bytes = journal([0, 1, 2]);
            bytes[damaged] ^= 0xff;
            let (outcome, left) = check_bytes(&bytes, 3);
            assert!(matches!(outcome, Err(StoreError::Corrupt { path, .. }) if path.ends_with("0.jnl")));
            assert_eq!(left, bytes.len() as u64);
        }
    }

    /// The file `synced` was lost with the power; a later write still proves that the damaged one was synced.
    #[test]
    fn a_later_write_proves_that_the_damaged_one_was_synced() {
        let length = batch(1, 0).len();
        let mut bytes = journal([0, 1, 2]);
        bytes[length + 20] ^= 0xff;
        assert!(check_bytes(&bytes, 0).0.is_err());
        let mut bytes = journal([0, 0, 0]); // None of them was synced when the third was written.
        bytes[length + 20] ^= 0xff;
        assert!(check_bytes(&bytes, 0).0.is_ok());
    }
}
