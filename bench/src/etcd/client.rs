//! `etcdserverpb.KV/Put` over HTTP/2, and nothing else.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use tokio::net::TcpStream;

/// A write was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// No connection.
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    /// The connection broke or was misused.
    #[error("the connection broke")]
    Http2(#[from] h2::Error),
    /// It answered something else.
    #[error("refused: HTTP {http}, gRPC {grpc}")]
    Refused {
        /// Status of the answer.
        http: u16,
        /// Status of the call; empty when there is none.
        grpc: String,
    },
}

/// A connection. Cheap to clone: calls of all clones go over it at once.
#[derive(Clone)]
pub struct EtcdClient {
    requests: SendRequest<Bytes>,
    uri: http::Uri,
}

/// What small frames that were not read yet may take, in bytes.
const SMALL_FRAMES: usize = 64 << 20;

impl EtcdClient {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, EtcdError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Each answer is one small frame: by default a connection ends when many of them come before they are read.
        let mut builder = h2::client::Builder::new();
        let (requests, connection) = builder.data_frame_budget(SMALL_FRAMES).handshake(stream).await?;
        // Of a bench, on its own runtime: there is no environment here, and nothing is simulated.
        #[allow(clippy::disallowed_methods)]
        drop(tokio::spawn(connection));
        let uri = format!("http://{address}/etcdserverpb.KV/Put").parse().expect("an address makes a URI");
        Ok(Self { requests, uri })
    }

    /// Writes; returns when a majority has it on disk.
    ///
    /// # Errors
    ///
    /// When etcd refuses, or the connection breaks.
    pub async fn put(&self, key: &[u8], value: &[u8]) -> Result<(), EtcdError> {
        let mut requests = self.requests.clone().ready().await?;
        let request = http::Request::post(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("all parts are allowed");
        let (answer, mut body) = requests.send_request(request, false)?;
        body.send_data(message(key, value), true)?;
        let (head, mut body) = answer.await?.into_parts();
        while let Some(data) = body.data().await {
            let bytes = data?.len();
            body.flow_control().release_capacity(bytes)?;
        }
        let trailers = body.trailers().await?;
        // A call that failed at once has its status in the head.
        let headers = trailers.as_ref().unwrap_or(&head.headers);
        let grpc = headers.get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if head.status == 200 && grpc == "0" {
            return Ok(());
        }
        Err(EtcdError::Refused { http: head.status.as_u16(), grpc: grpc.to_owned() })
    }
}

/// A gRPC message that is not compressed, with a `PutRequest`: key is field 1, value is field 2.
fn message(key: &[u8], value: &[u8]) -> Bytes {
    let mut put = BytesMut::new();
    for (field, bytes) in [(1, key), (2, value)] {
        put.put_u8(field << 3 | 2);
        put_varint(&mut put, bytes.len());
        put.extend_from_slice(bytes);
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(put.len()).expect("values of the bench are small"));
    message.extend_from_slice(&put);
    message.freeze()
}

fn put_varint(buffer: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        buffer.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `protoc` encodes it.
    #[test]
    fn a_put_is_encoded_as_protobuf_says() {
        let message = message(b"k", &[7; 200]);
        assert_eq!(message[..5], [0, 0, 0, 0, 206]);
        assert_eq!(message[5..12], [0x0a, 1, b'k', 0x12, 0xc8, 0x01, 7]);
        assert_eq!(message.len(), 5 + 206);
    }
}
