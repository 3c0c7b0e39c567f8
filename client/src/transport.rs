//! One attempt at one gateway. The only file that knows hyper's client.

use std::{error::Error as StdError, future::poll_fn, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, Uri, body::Incoming};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::time::timeout;
use tower_service::Service;

use crate::{Address, ClientError, Config, Failure};

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// A byte stream to a gateway, encrypted if its address says so.
pub(crate) type Io = TokioIo<<Connector as Service<Uri>>::Response>;

/// Connections to all gateways.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pool: Pool<Connector, Full<Bytes>>,
    connector: Connector,
    response_bytes_max: usize,
}

/// What a gateway answered, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, ClientError> {
        let connector = connector(config)?;
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.idle_connections_max)
            .build(connector.clone());
        Ok(Self { pool, connector, response_bytes_max: config.response_bytes_max })
    }

    /// Sends `request` and reads the whole answer, within `wait`.
    pub(crate) async fn exchange(
        &self,
        address: &Address,
        request: Request<Full<Bytes>>,
        wait: Duration,
    ) -> Result<Answer, Failure> {
        match timeout(wait, self.exchange_unhurried(address, request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Silent { address: address.clone(), waited: wait }),
        }
    }

    async fn exchange_unhurried(
        &self,
        address: &Address,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let response = self.pool.request(request).await.map_err(|error| {
            let (address, connecting) = (address.clone(), error.is_connect());
            let source = Box::new(error);
            if connecting {
                Failure::Connect { address, source }
            } else {
                Failure::Broken { address, source }
            }
        })?;
        let (head, body) = response.into_parts();
        let body = self.read(address, body).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn read(&self, address: &Address, mut body: Incoming) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Failure::Broken { address: address.clone(), source: Box::new(error) })?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > self.response_bytes_max {
                let bytes_max = self.response_bytes_max;
                return Err(Failure::Oversized { address: address.clone(), bytes_max });
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    /// A fresh connection outside the pool, for WebSocket.
    pub(crate) async fn open(&self, address: &Address) -> Result<Io, Failure> {
        let connect = |source| Failure::Connect { address: address.clone(), source };
        let uri: Uri = address.join("/").parse().expect("an address is a URL");
        let mut connector = self.connector.clone();
        poll_fn(|context| connector.poll_ready(context)).await.map_err(|error| connect(boxed(error)))?;
        let io = connector.call(uri).await.map_err(|error| connect(boxed(error)))?;
        Ok(TokioIo::new(io))
    }
}

fn boxed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Box<dyn StdError + Send + Sync> {
    error.into()
}

fn tcp(config: &Config) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout));
    tcp.set_local_address(config.local_address);
    tcp.enforce_http(false);
    tcp
}

#[cfg(not(feature = "tls"))]
fn connector(config: &Config) -> Result<Connector, ClientError> {
    Ok(tcp(config))
}

#[cfg(feature = "tls")]
fn connector(config: &Config) -> Result<Connector, ClientError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(ClientError::Certificates)?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp(config)))
}
