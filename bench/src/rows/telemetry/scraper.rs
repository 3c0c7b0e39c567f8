//! Reads the metrics of a node each second, as Prometheus does.

use std::{net::SocketAddr, time::Duration};

use playhouse_cluster::environment::Environment;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

use super::super::gateway::load::small_runtime;

const EVERY: Duration = Duration::from_secs(1);

/// Reads until it is stopped.
pub(super) struct Scraper {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    reading: JoinHandle<usize>,
}

impl Scraper {
    pub(super) fn start(ops: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the operating system gives a thread");
        let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
        let (stop, stopped) = oneshot::channel();
        let reading = environment.spawn(read_until(stopped, ops));
        Self { runtime, stop, reading }
    }

    /// How often it has read.
    pub(super) fn stop(self) -> usize {
        drop(self.stop);
        self.runtime.block_on(self.reading).expect("the node shows its metrics")
    }
}

async fn read_until(mut stopped: oneshot::Receiver<()>, ops: SocketAddr) -> usize {
    let mut ticks = tokio::time::interval(EVERY);
    let mut times = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return times,
            _ = ticks.tick() => {}
        }
        scrape(ops).await;
        times += 1;
    }
}

/// The metrics of a node, now.
pub(super) fn scrape_now(ops: SocketAddr) -> String {
    small_runtime().block_on(scrape(ops))
}

async fn scrape(ops: SocketAddr) -> String {
    let mut stream = TcpStream::connect(ops).await.expect("the node listens");
    let request = b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the node takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the node answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "metrics can be read: {answer}");
    answer
}
