//! Reads how this node stands in its cluster, and what its links counted, into the metrics.

use std::sync::Arc;

use parking_lot::Mutex;
use playhouse_cluster::{
    membership::{ClusterState, MemberState},
    peering::{LaneClass, Liveness, Peering, RefusalKind, Statistics, processes::Processes},
};
use prometheus::{IntCounter, IntGauge};

use crate::{
    node::{NodeReport, Operator},
    process::{Distribution, ProcessCounts},
    router::Router,
    telemetry::Metrics,
};

/// A replica that lacks more entries than this lags.
const LAG_MAX: u64 = 1_000;

/// Reads the cluster into the metrics.
#[derive(Clone)]
pub(super) struct ClusterMeters {
    pub(super) metrics: Metrics,
    /// It knows nothing any more when the node has stopped, so that this keeps no files open.
    pub(super) operator: Operator,
    pub(super) processes: Option<Processes>,
    pub(super) distribution: Option<Distribution>,
    pub(super) router: Router,
    /// Two scrapes at once must not count twice.
    pub(super) turn: Arc<Mutex<()>>,
}

impl ClusterMeters {
    pub(super) async fn read_processes(&self) {
        let Some(distribution) = &self.distribution else { return };
        let counts = distribution.counts().await;
        let _turn = self.turn.lock();
        read_processes(&self.metrics, &counts);
    }

    pub(super) fn read(&self) {
        let _turn = self.turn.lock();
        let leaderless = usize::from(self.router.shards().get()) - self.router.reachable_shards();
        set(&self.metrics.shards_without_leader, leaderless);
        if let Some(processes) = &self.processes {
            set(&self.metrics.process_peers, processes.peers().borrow().len());
            raise(&self.metrics.process_messages_dropped, processes.frames_dropped());
            raise(&self.metrics.process_overflows, processes.overflows());
        }
        if let Some(distribution) = &self.distribution {
            set(&self.metrics.mail_peers, distribution.peers().borrow().len());
            for (reason, count) in distribution.undelivered_by_reason() {
                raise(&self.metrics.mail_undelivered.with_label_values(&[reason]), count);
            }
        }
        let Some(rooms) = self.operator.rooms() else { return };
        self.metrics.quorum_heard.set(i64::from(rooms.standing.hears_quorum()));
        self.read_report(&(rooms.report)());
        if let Some(state) = rooms.council.system.known().borrow().clone() {
            let own = state.member(rooms.own).map(|member| member.state);
            self.metrics.draining.set(i64::from(own == Some(MemberState::Draining)));
            self.read_state(&state);
        }
        if let Some(peering) = &rooms.council.peering {
            self.read_peers(peering);
            read_links(&self.metrics, peering.statistics());
        }
    }

    fn read_report(&self, report: &NodeReport) {
        let lags = || report.shards.iter().flat_map(|shard| &shard.followers).map(|follower| follower.lag);
        set(&self.metrics.replicas_lagging, lags().filter(|lag| *lag > LAG_MAX).count());
        set(&self.metrics.replica_lag_max, usize::try_from(lags().max().unwrap_or(0)).unwrap_or(usize::MAX));
        self.metrics.leads_system.set(i64::from(report.leads_system));
    }

    fn read_state(&self, state: &ClusterState) {
        const STATES: [(MemberState, &str); 5] = [
            (MemberState::Joining, "joining"),
            (MemberState::Up, "up"),
            (MemberState::Draining, "draining"),
            (MemberState::Down, "down"),
            (MemberState::Left, "left"),
        ];
        for (wanted, name) in STATES {
            let count = state.members().values().filter(|member| member.state == wanted).count();
            set(&self.metrics.members.with_label_values(&[name]), count);
        }
        let progress = state.progress();
        set(&self.metrics.moves, progress.moving);
        set(&self.metrics.shards_without_quorum, progress.without_quorum.len());
    }

    fn read_peers(&self, peering: &Peering) {
        let peers = peering.peers().borrow().clone();
        for (wanted, name) in [(Liveness::Alive, "alive"), (Liveness::Suspect, "suspect")] {
            let count = peers.values().filter(|peer| peer.liveness == wanted).count();
            set(&self.metrics.peers.with_label_values(&[name]), count);
        }
    }
}

fn read_processes(metrics: &Metrics, counts: &ProcessCounts) {
    set(&metrics.processes, counts.processes);
    set(&metrics.supervisors, counts.supervisors);
    set(&metrics.process_mailbox_messages, counts.messages);
    set(&metrics.process_mailbox_bytes, counts.bytes);
    set(&metrics.process_mailbox_deepest, counts.messages_deepest);
    let lost = |reason| metrics.process_messages_lost.with_label_values(&[reason]);
    raise(&lost("refused"), counts.refused);
    raise(&lost("dropped"), counts.dropped);
    raise(&lost("dead_letter"), counts.dead_letters);
    for (reason, count) in counts.exits.by_reason() {
        raise(&metrics.process_exits.with_label_values(&[reason]), count);
    }
    raise(&metrics.supervisor_restarts, counts.restarts);
    raise(&metrics.supervisors_gave_up, counts.gave_up);
}

fn read_links(metrics: &Metrics, statistics: &Statistics) {
    raise(&metrics.link_authentication_failures, statistics.authentication_failures.get());
    let failed = |reason| metrics.link_handshakes_failed.with_label_values(&[reason]);
    raise(&failed("unproven"), statistics.unproven.get());
    raise(&failed("garbage"), statistics.garbage_handshakes.get());
    raise(&failed("timeout"), statistics.handshake_timeouts.get());
    raise(&failed("half_open"), statistics.half_open_refused.get());
    let cut = |reason| metrics.link_sessions_cut.with_label_values(&[reason]);
    raise(&cut("silent"), statistics.silent_closed.get());
    raise(&cut("stalled"), statistics.stalled_closed.get());
    raise(&cut("oversized_frame"), statistics.oversized_frames.get());
    raise(&cut("garbage_frame"), statistics.garbage_frames.get());
    raise(&metrics.link_reconnects, statistics.reconnects.get());
    for kind in RefusalKind::ALL {
        let refusals = |by| metrics.link_refusals.with_label_values(&[by, kind.name()]);
        raise(&refusals("us"), statistics.refused(kind).get());
        raise(&refusals("peer"), statistics.refused_by_peer(kind).get());
    }
    for class in LaneClass::ALL {
        let (traffic, lane) = (statistics.traffic(class), class.name());
        let bytes = |direction| metrics.link_bytes.with_label_values(&[direction, lane]);
        raise(&bytes("in"), traffic.bytes_in.get());
        raise(&bytes("out"), traffic.bytes_out.get());
    }
}

fn set(gauge: &IntGauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Nobody else raises it.
fn raise(counter: &IntCounter, now: u64) {
    counter.inc_by(now.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ExitCounts;

    /// What the link counts is tested where it counts; here, that an operator can see each of it, and apart.
    #[test]
    fn each_way_to_be_turned_away_has_a_line_of_its_own() {
        let (metrics, statistics) = (Metrics::new("test"), Statistics::default());
        statistics.refused(RefusalKind::OldIncarnation).add(2);
        statistics.refused(RefusalKind::NoCommonProtocol).add(3);
        statistics.refused_by_peer(RefusalKind::NoCommonProtocol).add(4);
        statistics.unproven.add(5);
        statistics.oversized_frames.add(6);
        let expected = [
            r#"playhouse_link_refusals_total{by="us",reason="old_incarnation"} 2"#,
            r#"playhouse_link_refusals_total{by="peer",reason="old_incarnation"} 0"#,
            r#"playhouse_link_refusals_total{by="us",reason="no_common_protocol"} 3"#,
            r#"playhouse_link_refusals_total{by="peer",reason="no_common_protocol"} 4"#,
            r#"playhouse_link_handshakes_failed_total{reason="unproven"} 5"#,
            r#"playhouse_link_handshakes_failed_total{reason="garbage"} 0"#,
            r#"playhouse_link_sessions_cut_total{reason="oversized_frame"} 6"#,
            r#"playhouse_link_sessions_cut_total{reason="garbage_frame"} 0"#,
            "playhouse_link_authentication_failures_total 0",
        ];
        // Reading again must not count again.
        for _ in 0..2 {
            read_links(&metrics, &statistics);
            let shown = metrics.render();
            for line in expected {
                assert!(shown.lines().any(|shown| shown == line), "{line} is missing in\n{shown}");
            }
        }
    }

    #[test]
    fn processes_are_counted_once_and_apart() {
        let metrics = Metrics::new("test");
        let counts = ProcessCounts {
            processes: 3,
            messages: 9,
            messages_deepest: 7,
            refused: 1,
            dropped: 2,
            dead_letters: 4,
            restarts: 5,
            gave_up: 6,
            exits: ExitCounts { crashed: 8, ..ExitCounts::default() },
            ..ProcessCounts::default()
        };
        let expected = [
            "playhouse_processes 3",
            "playhouse_process_mailbox_messages 9",
            "playhouse_process_mailbox_messages_deepest 7",
            r#"playhouse_process_messages_lost_total{reason="refused"} 1"#,
            r#"playhouse_process_messages_lost_total{reason="dropped"} 2"#,
            r#"playhouse_process_messages_lost_total{reason="dead_letter"} 4"#,
            "playhouse_supervisor_restarts_total 5",
            "playhouse_supervisors_gave_up_total 6",
            r#"playhouse_process_exits_total{reason="crashed"} 8"#,
            r#"playhouse_process_exits_total{reason="normal"} 0"#,
        ];
        for _ in 0..2 {
            read_processes(&metrics, &counts);
            let shown = metrics.render();
            for line in expected {
                assert!(shown.lines().any(|shown| shown == line), "{line} is missing in\n{shown}");
            }
        }
    }
}
