//! Every key: its name, type, default, and what it is for.

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use super::{
    names::{Addresses, HostName, Names},
    reader::Reader,
    size::ByteSize,
    value::{Encryption, Engine, Id, LogFilter, LogFormat, ReplicationFactor, Share, Switch, Track},
};

/// Makes a struct per section, and the function that reads it, of one list.
macro_rules! sections {
    ($($(#[doc = $section_doc:literal])* $section:ident as $name:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty = $default:literal,)*
    })*) => {
        $($(#[doc = $section_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $section {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl $section {
            fn read(reader: &mut Reader) -> Self {
                Self { $($field: reader.value(
                    concat!(stringify!($name), ".", stringify!($field)),
                    $default,
                    concat!($($doc, "\n"),*),
                ),)* }
            }
        })*

        /// Everything that can be set.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $section_doc])* pub $name: $section,)*
        }

        impl Config {
            pub(super) fn read(reader: &mut Reader) -> Self {
                Self { $($name: $section::read(reader),)* }
            }
        }
    };
}

sections! {
    /// Who the node is.
    Node as node {
        /// Its name, unique in the cluster and the same after each restart; in Kubernetes the name of the pod.
        name: String = "playhouse-0",
        /// Where identity and state are kept. One directory per node, on a disk that survives the process.
        data_dir: PathBuf = "/var/lib/playhouse",
        /// Into how many shards all entities are divided, 4,096 at most. Fixed when the volume is first used; another number
        /// refuses to start. 128 serves up to about 40 nodes; more shards cost memory and idle traffic.
        /// With fewer, more calls share a log entry: three small machines answer more with 16, and a canary grows in sixteenths.
        shards: NonZeroU16 = "128",
    }

    /// Which cluster the node belongs to, and what it is there.
    Cluster as cluster {
        /// The cluster that the volume must belong to, as 32 hexadecimal digits; a node with a volume of another one
        /// refuses to start. Unset: whichever the volume belongs to, or the node joins first.
        id: Option<Id> = "",
        /// Where the node runs. Nodes of one zone fail together, so replicas are spread over zones. Unset: nothing is
        /// known about it.
        zone: Option<String> = "",
        /// On which track of a rollout the node is: stable, canary, blue or green.
        track: Track = "stable",
        /// How many replicas each shard has: 1, 3 or 5. Fixed when the cluster is formed, whatever is set later. With fewer
        /// members than that each member has one. 1 loses what a lost volume held.
        replication_factor: ReplicationFactor = "3",
        /// How long a member may be down before its replicas are made anew elsewhere. Above the time that a restart or
        /// a move to another machine takes.
        down_replaced_after: Duration = "10m",
    }

    /// How the cluster is formed, once, when every volume is empty. The same on every node; later nodes join what exists.
    Bootstrap as bootstrap {
        /// The names of the nodes that form the cluster, separated by commas; an odd number, 15 at most. The initiator and a
        /// majority of the others must be there once, with empty volumes: all of three names, four of five. The node itself
        /// need not be among them. Unset: `node.name` alone is the cluster.
        members: Names = "",
        /// The one of them that forms it, such as the first. Unset is allowed with one name only.
        initiator: Option<String> = "",
    }

    /// The port for other nodes, and how to find them.
    Peer as peer {
        /// Where to listen. Not reachable by clients. Not opened by a node that is alone.
        listen: SocketAddr = "0.0.0.0:4370",
        /// A file with the cookie, the same 32 or more random bytes on every node: who knows it belongs to the cluster.
        /// Read again when it changes. Needed as soon as there are other nodes.
        cookie_file: Option<PathBuf> = "",
        /// A file with another cookie that is accepted, too, while cookies are exchanged: first give every node the next
        /// one here, then exchange both files, then have the next one in both. The files are read again when they change;
        /// to set or unset it takes a restart.
        cookie_file_next: Option<PathBuf> = "",
        /// Whether links are encrypted: on or off. `off` still proves the cookie, but who is on the way can read and
        /// change everything; for trusted networks and measurements. Links are encrypted unless both nodes say `off`.
        encryption: Encryption = "on",
        /// A DNS name that stands for all nodes: SRV records of `_peer._tcp.` below it tell names and ports; without
        /// any, its addresses count. Unset: nobody is looked for.
        discovery_name: Option<HostName> = "",
        /// The port of nodes that are found by address.
        discovery_port: NonZeroU16 = "4370",
        /// How often the name is asked for.
        discovery_interval: Duration = "5s",
        /// Where other nodes are, as `host:port`, separated by commas; beside those found by name.
        seeds: Addresses = "",
    }

    /// References to processes of other nodes.
    Processes as processes {
        /// Whether processes of other nodes can be reached: on or off. It takes one connection to each peer, for mail. Off unless
        /// both nodes say `on`; not used by a node that is alone.
        remote: Switch = "on",
        /// Whether plain `ractor` actors of other nodes can be reached, too, by `ractor_cluster`: on or off. It takes one more
        /// connection to each peer and 11 KB for each remotable actor of a peer; their mailboxes have no bound. Off unless
        /// both nodes say `on`, and without `remote`.
        ractor_cluster: Switch = "off",
        /// How large a message to a process of another node, or an answer, may be, 4KiB to 64MiB; mail has 15MiB at most. It
        /// bounds what this node sends; nodes may differ.
        message_bytes_max: ByteSize = "1MiB",
        /// How many bytes of messages may wait to be sent to one peer; past it their senders are refused. Above
        /// `message_bytes_max` by 1KiB or more.
        waiting_bytes_max: ByteSize = "8MiB",
        /// How many bytes of answers and of news of ended processes may wait to be sent to one peer. With `ractor_cluster` also
        /// how many bytes of answers one peer may be made to keep, if all are as large as a message may be: so many calls to it, `answers_bytes_max` / `message_bytes_max`, wait at a time. That is 128 by default, however small the
        /// answers are; a smaller `message_bytes_max` makes room for more, 4,096 at most. A node whose answers to a peer
        /// take more than twice its own, beside 64MiB and `waiting_bytes_max`, closes that connection: keep it alike on
        /// all nodes. Mail has no such limit for calls.
        answers_bytes_max: ByteSize = "128MiB",
    }

    /// How state is kept on disk.
    Store as store {
        /// Which engine: fjall or sled; memory keeps nothing and is for tests only. Fixed when the volume is first used. sled
        /// may lose what was acknowledged when power is lost: it needs `cluster.replication_factor` 3 or more and several
        /// `bootstrap.members`.
        engine: Engine = "fjall",
        /// How much of the volume stays free. Below it the node is not ready and writes wait unacknowledged until space
        /// returns; an engine cannot survive a volume that is full to the last byte. Keep it above 32 MiB.
        reserve_bytes: ByteSize = "64MiB",
        /// Memory for blocks read from disk. Entities that are awake are not in it; give it what
        /// `limits.memory_budget_bytes` leaves of the node's memory, minus a fifth.
        cache_bytes: ByteSize = "64MiB",
        /// How long one sync may take until the disk counts as hanging and the node ends, so that others lead. Above what the
        /// disk needs when it is only busy, as storage that is shared over a network can be for long; below the patience of
        /// clients. 1s or more.
        sync_hangs_after: Duration = "5s",
        /// The same for one write. It goes to memory of the operating system and waits seldom; what the engine is behind with
        /// its own work is not counted. Not below `sync_hangs_after`.
        write_hangs_after: Duration = "30s",
    }

    /// The port for clients.
    Gateway as gateway {
        /// Where to listen.
        listen: SocketAddr = "0.0.0.0:8080",
        /// A file with one bearer token per line, 16 characters or more, all valid at once, read again when it changes.
        /// Unset: everybody who reaches the port may do everything.
        token_file: Option<PathBuf> = "",
        /// How many connections may be open; more are refused with 503. Each costs about 13 KB while idle. Keep it below the
        /// limit of open files.
        connections_max: NonZeroU32 = "10000",
        /// How large a command may be (413 above). Not above `limits.proposal_bytes_max`, or it can never commit.
        body_bytes_max: ByteSize = "1MiB",
        /// How many bytes all commands being received or executed may have together; more are refused with 503.
        bodies_bytes_max: ByteSize = "256MiB",
        /// How long the head of a request may take to arrive.
        head_timeout: Duration = "10s",
        /// How long the body of a request may take to arrive (408 after it).
        body_timeout: Duration = "30s",
        /// How long a connection may be silent between requests. Keep it above the idle time of the load balancer.
        idle_timeout: Duration = "75s",
        /// How long a client may take no bytes while some wait for it.
        write_timeout: Duration = "30s",
        /// How long a caller waits that sends no `Request-Timeout`.
        request_timeout_default: Duration = "10s",
        /// How long a caller may ask to wait. Below `limits.idempotency_window`, or a retry could come too late.
        request_timeout_max: Duration = "60s",
    }

    /// The port for probes, metrics and operators.
    Ops as ops {
        /// Where to listen. Not reachable by clients.
        listen: SocketAddr = "0.0.0.0:9090",
        /// A file with one admin token per line, 16 characters or more, read again when it changes. Unset: nobody may ask
        /// about the cluster or command it (in `dev`: only this machine).
        admin_token_file: Option<PathBuf> = "",
        /// How long a check of a probe may take. Below the `timeoutSeconds` of the probes.
        check_timeout: Duration = "2s",
        /// How long an event loop may make no progress before the liveness probe fails. Generous: a paused machine is
        /// no reason to kill the node.
        silence_max: Duration = "10s",
    }

    /// Bounds. Reaching one is an error that the caller receives.
    Limits as limits {
        /// How many bytes may wait in the mailbox of one shard (`overloaded` above).
        mailbox_bytes_max: ByteSize = "16MiB",
        /// How large one entity may be (`too_large` above). Not above `proposal_bytes_max`.
        state_bytes_max: ByteSize = "1MiB",
        /// How large one reply may be (`too_large` above). Not above `proposal_bytes_max`.
        reply_bytes_max: ByteSize = "1MiB",
        /// How large one replicated batch may be. 1.5 times this and twice `reply_bytes_max` must fit into 15 MiB, or other
        /// replicas could not get it.
        proposal_bytes_max: ByteSize = "4MiB",
        /// How much memory entities that are awake may take; above it the least recently used ones go to sleep.
        memory_budget_bytes: ByteSize = "512MiB",
        /// How long an entity stays awake after its last command.
        idle_passivation: Duration = "10m",
        /// How long an idempotency key is remembered. Above `gateway.request_timeout_max`.
        idempotency_window: Duration = "10m",
        /// How many bytes of remembered replies each shard keeps; never forgotten early, `overloaded` above.
        idempotency_bytes_max: ByteSize = "16MiB",
    }

    /// Log lines on stderr.
    Log as log {
        /// How they look: auto, json or human. auto is human on a terminal, else json.
        format: LogFormat = "auto",
        /// Which are written: off, error, warn, info, debug or trace, or a list such as `warn,playhouse=debug`.
        level: LogFilter = "info",
    }

    /// Traces by OTLP over HTTP.
    Traces as traces {
        /// Where they go, such as `http://collector:4318`. Unset: nowhere.
        endpoint: Option<String> = "",
        /// Which share of the requests is recorded that come without a decision of the client.
        sample: Share = "0.1",
    }

    /// Leaving.
    Drain as drain {
        /// How long the node may take from SIGTERM to its end. Below `terminationGracePeriodSeconds` of the pod.
        budget: Duration = "25s",
    }
}
