//! The send queue of one connection, bounded in count and bytes.

use std::collections::VecDeque;

use axum::extract::ws::Message;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::limits::WebSocketLimits;

/// Filled by the session, emptied by the writer, both within one task.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Told when a message was put in, or the end was announced.
    filled: Notify,
    /// Told when a message was taken out.
    emptied: Notify,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    ended: bool,
}

impl Outbox {
    pub(super) fn new(limits: &WebSocketLimits) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            messages_max: limits.queue_messages_max,
            bytes_max: limits.queue_bytes_max,
        }
    }

    /// Whether one more message may be put in.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.queue.lock();
        queue.messages.len() < self.messages_max && queue.bytes < self.bytes_max
    }

    /// Waits until something was taken out.
    pub(super) async fn emptied(&self) {
        self.emptied.notified().await;
    }

    /// Puts a message in. Whoever calls has seen [`has_room`](Self::has_room), so the bounds are passed by one at most.
    pub(super) fn push(&self, message: Message) {
        let mut queue = self.queue.lock();
        queue.bytes += bytes(&message);
        queue.messages.push_back(message);
        drop(queue);
        self.filled.notify_one();
    }

    /// Announces the end: what waits is still sent, then `last`.
    pub(super) fn end(&self, last: Option<Message>) {
        let mut queue = self.queue.lock();
        queue.messages.extend(last);
        queue.ended = true;
        drop(queue);
        self.filled.notify_one();
    }

    /// Throws away what waits.
    pub(super) fn clear(&self) {
        let mut queue = self.queue.lock();
        queue.messages.clear();
        queue.bytes = 0;
    }

    /// The next message, if one waits.
    pub(super) fn take(&self) -> Option<Message> {
        let mut queue = self.queue.lock();
        let message = queue.messages.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(bytes(&message));
        drop(queue);
        self.emptied.notify_one();
        Some(message)
    }

    /// The next message; `None` after the end.
    pub(super) async fn next(&self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.queue.lock().ended {
                return None;
            }
            self.filled.notified().await;
        }
    }
}

fn bytes(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(queue_messages_max: usize, queue_bytes_max: usize) -> Outbox {
        Outbox::new(&WebSocketLimits { queue_messages_max, queue_bytes_max, ..WebSocketLimits::default() })
    }

    #[tokio::test]
    async fn both_bounds_hold() {
        let by_count = outbox(2, 1000);
        by_count.push(Message::text("a"));
        assert!(by_count.has_room());
        by_count.push(Message::text("b"));
        assert!(!by_count.has_room());
        let by_bytes = outbox(1000, 2);
        by_bytes.push(Message::text("abc"));
        assert!(!by_bytes.has_room());
        by_bytes.next().await;
        assert!(by_bytes.has_room());
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end() {
        let outbox = outbox(9, 999);
        outbox.push(Message::text("a"));
        outbox.end(Some(Message::text("bye")));
        assert_eq!(outbox.next().await, Some(Message::text("a")));
        assert_eq!(outbox.next().await, Some(Message::text("bye")));
        assert_eq!(outbox.next().await, None);
    }
}
