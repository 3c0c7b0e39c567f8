//! The handle that every room holds.

use std::{ops::Deref, sync::Arc};

use prometheus::{Registry, TextEncoder, process_collector::ProcessCollector};

use super::{Families, KindMetrics, UNKNOWN_KIND};

/// All metrics of one node. Cheap to clone; dereferences to [`Families`].
///
/// Several nodes in one process have one each: nothing is registered process-wide.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Families,
}

impl Metrics {
    /// Registers every metric of the table. `release` is the node's own version, shown in `playhouse_build_info`.
    #[must_use]
    pub fn new(release: &str) -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry).expect("the table declares each name once");
        families.build_info.with_label_values(&[release]).set(1);
        begin_at_zero(&families);
        Self { inner: Arc::new(Inner { registry, families }) }
    }

    /// Adds `process_cpu_seconds_total`, `process_open_fds` and their like, read from `/proc` at each scrape.
    /// Only one node of a process should.
    #[must_use]
    pub fn with_process(self) -> Self {
        let collector = Box::new(ProcessCollector::for_self());
        self.inner
            .registry
            .register(collector)
            .expect("nothing else registers names with the prefix process_");
        self
    }

    /// The metrics of one kind.
    #[must_use]
    pub fn kind(&self, kind: &str) -> KindMetrics {
        KindMetrics::new(&self.inner.families, kind)
    }

    /// The text that Prometheus scrapes (format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let encoded = TextEncoder::new().encode_utf8(&self.inner.registry.gather(), &mut text);
        encoded.expect("collectors of the table always encode");
        text
    }
}

/// A counter that comes to be with its first event goes from nothing to 1, which Prometheus does not see as an increase: an
/// alert would miss the first one. Those of each kind begin in [`KindMetrics`].
fn begin_at_zero(families: &Families) {
    for change in ["gained", "lost"] {
        families.leadership_changes.with_label_values(&[change]);
    }
    families.dead_letters.with_label_values(&[UNKNOWN_KIND]);
    for port in ["gateway", "ops"] {
        families.connections_refused.with_label_values(&[port]);
    }
}

impl Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.inner.families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_of_one_process_do_not_share_numbers() {
        let (one, other) = (Metrics::new("1.0.0"), Metrics::new("2.0.0"));
        one.kind("counter").call_failed("crashed");
        assert!(one.render().contains(r#"playhouse_calls_total{code="crashed",kind="counter"} 1"#));
        assert!(!other.render().contains(r#"code="crashed""#));
        assert!(other.render().contains(r#"playhouse_build_info{release="2.0.0"} 1"#));
    }

    /// Otherwise the first of them would not be an increase.
    #[test]
    fn what_alerts_count_is_there_before_it_happens() {
        let metrics = Metrics::new("1");
        let _kind = metrics.kind("counter");
        let shown = metrics.render();
        for line in [
            r#"playhouse_leadership_changes_total{change="gained"} 0"#,
            r#"playhouse_leadership_changes_total{change="lost"} 0"#,
            r#"playhouse_http_connections_refused_total{port="gateway"} 0"#,
            r#"playhouse_dead_letters_total{kind="unknown"} 0"#,
            r#"playhouse_calls_total{code="overloaded",kind="counter"} 0"#,
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is missing in\n{shown}");
        }
    }

    #[test]
    fn the_process_is_measured_on_request() {
        assert!(!Metrics::new("1").render().contains("process_open_fds"));
        assert!(Metrics::new("1").with_process().render().contains("process_open_fds"));
    }
}
