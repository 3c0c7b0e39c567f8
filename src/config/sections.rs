//! Every key: its name, type, default, and what it is for.

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use super::{
    reader::Reader,
    size::ByteSize,
    value::{Engine, LogFilter, LogFormat, Share},
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
        /// Into how many shards all entities are divided. Fixed when the volume is first used; another number refuses
        /// to start. 128 serves up to about 40 nodes; more shards cost memory and idle traffic.
        shards: NonZeroU16 = "128",
    }

    /// How state is kept on disk.
    Store as store {
        /// Which engine. Fixed when the volume is first used.
        engine: Engine = "fjall",
        /// How much of the volume stays free. Below it the node is not ready and writes wait unacknowledged until space
        /// returns; an engine cannot survive a volume that is full to the last byte. Keep it above 32 MiB.
        reserve_bytes: ByteSize = "64MiB",
        /// Memory for blocks read from disk. Entities that are awake are not in it; give it what
        /// `limits.memory_budget_bytes` leaves of the node's memory, minus a fifth.
        cache_bytes: ByteSize = "64MiB",
    }

    /// The port for clients.
    Gateway as gateway {
        /// Where to listen.
        listen: SocketAddr = "0.0.0.0:8080",
        /// A file with one bearer token per line, all valid at once, read again when it changes. Unset: everybody who
        /// reaches the port may do everything.
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
        /// A file with one admin token per line, read again when it changes. Unset: nobody may give commands (in
        /// `dev`: only this machine).
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
        /// How large one replicated batch may be.
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
        /// How they look.
        format: LogFormat = "auto",
        /// Which are written.
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
