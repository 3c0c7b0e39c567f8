//! The bounded queue in front of an executor.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    envelope::{Envelope, Message},
    lost::Lost,
};

/// Bounds of a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct MailboxConfig {
    /// How many messages may wait. Past this the sender is refused.
    pub messages_max: usize,
    /// How many bytes may wait, counting each message with its own size. Past this the sender is refused.
    pub bytes_max: usize,
}

impl Default for MailboxConfig {
    fn default() -> Self {
        Self { messages_max: 65_536, bytes_max: 64 << 20 }
    }
}

/// The message was not taken.
pub enum MailboxError {
    /// The bound is reached.
    Full(Message),
    /// The executor is gone.
    Closed(Message),
}

/// The bounded queue in front of an executor. A cheap handle.
#[derive(Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    waiting: Notify,
    config: MailboxConfig,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    is_closed: bool,
    /// Whether the executor is parked; saves a wake-up per message.
    is_parked: bool,
    /// What found no room and nobody waits for.
    lost: Option<Box<Lost>>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.lost.is_none()
    }
}

impl Mailbox {
    /// An empty mailbox.
    #[must_use]
    pub fn new(config: MailboxConfig) -> Self {
        Self { shared: Arc::new(Shared { queue: Mutex::default(), waiting: Notify::new(), config }) }
    }

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// [`MailboxError`], with the message.
    #[allow(clippy::result_large_err)] // The message goes back to the sender; boxing it would cost every push.
    pub fn push(&self, message: Message) -> Result<(), MailboxError> {
        let shared = &*self.shared;
        let bytes = message.bytes();
        let was_parked = {
            let mut queue = shared.queue.lock();
            if queue.is_closed {
                return Err(MailboxError::Closed(message));
            }
            let is_full = queue.messages.len() >= shared.config.messages_max
                || queue.bytes + bytes > shared.config.bytes_max;
            if is_full && !message.is_internal() {
                return Err(MailboxError::Full(message));
            }
            queue.bytes += bytes;
            queue.messages.push_back(message);
            std::mem::take(&mut queue.is_parked)
        };
        if was_parked {
            shared.waiting.notify_one();
        }
        Ok(())
    }

    /// Remembers a command that found no room and that nobody waits for, so that the executor [tells of it](Message::Lost).
    /// After the end of the executor nobody does.
    pub fn lose(&self, envelope: Envelope) {
        let was_parked = {
            let mut queue = self.shared.queue.lock();
            if queue.is_closed {
                return;
            }
            queue.lost.get_or_insert_default().add(envelope);
            std::mem::take(&mut queue.is_parked)
        };
        if was_parked {
            self.shared.waiting.notify_one();
        }
    }

    /// Swaps everything that waits into `batch`, which must be empty. Its memory is used for what comes next.
    pub fn take(&self, batch: &mut VecDeque<Message>) {
        debug_assert!(batch.is_empty(), "the batch before was not finished");
        let mut queue = self.shared.queue.lock();
        std::mem::swap(&mut queue.messages, batch);
        queue.bytes = 0;
        batch.extend(queue.lost.take().map(Message::Lost));
    }

    /// Returns when something waits.
    pub async fn wait(&self) {
        loop {
            let notified = self.shared.waiting.notified();
            if !self.park() {
                return;
            }
            notified.await;
        }
    }

    /// The next message wakes the executor. `false` when one waits already.
    fn park(&self) -> bool {
        let mut queue = self.shared.queue.lock();
        queue.is_parked = queue.is_empty();
        queue.is_parked
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.queue.lock().is_empty()
    }

    /// How many messages and bytes wait.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let queue = self.shared.queue.lock();
        (queue.messages.len(), queue.bytes)
    }

    /// Takes no more messages and gives back what waits.
    #[must_use]
    pub fn close(&self) -> VecDeque<Message> {
        let mut queue = self.shared.queue.lock();
        queue.is_closed = true;
        queue.bytes = 0;
        std::mem::take(&mut queue.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CastOutcome;

    fn message() -> Message {
        Message::View {
            kind: crate::entity::KindIndex(0),
            key: crate::protocol::Key::new("k").unwrap(),
            reply: tokio::sync::oneshot::channel().0,
        }
    }

    #[test]
    fn a_full_mailbox_refuses_with_the_message_but_never_its_own_work() {
        let mailbox = Mailbox::new(MailboxConfig { messages_max: 1, bytes_max: usize::MAX });
        assert!(mailbox.push(message()).is_ok());
        assert!(matches!(mailbox.push(message()), Err(MailboxError::Full(_))));
        let own = Message::CastDone { number: 1, outcome: CastOutcome::Executed };
        assert!(mailbox.push(own).is_ok());
        assert_eq!(mailbox.close().len(), 2);
        assert!(matches!(mailbox.push(message()), Err(MailboxError::Closed(_))));
    }

    #[tokio::test]
    async fn a_message_wakes_the_parked_executor() {
        let mailbox = Mailbox::new(MailboxConfig::default());
        let waiting = mailbox.wait();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        mailbox.push(message()).ok().unwrap();
        waiting.await;
    }
}
