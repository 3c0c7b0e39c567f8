//! The file of one shard.
//!
//! ```text
//! magic                                "playhouse shard\n"
//! 'H' length:u32 xxh3:u64  header      which cluster, which shard, which log entry, when
//! 'P' length:u32 xxh3:u64  pairs       any number of parts, ascending by key
//! 'E' length:u32 xxh3:u64  pairs:u64   how many pairs there are in all
//! ```
//!
//! Numbers are little-endian; header and pairs are in the one codec.

use std::io::{self, Read, Write};

use bytes::Bytes;
use playhouse_cluster::codec;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Pair, Part, ShardEntry};

const MAGIC: &[u8; 16] = b"playhouse shard\n";
/// The longest record. Parts are about 1 MiB, unless one pair is larger.
const RECORD_BYTES_MAX: u32 = 64 << 20;

/// What a file says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format of the rest.
    pub format: u32,
    /// The cluster that it was taken from.
    pub cluster_id: String,
    /// Which shard.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// The last log entry that is part of it: its term.
    pub term: u64,
    /// The last log entry that is part of it: its index.
    pub index: u64,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub taken_ms: u64,
}

/// Writes the file of one shard.
pub struct ShardWriter<W> {
    to: W,
    sum: Xxh3,
    bytes: u64,
    pairs: u64,
}

/// What was written.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) pairs: u64,
    pub(super) checksum: String,
}

impl<W: Write> ShardWriter<W> {
    pub(super) fn begin(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { to, sum: Xxh3::new(), bytes: 0, pairs: 0 };
        writer.write(MAGIC)?;
        let header = encode(header)?;
        writer.record(b'H', &header, xxh3_64(&header))?;
        Ok(writer)
    }

    /// Adds the next pairs, which `part` packs.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn add(&mut self, part: &Part, pairs: &[Pair]) -> io::Result<()> {
        self.pairs += pairs.len() as u64;
        self.record(b'P', &part.body, part.checksum)
    }

    pub(super) fn finish(mut self) -> io::Result<(W, Written)> {
        let pairs = self.pairs.to_le_bytes();
        self.record(b'E', &pairs, xxh3_64(&pairs))?;
        self.to.flush()?;
        let checksum = format!("{:016x}", self.sum.digest());
        Ok((self.to, Written { bytes: self.bytes, pairs: self.pairs, checksum }))
    }

    fn record(&mut self, tag: u8, body: &[u8], checksum: u64) -> io::Result<()> {
        let length = u32::try_from(body.len()).ok().filter(|length| *length <= RECORD_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a part is too large"))?;
        self.write(&[tag])?;
        self.write(&length.to_le_bytes())?;
        self.write(&checksum.to_le_bytes())?;
        self.write(body)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

impl Written {
    pub(super) fn is(&self, entry: &ShardEntry) -> bool {
        (self.bytes, self.pairs, &self.checksum) == (entry.bytes, entry.pairs, &entry.checksum)
    }
}

/// Reads the file of one shard. Every record is checked before it is given away; that there are all of them is only known at
/// the end.
pub(super) struct ShardReader<R> {
    from: R,
    sum: Xxh3,
    bytes: u64,
    pairs: u64,
    last_key: Option<Bytes>,
}

/// Why a file cannot be read on.
pub(super) enum ReadError {
    Io(io::Error),
    Damage(String),
}

impl<R: Read> ShardReader<R> {
    pub(super) fn begin(from: R) -> Result<(Self, Header), ReadError> {
        let mut reader = Self { from, sum: Xxh3::new(), bytes: 0, pairs: 0, last_key: None };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic)?;
        if &magic != MAGIC {
            return Err(damage("it is no file of a backup"));
        }
        let (tag, body) = reader.record()?;
        if tag != b'H' {
            return Err(damage("its header is missing"));
        }
        let header = codec::decode(&body).map_err(|error| damage(error.to_string()))?;
        Ok((reader, header))
    }

    /// The next pairs. `None`: that was all, and all is there.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Pair>>, ReadError> {
        let (tag, body) = self.record()?;
        match tag {
            b'P' => self.part(&body).map(Some),
            b'E' => self.end(&body).map(|()| None),
            _ => Err(damage("a record has an unknown tag")),
        }
    }

    fn part(&mut self, body: &[u8]) -> Result<Vec<Pair>, ReadError> {
        let pairs: Vec<Pair> = codec::decode(body).map_err(|error| damage(error.to_string()))?;
        for (key, _) in &pairs {
            if self.last_key.as_ref().is_some_and(|last| last >= key) {
                return Err(damage("its keys are not in order"));
            }
            self.last_key = Some(key.clone());
        }
        self.pairs += pairs.len() as u64;
        Ok(pairs)
    }

    fn end(&mut self, body: &[u8]) -> Result<(), ReadError> {
        if *body != self.pairs.to_le_bytes() {
            return Err(damage("pairs are missing"));
        }
        let mut more = [0; 1];
        match self.from.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damage("something follows its end")),
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    pub(super) fn written(&self) -> Written {
        let checksum = format!("{:016x}", self.sum.digest());
        Written { bytes: self.bytes, pairs: self.pairs, checksum }
    }

    fn record(&mut self) -> Result<(u8, Vec<u8>), ReadError> {
        let (mut tag, mut length, mut sum) = ([0; 1], [0; 4], [0; 8]);
        self.fill(&mut tag)?;
        self.fill(&mut length)?;
        self.fill(&mut sum)?;
        let length = u32::from_le_bytes(length);
        if length > RECORD_BYTES_MAX {
            return Err(damage("a record is longer than any can be"));
        }
        let mut body = vec![0; length as usize];
        self.fill(&mut body)?;
        if xxh3_64(&body).to_le_bytes() != sum {
            return Err(damage(format!("the checksum of a record before byte {} is wrong", self.bytes)));
        }
        Ok((tag[0], body))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.from.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damage("it was cut"),
            _ => ReadError::Io(error),
        })?;
        self.sum.update(buffer);
        self.bytes += buffer.len() as u64;
        Ok(())
    }
}

fn damage(reason: impl Into<String>) -> ReadError {
    ReadError::Damage(reason.into())
}

fn encode<T: Serialize + ?Sized>(value: &T) -> io::Result<Vec<u8>> {
    codec::encode(value).map_err(io::Error::other)
}
