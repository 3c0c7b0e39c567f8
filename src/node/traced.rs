//! One trace from the client to the committed reply.

use std::time::Duration;

use playhouse_cluster::environment::Environment;
use tokio::{net::TcpListener, runtime::Handle, time::timeout};

use super::{Node, Settings};
use crate::{
    protocol::{Body, EntityId, Request, RequestId, TraceContext},
    telemetry::{
        Metrics,
        traces::{COMMIT, EXECUTE, MAILBOX_WAIT, TraceOptions, Traces, testing::collect},
    },
};

const REQUEST_SPAN: &str = "b7ad6b7169203331";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traced_call_shows_its_wait_its_handler_and_its_commit() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = TraceOptions {
        endpoint: format!("http://{}", collector.local_addr().unwrap()),
        sample: 1.0,
        node: "playhouse-0".into(),
        release: "test".into(),
        timeout: Duration::from_secs(5),
    };
    let environment = Environment::real(Handle::current(), Handle::current());
    let traces = Traces::export(&options, Metrics::new("test"), &environment).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { traces: traces.clone(), ..Settings::new("playhouse-0", folder.path()) };
    let node = Node::builder().start(&settings, environment.clone()).await.unwrap();
    let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-{REQUEST_SPAN}-01");
    let request = Request {
        target: EntityId::new("counter", "visits").unwrap(),
        body: Body::json(r#"{"add": 1}"#),
        request_id: RequestId::random(&environment),
        idempotency_key: None,
        timeout: Duration::from_secs(10),
        trace: Some(TraceContext { traceparent: traceparent.into(), tracestate: None }),
    };
    node.router().call(request).await.unwrap();
    let received = environment.spawn(async move {
        let (stream, _) = collector.accept().await.unwrap();
        collect(stream, "200 OK").await.1
    });
    traces.flush().await;
    let received = timeout(Duration::from_secs(20), received).await.unwrap().unwrap();
    let spans: Vec<_> =
        received.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    for name in [MAILBOX_WAIT, EXECUTE, COMMIT] {
        let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(hex(&span.parent_span_id), REQUEST_SPAN, "{name}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{name}");
    }
    node.stop(Duration::from_secs(5)).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
