//! Spans arrive at a collector, or are counted as lost.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span as Received;
use playhouse_cluster::environment::Environment;
use tokio::{net::TcpListener, time::timeout};

use super::{testing::collect, *};
use crate::telemetry::Metrics;

const PATIENCE: Duration = Duration::from_secs(20);

fn options(endpoint: String) -> TraceOptions {
    TraceOptions {
        endpoint,
        sample: 1.0,
        node: "playhouse-0".into(),
        release: "1.2.3".into(),
        timeout: Duration::from_secs(5),
    }
}

fn span(
    name: &'static str,
    context: SpanContext,
    parent: Option<SpanContext>,
    environment: &Environment,
) -> Span {
    let began = environment.now();
    Span {
        name,
        context,
        parent,
        role: Role::Internal,
        began,
        ended: began + Duration::from_micros(1500),
        error: None,
        attributes: vec![("playhouse.kind", "counter".to_owned())],
    }
}

#[tokio::test]
async fn spans_of_one_trace_arrive_with_their_times_and_parents() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let environment = Environment::simulated(1);
    let traces = Traces::export(&options(endpoint), Metrics::new("test"), &environment).unwrap();

    let client = SpanContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
    let request = traces.begin(Some(client), &environment);
    let began = environment.now();
    let took = (began, began + Duration::from_micros(1500));
    let parent = traces.recorded(&request.to_string()).unwrap();
    traces.record_part(parent, COMMIT, took, &environment, vec![(SHARD, "3".to_owned())]);
    let failed = Span {
        error: Some("overloaded"),
        role: Role::Server,
        ..span(REQUEST, request, Some(client), &environment)
    };
    traces.record(failed);
    let flushing = environment.spawn(async move { traces.flush().await });

    let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let (head, message) = timeout(PATIENCE, collect(stream, "200 OK")).await.unwrap();
    assert!(
        head.starts_with("post /v1/traces http/1.1") && head.contains("application/x-protobuf"),
        "{head}"
    );
    let resource = message.resource_spans[0].resource.as_ref().unwrap();
    let mut names: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["service.instance.id", "service.name", "service.version"]);
    let spans: Vec<&Received> =
        message.resource_spans[0].scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    let [commit_received, request_received] = spans[..] else { panic!("{spans:?}") };
    assert_eq!((commit_received.name.as_str(), request_received.name.as_str()), (COMMIT, REQUEST));
    for received in [commit_received, request_received] {
        assert_eq!(received.trace_id, client.trace_id.to_be_bytes());
        assert_eq!(received.end_time_unix_nano - received.start_time_unix_nano, 1_500_000);
    }
    assert_eq!(commit_received.parent_span_id, request_received.span_id);
    assert_eq!(request_received.parent_span_id, client.span_id.to_be_bytes());
    assert_eq!(request_received.status.as_ref().unwrap().message, "overloaded");
    timeout(PATIENCE, flushing).await.unwrap().unwrap();
}

#[tokio::test]
async fn spans_that_nobody_takes_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let environment = Environment::simulated(1);
    let metrics = Metrics::new("test");
    let traces = Traces::export(&options(endpoint), metrics.clone(), &environment).unwrap();
    let context = traces.begin(None, &environment);
    assert!(context.sampled);
    traces.record(span(EXECUTE, context, None, &environment));
    let refusing = async {
        let (stream, _) = listener.accept().await.unwrap();
        collect(stream, "400 Bad Request").await
    };
    timeout(PATIENCE, async { tokio::join!(refusing, traces.flush()) }).await.unwrap();
    assert_eq!(metrics.spans_dropped.get(), 1);
}

#[tokio::test]
async fn what_is_not_sampled_is_not_recorded() {
    let environment = Environment::simulated(1);
    let off = Traces::off();
    let context = off.begin(None, &environment);
    assert!(!context.sampled && !off.wants(&context));
    let none = TraceOptions { sample: 0.0, ..options("http://127.0.0.1:1".into()) };
    let metrics = Metrics::new("test");
    let traces = Traces::export(&none, metrics.clone(), &environment).unwrap();
    let context = traces.begin(None, &environment);
    assert!(!context.sampled);
    traces.record(span(EXECUTE, context, None, &environment));
    traces.flush().await;
    assert_eq!(metrics.spans_dropped.get(), 0);
    let client = SpanContext { sampled: true, ..context };
    assert!(traces.begin(Some(client), &environment).sampled, "the client's decision counts");
    assert_eq!(traces.recorded(&client.to_string()), Some(client));
    assert_eq!((traces.recorded(&context.to_string()), off.recorded(&client.to_string())), (None, None));
}
