//! Opens the Raft groups of all shards.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use playhouse_cluster::{
    consensus::{GroupId, Isolated, OpenError, RaftGroup, RaftId},
    environment::Environment,
    store::Store,
};

use super::Settings;

/// How many groups are opened at once.
const AT_ONCE: usize = 16;

/// Opens one group per shard, in order; founds those that are new, with this node as their only voter.
pub(super) async fn open_all(
    settings: &Settings,
    own: RaftId,
    store: &Store,
    environment: &Environment,
) -> Result<Vec<RaftGroup>, OpenError> {
    let open = |shard: u16| open_one(settings, GroupId(u32::from(shard)), own, store, environment);
    stream::iter(0..settings.shards.get()).map(open).buffered(AT_ONCE).try_collect().await
}

async fn open_one(
    settings: &Settings,
    id: GroupId,
    own: RaftId,
    store: &Store,
    environment: &Environment,
) -> Result<RaftGroup, OpenError> {
    let transport = Arc::new(Isolated);
    let group = RaftGroup::open(id, own, store.clone(), transport, &settings.consensus, environment).await?;
    let is_new = group.found(&BTreeSet::from([own])).await?;
    if !is_new {
        // The only voter needs nobody's consent, so it need not wait for the election timeout.
        group.elect().await?;
    }
    Ok(group)
}
