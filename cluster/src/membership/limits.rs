//! How large the configuration may become. All of it together stays below [`STATE_BYTES_MAX`].

/// Members, those that left included until they are forgotten.
pub const MEMBERS_MAX: usize = 128;
/// Raft ids that are remembered as never to come back. Past this the oldest that holds no replica is forgotten: it is
/// still refused, but with a less helpful message.
pub const FORMER_MAX: usize = 256;
/// Shards of a cluster.
pub const SHARDS_MAX: u32 = 4096;
/// Voters that a shard may want.
pub const REPLICATION_FACTOR_MAX: u8 = 7;
/// Moves that one command may start, and that may be under way.
pub const MOVES_MAX: usize = 1024;
/// The name of a node.
pub const NAME_BYTES_MAX: usize = 253;
/// A zone, a track, or a release.
pub const TEXT_BYTES_MAX: usize = 128;
/// The encoded configuration. A proposal may be larger.
pub const STATE_BYTES_MAX: usize = 1 << 20;
