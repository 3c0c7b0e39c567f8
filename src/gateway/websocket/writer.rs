//! Empties the send queue into the socket.

use axum::{
    Error,
    extract::ws::{Message, WebSocket},
};
use futures_util::{SinkExt, stream::SplitSink};

use super::outbox::Outbox;

/// Sends until the end of the queue. Many messages that wait together are one write.
pub(super) async fn write(mut socket: SplitSink<WebSocket, Message>, outbox: &Outbox) -> Result<(), Error> {
    while let Some(message) = outbox.next().await {
        socket.feed(message).await?;
        while let Some(message) = outbox.take() {
            socket.feed(message).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}
