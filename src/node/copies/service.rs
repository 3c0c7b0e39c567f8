//! Copies between nodes, on the bulk lane.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use playhouse_cluster::{
    codec,
    consensus::RaftId,
    peering::{Lane, Peer, Peering, Service},
};
use serde::{Deserialize, Serialize};

use super::{COPIES, CopyError, CopyHead, Desk};
use crate::backup::Part;

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What a node asks another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Open a copy of this shard, if you lead it.
    Open { shard: u32 },
    /// Send the next pairs behind this key.
    Read { number: u64, after: Option<Bytes> },
    /// It is not needed any more.
    Close { number: u64 },
    /// These will be read later.
    Keep { numbers: Vec<u64> },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// It is open.
    Opened(CopyHead),
    /// This node does not lead the shard; perhaps it knows who does.
    NotLeader { leader: Option<RaftId> },
    /// The next pairs.
    Part(Part),
    /// It is closed, or was.
    Closed,
    /// Those of them that are open stay so for a while.
    Kept,
}

impl Service for Desk {
    fn receive(&self, _: &Arc<Peer>, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let desk = self.clone();
        Box::pin(async move {
            let ask = codec::decode(&request).map_err(|error| error.to_string())?;
            let told = desk.answer(ask).await;
            codec::encode(&told).map(Bytes::from).map_err(|error| error.to_string())
        })
    }
}

/// Asks a peer.
pub(super) async fn ask(peering: &Peering, to: RaftId, ask: &Ask) -> Result<Told, CopyError> {
    let unreachable = |reason: String| CopyError::Unreachable { reason };
    let request = codec::encode(ask).map_err(|error| unreachable(error.to_string()))?;
    let asked = peering.request(to, Lane::Bulk, COPIES, request.into());
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
    let answer = answer.map_err(|_| unreachable("no answer in time".to_owned()))?;
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    let told: Result<Told, CopyError> =
        codec::decode(&answer).map_err(|error| unreachable(error.to_string()))?;
    told
}
