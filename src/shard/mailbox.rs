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

/// Some messages were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAll {
    /// The bound is reached.
    Full,
    /// The executor is gone.
    Closed,
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

    /// How many of the messages fit, from the first. Their bytes are counted.
    fn room_for(&mut self, messages: &[Message], config: &MailboxConfig) -> usize {
        let room = config.messages_max.saturating_sub(self.messages.len());
        let fits = |(at, message): &(usize, &Message)| {
            let bytes = message.bytes();
            let fits = *at < room && self.bytes + bytes <= config.bytes_max || message.is_internal();
            self.bytes += if fits { bytes } else { 0 };
            fits
        };
        messages.iter().enumerate().take_while(fits).count()
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

    /// Adds messages in their order, for one lock and at most one wake-up.
    ///
    /// # Errors
    ///
    /// [`NotAll`]; those that were not taken, all that stand behind the first of them included, are still in `messages`.
    pub fn push_all(&self, messages: &mut Vec<Message>) -> Result<(), NotAll> {
        let shared = &*self.shared;
        let (outcome, was_parked) = {
            let mut queue = shared.queue.lock();
            if queue.is_closed {
                return Err(NotAll::Closed);
            }
            let taken = queue.room_for(messages, &shared.config);
            queue.messages.extend(messages.drain(..taken));
            let outcome = if messages.is_empty() { Ok(()) } else { Err(NotAll::Full) };
            (outcome, taken > 0 && std::mem::take(&mut queue.is_parked))
        };
        if was_parked {
            shared.waiting.notify_one();
        }
        outcome
    }

    /// Remembers a command that found no room and that nobody waits for, so that the executor [tells of it](Message::Lost).
    ///
    /// # Errors
    ///
    /// The command, after the end of the executor, which can tell of nothing any more.
    #[allow(clippy::result_large_err)] // As of `push`.
    pub fn lose(&self, envelope: Envelope) -> Result<(), Envelope> {
        let was_parked = {
            let mut queue = self.shared.queue.lock();
            if queue.is_closed {
                return Err(envelope);
            }
            queue.lost.get_or_insert_default().add(envelope);
            std::mem::take(&mut queue.is_parked)
        };
        if was_parked {
            self.shared.waiting.notify_one();
        }
        Ok(())
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
        let mut left = std::mem::take(&mut queue.messages);
        left.extend(queue.lost.take().map(Message::Lost));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CastOutcome;

    fn message() -> Message {
        Message::View {
            kind: crate::protocol::KindName::new("counter").unwrap(),
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

    /// It was forgotten, as if it had been told of.
    #[test]
    fn a_command_without_room_comes_back_when_nobody_can_tell_of_it_any_more() {
        let mailbox = Mailbox::new(MailboxConfig::default());
        let command = |number: u8| Envelope {
            kind: crate::entity::KindIndex(0),
            key: crate::protocol::Key::new("k").unwrap(),
            body: crate::protocol::Body::json(vec![number]).into(),
            reply: crate::shard::ReplyTo::Nobody,
            position: None,
            deadline: None,
            more: None,
        };
        assert!(mailbox.lose(command(1)).is_ok());
        assert!(matches!(&mailbox.close()[0], Message::Lost(lost) if lost.kept.len() == 1));
        let Err(back) = mailbox.lose(command(2)) else { panic!("nobody will tell of it") };
        assert_eq!(back.body.bytes(), [2]);
    }

    #[test]
    fn of_many_messages_those_are_taken_that_stand_before_the_first_without_room() {
        let mailbox = Mailbox::new(MailboxConfig { messages_max: 3, bytes_max: usize::MAX });
        mailbox.push(message()).ok().unwrap();
        let mut many: Vec<_> = (0..4).map(|_| message()).collect();
        assert_eq!(mailbox.push_all(&mut many), Err(NotAll::Full));
        assert_eq!((many.len(), mailbox.depth().0), (2, 3));
        assert_eq!(mailbox.depth().1, 3 * message().bytes());
        assert_eq!(mailbox.close().len(), 3);
        assert_eq!(mailbox.push_all(&mut many), Err(NotAll::Closed));
        assert_eq!(many.len(), 2, "they go back to the sender");
    }

    #[test]
    fn many_messages_have_no_more_bytes_than_there_is_room_for() {
        let bytes_max = 2 * message().bytes() + 1;
        let mailbox = Mailbox::new(MailboxConfig { messages_max: 100, bytes_max });
        let mut many: Vec<_> = (0..3).map(|_| message()).collect();
        assert_eq!(mailbox.push_all(&mut many), Err(NotAll::Full));
        assert_eq!((many.len(), mailbox.depth()), (1, (2, bytes_max - 1)));
    }

    #[tokio::test]
    async fn many_messages_wake_the_parked_executor() {
        let mailbox = Mailbox::new(MailboxConfig::default());
        let waiting = mailbox.wait();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        mailbox.push_all(&mut vec![message(), message()]).unwrap();
        waiting.await;
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
