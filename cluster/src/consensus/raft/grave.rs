//! What a replica leaves behind when it is destroyed.
//!
//! A replica that comes back with the same id and an empty log must still keep what it promised before: it votes only
//! once in a term, and not for a candidate that lacks an entry which this replica once said to have on disk. Without
//! that, such a candidate and the emptied replica could together be a majority of voters that were replaced long
//! ago, and elect a second leader. So the vote and the position of the last entry stay, in one small record.

use std::io;

use serde::{Deserialize, Serialize};

use super::types::{LogId, Vote, decode, encode, io_error};
use crate::{
    consensus::{GroupId, keys::Keys},
    store::{Batch, Store, StoreError},
};

/// The promises of a replica that was destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grave {
    pub(crate) vote: Option<Vote>,
    pub(crate) last: Option<LogId>,
    /// The rest may still be there.
    is_open: bool,
}

impl Grave {
    /// Reads what was left behind, and removes what an interrupted destruction did not.
    pub(crate) async fn visit(store: &Store, group: GroupId) -> io::Result<Self> {
        let grave = Self::read(store, group)?;
        if grave.is_open {
            grave.close(store, group).await.map_err(io_error)?;
        }
        Ok(grave)
    }

    /// Reads what was left behind by the replica before the one that is there. `None`: there is no replica, or only what an
    /// interrupted destruction did not remove. Writes nothing.
    pub(crate) fn look(store: &Store, group: GroupId) -> io::Result<Option<Self>> {
        let grave = Self::read(store, group)?;
        let is_there = !grave.is_open && Self::is_needed(store, group)?;
        Ok(is_there.then_some(grave))
    }

    /// Removes everything of a group but the promises, which are `vote` and `last` and those made before.
    pub(crate) async fn dig(
        store: &Store,
        group: GroupId,
        vote: Option<Vote>,
        last: Option<LogId>,
    ) -> io::Result<()> {
        let before = Self::read(store, group)?;
        // A later vote is always greater, unless neither can be compared: then both are of one term.
        let vote = if vote > before.vote { vote } else { before.vote };
        let grave = Self { vote, last: last.max(before.last), is_open: true };
        grave.write(store, group).await.map_err(io_error)?;
        grave.close(store, group).await.map_err(io_error)
    }

    /// Whether something is there besides the promises.
    pub(crate) fn is_needed(store: &Store, group: GroupId) -> io::Result<bool> {
        for range in Keys::new(group).all_but_grave() {
            if !store.keys(&range.start..&range.end, 1).map_err(io_error)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(store: &Store, group: GroupId) -> io::Result<Self> {
        let stored = store.get(&Keys::new(group).grave()).map_err(io_error)?;
        Ok(stored.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default())
    }

    async fn write(&self, store: &Store, group: GroupId) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Keys::new(group).grave(), encode(self));
        store.commit(batch).await
    }

    async fn close(&self, store: &Store, group: GroupId) -> Result<(), StoreError> {
        for range in Keys::new(group).all_but_grave() {
            store.remove_range(&range.start, &range.end).await?;
        }
        Self { is_open: false, ..*self }.write(store, group).await
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The mark of a destruction that was interrupted.
    pub fn open_grave() -> bytes::Bytes {
        encode(&Grave { is_open: true, ..Grave::default() })
    }
}
