//! What a client hears when all seats are taken.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::super::{code::Code, problem::Problem};
use crate::protocol::RequestId;

const GRACE: Duration = Duration::from_secs(1);
/// How much of the request is read, so that the client sees the answer and not a reset.
const READ_BYTES_MAX: u64 = 64 * 1024;

/// Answers 503 without reading the request, then closes.
pub(super) async fn refuse(mut stream: TcpStream, request_id: u128) {
    let answer = answer(&RequestId(compact_str::format_compact!("{request_id:032x}")));
    let _ = timeout(GRACE, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(READ_BYTES_MAX), &mut tokio::io::sink()).await
    })
    .await;
}

fn answer(request_id: &RequestId) -> String {
    let problem = Problem::new(Code::Overloaded, "all connections are taken; try again or try another node");
    let body = problem.document(request_id).to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\nrequest-id: {request_id}\r\n\
         content-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
