//! What is written together.

use bytes::Bytes;

/// One change to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The key has this value from now on.
    Put(Bytes, Bytes),
    /// The key has no value from now on. Removing an absent key is allowed.
    Remove(Bytes),
}

impl Op {
    /// The key that changes.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(key, _) | Self::Remove(key) => key,
        }
    }
}

/// Changes that happen together or not at all. Later changes to the same key win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(Op::Put(key.into(), value.into()));
    }

    /// Adds a removal.
    pub fn remove(&mut self, key: impl Into<Bytes>) {
        self.push(Op::Remove(key.into()));
    }

    /// Adds a change.
    pub fn push(&mut self, op: Op) {
        self.bytes += match &op {
            Op::Put(key, value) => key.len() + value.len(),
            Op::Remove(key) => key.len(),
        };
        self.ops.push(op);
    }

    /// Adds all changes of `other` behind ours.
    pub fn append(&mut self, other: Batch) {
        self.bytes += other.bytes;
        self.ops.extend(other.ops);
    }

    /// The changes, in the order in which they were added.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The changes, in the order in which they were added.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many changes were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Sum of the lengths of all keys and values, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
