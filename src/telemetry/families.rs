//! The table of all metrics. A metric that is not declared here does not exist.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::declaration::{Declaration, Family, Unit};

/// Makes the table, the struct with one field per metric, and the function that registers them, of one list.
macro_rules! families {
    ($($field:ident: $family:ty = $name:literal, $unit:ident, [$($label:literal),*], $help:literal;)*) => {
        /// One collector per metric. Read the table for names, units and labels.
        #[derive(Debug)]
        pub struct Families {
            $(#[doc = $help] pub $field: $family,)*
        }

        /// Every metric of the node, in the order in which it is shown in the documentation.
        pub const TABLE: &[Declaration] = &[
            $(Declaration { name: $name, help: $help, unit: Unit::$unit, labels: &[$($label),*] },)*
        ];

        impl Families {
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                let mut declarations = TABLE.iter();
                $(let declaration = declarations.next().expect("the table has one row per field");
                let $field = <$family>::build(declaration)?;
                registry.register(Box::new($field.clone()))?;)*
                Ok(Self { $($field,)* })
            }
        }

        #[cfg(test)]
        const GROWS: &[bool] = &[$(<$family as Family>::GROWS,)*];
    };
}

families! {
    // Entities.
    calls: IntCounterVec = "playhouse_calls_total", Count, ["kind", "code"], "Commands answered, by kind and outcome: `ok` or the stable code of the error. All kinds that this node does not have are `unknown`.";
    call_seconds: HistogramVec = "playhouse_call_seconds", Seconds, ["kind"], "From a command's arrival in the mailbox to its reply after the commit.";
    handler_seconds: HistogramVec = "playhouse_handler_seconds", Seconds, ["kind"], "Time that one handler ran.";
    slow_handlers: IntCounterVec = "playhouse_slow_handlers_total", Count, ["kind"], "Handlers that ran longer than 100 ms.";
    crashes: IntCounterVec = "playhouse_handler_crashes_total", Count, ["kind"], "Handlers that panicked; their effects do not exist.";
    quarantined: IntGaugeVec = "playhouse_quarantined_entities", Count, ["kind"], "Entities that crashed too often and refuse commands for a while.";
    resident: IntGaugeVec = "playhouse_resident_entities", Count, ["kind"], "Entities that are awake in memory.";
    resident_bytes: IntGauge = "playhouse_resident_bytes", Bytes, [], "Estimated memory of the entities that are awake.";
    wakes: IntCounterVec = "playhouse_wakes_total", Count, ["kind"], "Entities woken from the store.";
    passivations: IntCounterVec = "playhouse_passivations_total", Count, ["kind"], "Entities put to sleep, for idleness or for memory.";
    dead_letters: IntCounterVec = "playhouse_dead_letters_total", Count, ["kind"], "Casts, timers and commands that nobody waits for that could not be delivered. All kinds that this node does not have are `unknown`.";
    timers_deferred: IntCounterVec = "playhouse_timers_deferred_total", Count, ["kind"], "Timers that were due and that the release of the leader cannot take (no such kind, command or schema version); each is tried again within a minute. All kinds that this node does not have are `unknown`.";

    // Shards.
    mailbox_wait_seconds: Histogram = "playhouse_mailbox_wait_seconds", Seconds, [], "Time that a command waited in its shard's mailbox.";
    mailbox_messages: IntGauge = "playhouse_mailbox_messages", Count, [], "Commands waiting in the mailboxes of this node.";
    mailbox_bytes: IntGauge = "playhouse_mailbox_bytes", Bytes, [], "Bytes of the commands waiting in the mailboxes of this node.";
    batch_messages: Histogram = "playhouse_batch_messages", Count, [], "Commands that one shard took from its mailbox at once.";
    proposal_bytes: Histogram = "playhouse_proposal_bytes", Bytes, [], "Size of one replicated batch of effects.";
    commit_seconds: Histogram = "playhouse_commit_seconds", Seconds, [], "From proposing a batch to knowing that it is committed.";
    outbox_messages: IntGauge = "playhouse_outbox_messages", Count, [], "Casts between entities that are committed and not yet acknowledged.";
    idempotency_bytes: IntGauge = "playhouse_idempotency_bytes", Bytes, [], "Kept replies of requests with an idempotency key.";
    shards_led: IntGauge = "playhouse_shards_led", Count, [], "Shards that this node leads.";
    leadership_changes: IntCounterVec = "playhouse_leadership_changes_total", Count, ["change"], "Leaderships of shards `gained` and `lost` by this node.";
    shards_without_leader: IntGauge = "playhouse_shards_without_leader", Count, [], "Shards of which this node knows no leader.";
    replicas_lagging: IntGauge = "playhouse_replicas_lagging", Count, [], "Replicas of shards led here that lack more than 1000 log entries.";
    replica_lag_max: IntGauge = "playhouse_replica_lag_entries", Count, [], "Log entries that the slowest replica of the shards led here lacks.";

    // Cluster.
    members: IntGaugeVec = "playhouse_members", Count, ["state"], "Members by state, as this node knows the configuration: `joining`, `up`, `draining`, `down`, `left`.";
    peers: IntGaugeVec = "playhouse_peers", Count, ["state"], "Peers by what this node hears of them: `alive` or `suspect`.";
    quorum_heard: IntGauge = "playhouse_quorum_heard", Count, [], "1 while a majority of the cluster was heard within 5 s, else 0.";
    leads_system: IntGauge = "playhouse_system_led", Count, [], "1 on the node that leads the system group, else 0.";
    draining: IntGauge = "playhouse_node_draining", Count, [], "1 while the cluster knows that this node drains, else 0.";
    moves: IntGauge = "playhouse_moves_under_way", Count, [], "Groups whose replicas move, as this node knows the configuration.";
    shards_without_quorum: IntGauge = "playhouse_shards_without_quorum", Count, [], "Shards whose replicas have no live majority, as this node knows the configuration.";
    link_authentication_failures: IntCounter = "playhouse_link_authentication_failures_total", Count, [], "Handshakes with a cookie that the other end does not have.";
    link_refusals: IntCounterVec = "playhouse_link_refusals_total", Count, ["by", "reason"], "Links refused after the handshake, by `us` or the `peer`, by reason.";
    link_handshakes_failed: IntCounterVec = "playhouse_link_handshakes_failed_total", Count, ["reason"], "Incoming connections that never became a link: `unproven` (a replayed or broken off handshake), `garbage`, `timeout`, `half_open` (too many at once).";
    link_sessions_cut: IntCounterVec = "playhouse_link_sessions_cut_total", Count, ["reason"], "Links that this node closed: `silent`, `stalled`, `oversized_frame`, `garbage_frame`.";
    link_reconnects: IntCounter = "playhouse_link_reconnects_total", Count, [], "Links opened to a peer to which one had been open before.";
    link_bytes: IntCounterVec = "playhouse_link_bytes_total", Count, ["direction", "lane"], "Bytes on links, encryption included: `in` or `out`, by class of lane.";
    process_peers: IntGauge = "playhouse_process_peers", Count, [], "Peers whose remotable processes can be reached.";
    process_messages_dropped: IntCounter = "playhouse_process_messages_dropped_total", Count, [], "Replies and messages to processes of other nodes that were dropped because they are larger than `processes.message_bytes_max`.";
    mail_peers: IntGauge = "playhouse_mail_peers", Count, [], "Peers whose bounded processes can be reached.";
    mail_undelivered: IntCounterVec = "playhouse_mail_undelivered_total", Count, ["reason"], "Messages from other nodes that were not put into a mailbox: there was `no_process`, the mailbox was `full`, they were `too_large` for it, or `not_portable`: the process takes other messages.";
    processes: IntGauge = "playhouse_processes", Count, [], "Processes that run and belong to this node.";
    supervisors: IntGauge = "playhouse_supervisors", Count, [], "Supervisors that run and belong to this node.";
    process_mailbox_messages: IntGauge = "playhouse_process_mailbox_messages", Count, [], "Messages that wait in the mailboxes of all processes of this node.";
    process_mailbox_bytes: IntGauge = "playhouse_process_mailbox_bytes", Bytes, [], "What these messages weigh.";
    process_mailbox_deepest: IntGauge = "playhouse_process_mailbox_messages_deepest", Count, [], "The most messages that wait in one mailbox of a process of this node; `playhouse processes --deepest` says whose it is.";
    process_messages_lost: IntCounterVec = "playhouse_process_messages_lost_total", Count, ["reason"], "Messages to processes of this node that were not handled: `refused` (the mailbox had no room, or they were too heavy; who sent it was told), `dropped` (they made room for newer ones), `dead_letter` (they waited when their process ended).";
    process_exits: IntCounterVec = "playhouse_process_exits_total", Count, ["reason"], "Processes of this node that ended: `normal`, `shutdown`, `killed`, `crashed`, `noproc`, `noconnection`.";
    supervisor_restarts: IntCounter = "playhouse_supervisor_restarts_total", Count, [], "Restarts that supervisors of this node made; of a whole group counts once, and each try again.";
    supervisors_gave_up: IntCounter = "playhouse_supervisors_gave_up_total", Count, [], "Supervisors of this node that ended because of too many restarts.";
    process_overflows: IntCounter = "playhouse_process_overflows_total", Count, [], "Sessions of processes that were closed because far more than `processes.answers_bytes_max` waited to be sent, or because the peer read nothing for 10 s.";

    // Store.
    store_commits: IntCounter = "playhouse_store_commits_total", Count, [], "Durable commits of the store, each with one sync.";
    store_sync_seconds: Histogram = "playhouse_store_sync_seconds", Seconds, [], "Time that making one commit durable took, rounded up to a bucket of the store.";
    store_free_bytes: IntGauge = "playhouse_store_free_bytes", Bytes, [], "Free space on the volume of the store.";
    store_volume_bytes: IntGauge = "playhouse_store_volume_bytes", Bytes, [], "Size of the volume of the store: what is free, and what is used.";
    store_waiting_seconds: IntGauge = "playhouse_store_waiting_seconds", Seconds, [], "For how long the disk has not answered a write or a sync that waits for it now, in whole seconds.";
    store_healthy: IntGauge = "playhouse_store_healthy", Count, [], "1 while the store makes commits durable, 0 when it does not.";

    // Gateway.
    gateway_requests: IntCounterVec = "playhouse_gateway_requests_total", Count, ["route", "status"], "HTTP requests answered, by operation and status.";
    gateway_request_seconds: HistogramVec = "playhouse_gateway_request_seconds", Seconds, ["route"], "From a request's head to the head of its answer.";
    connections: IntGaugeVec = "playhouse_http_connections", Count, ["port"], "Open connections: `gateway` or `ops`.";
    connections_refused: IntCounterVec = "playhouse_http_connections_refused_total", Count, ["port"], "Connections refused at the connection limit.";
    connections_cut: IntCounterVec = "playhouse_http_connections_cut_total", Count, ["port", "reason"], "Connections that the node ended: `idle`, `slow_head`, `slow_reader`, `drain`.";
    websockets: IntGauge = "playhouse_websockets", Count, [], "Open WebSocket connections.";
    websocket_frames: IntCounterVec = "playhouse_websocket_frames_total", Count, ["frame"], "WebSocket frames taken, by what they ask for.";
    websocket_overflows: IntCounter = "playhouse_websocket_overflows_total", Count, [], "WebSocket connections closed because the client did not read.";
    token_reload_failures: IntCounterVec = "playhouse_token_reload_failures_total", Count, ["file"], "Token files that could not be read again; the old tokens stay valid.";

    // Process.
    build_info: IntGaugeVec = "playhouse_build_info", Count, ["release"], "Always 1; says which release runs.";
    spans_dropped: IntCounter = "playhouse_spans_dropped_total", Count, [], "Spans that were not exported: the queue was full, or the collector refused.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for (declaration, grows) in TABLE.iter().zip(GROWS) {
            let Declaration { name, help, unit, .. } = declaration;
            assert!(name.starts_with("playhouse_"), "{name}");
            assert!(help.ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), *grows, "{name}");
            assert_eq!(name.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
            assert_eq!(name.ends_with("_bytes"), *unit == Unit::Bytes, "{name}");
        }
    }

    /// `UPDATE_DOCS=1 cargo test -p playhouse documented` writes the page anew.
    #[test]
    fn the_documented_metrics_are_the_declared_ones() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let rows: String = TABLE.iter().map(row).collect();
        let head = "# Metrics (port 9090, `/metrics`)\n\nMade of the table in `src/telemetry/families.rs`. Beside these \
                    there are the usual `process_…` metrics.\n\n| name | labels | means |\n|---|---|---|\n";
        let expected = format!("{head}{rows}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page, &expected).unwrap();
        }
        assert_eq!(std::fs::read_to_string(page).unwrap(), expected, "run it with UPDATE_DOCS=1");
    }

    fn row(declaration: &Declaration) -> String {
        let labels: Vec<_> = declaration.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} |\n", declaration.name, labels.join(", "), declaration.help)
    }

    #[test]
    fn no_name_is_declared_twice() {
        let names: BTreeSet<_> = TABLE.iter().map(|declaration| declaration.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
