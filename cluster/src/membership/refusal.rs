//! Why the system group says no.

use super::{Which, bootstrap::Rules};
use crate::{
    consensus::RaftId,
    identity::{ClusterId, Incarnation},
};

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// A name, zone, track or release is empty or too long, or a number is out of range.
    #[error("{what} is empty, too long or out of range; nothing was changed. Correct the configuration")]
    Invalid {
        /// Which part.
        what: String,
    },

    /// The node was configured for another number of shards.
    #[error(
        "this cluster has {cluster} shards, the node is configured for {node}; nothing was changed. The number is fixed when the cluster is formed: configure {cluster}"
    )]
    OtherShards {
        /// What the cluster has.
        cluster: u32,
        /// What the node wants.
        node: u32,
    },

    /// The node's volume belongs to another cluster.
    #[error(
        "this is the cluster {cluster}, the volume belongs to {node}; nothing was changed. Point the node at its own peers, or give it an empty volume to join here"
    )]
    OtherCluster {
        /// This cluster.
        cluster: ClusterId,
        /// The cluster of the volume.
        node: ClusterId,
    },

    /// The Raft id belongs to a member with another name.
    #[error(
        "the volume {} belongs to the member {name}; nothing was changed. Mount the right volume, or give the node an empty one", raft_id.0
    )]
    OtherName {
        /// The id.
        raft_id: RaftId,
        /// Whose it is.
        name: String,
    },

    /// The volume was set back to an earlier state, and with it what the node voted for.
    #[error(
        "{name} has run as incarnation {}, but its volume knows only {}: it was restored from a copy, so its votes are stale; nothing was changed. Give the node an empty volume: its peers fill it", known.0, volume.0
    )]
    RestoredVolume {
        /// The node.
        name: String,
        /// The last start that the cluster knows.
        known: Incarnation,
        /// The last start that the volume knows.
        volume: Incarnation,
    },

    /// The message is about an earlier start of the member.
    #[error("{name} has started again since; nothing was changed, and nothing needs to be done")]
    EarlierStart {
        /// The member.
        name: String,
        /// Its last known start.
        known: Incarnation,
    },

    /// The Raft id was replaced, left or was forgotten.
    #[error(
        "the volume {} was replaced or has left and never comes back; nothing was changed. Give {name} an empty volume to join again", raft_id.0
    )]
    Former {
        /// The id.
        raft_id: RaftId,
        /// The name of the node.
        name: String,
    },

    /// Another node with the same name is alive.
    #[error(
        "another node called {name} is alive, with the volume {}; nothing was changed. Stop one of the two, or rename it", other.0
    )]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        other: RaftId,
    },

    /// No member has this Raft id or name.
    #[error("there is no member {what}; nothing was changed. List the members")]
    Unknown {
        /// What was asked for.
        what: String,
    },

    /// The cluster is just beginning, and the node does not take part in that.
    #[error(
        "the cluster begins with {rules}, and {name} is none of them; nothing was changed. It can join when a majority of those has: try again"
    )]
    NotListedYet {
        /// The node.
        name: String,
        /// Who takes part.
        rules: Rules,
    },

    /// There is no room in the configuration.
    #[error("the configuration holds {max} {what} at most; nothing was changed. Forget members that left")]
    Full {
        /// What there are too many of.
        what: String,
        /// How many there may be.
        max: usize,
    },

    /// The member is in a state in which this cannot be asked.
    #[error("{name} is not {wanted}; nothing was changed")]
    WrongState {
        /// The member.
        name: String,
        /// What it would have to be.
        wanted: String,
    },

    /// It would leave too few members.
    #[error(
        "{staying} live members would stay, and each shard needs {needed} voters: losing one more node could stop or lose data; nothing was changed. Add nodes first, or force it"
    )]
    TooFewStay {
        /// Members that would stay and are not down.
        staying: usize,
        /// How many are needed without force.
        needed: usize,
    },

    /// Nobody would be left.
    #[error(
        "no live member would stay to take over the replicas; nothing was changed, and force does not help"
    )]
    NobodyStays,

    /// The move is not one step, or not a safe one.
    #[error("{which} cannot move so: {why}; nothing was changed. Plan again from the current state")]
    UnsafeMove {
        /// The group.
        which: Which,
        /// What is wrong.
        why: String,
    },
}
