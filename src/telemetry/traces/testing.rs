//! A collector that takes one message.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Takes one message and answers it.
pub(crate) async fn collect(mut stream: TcpStream, status: &str) -> (String, ExportTraceServiceRequest) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            break (head.to_owned(), length.parse::<usize>().unwrap());
        }
    };
    let begin = head.len() + 4;
    while bytes.len() < begin + length {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, ExportTraceServiceRequest::decode(&bytes[begin..]).unwrap())
}
