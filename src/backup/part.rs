//! Some pairs of a shard, as they travel and as they are stored.

use bytes::Bytes;
use playhouse_cluster::codec;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// Some pairs of a shard, ascending by key, with a checksum from where they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The pairs in the one codec.
    pub body: Bytes,
    /// xxh3 of the body.
    pub checksum: u64,
}

impl Part {
    /// Packs pairs.
    ///
    /// ```
    /// use playhouse::backup::Part;
    /// let pairs = [("key".into(), "value".into())];
    /// let part = Part::pack(&pairs);
    /// assert_eq!(part.open().unwrap(), pairs);
    /// assert!(Part { checksum: part.checksum + 1, ..part }.open().is_err());
    /// ```
    #[must_use]
    pub fn pack(pairs: &[Pair]) -> Self {
        let body: Bytes = codec::encode(pairs).expect("pairs have known lengths").into();
        Self { checksum: xxh3_64(&body), body }
    }

    /// Checks and unpacks it.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    pub fn open(&self) -> Result<Vec<Pair>, String> {
        if xxh3_64(&self.body) != self.checksum {
            return Err("its checksum is wrong".to_owned());
        }
        codec::decode(&self.body).map_err(|error| error.to_string())
    }
}
