//! Commands that were read together, by shard.

use crate::{protocol::ShardId, shard::Message};

/// For how many messages of one shard memory is kept.
const KEEP_MESSAGES: usize = 256;

/// Commands that were read together, by shard. It holds what stood in one read buffer of the link, no more.
#[derive(Default)]
pub(super) struct Batch {
    /// By the number of the shard.
    messages: Vec<Vec<Message>>,
    /// Which shards have messages, in the order of their first.
    shards: Vec<ShardId>,
}

impl Batch {
    /// Adds a message behind all others of its shard.
    pub(super) fn add(&mut self, shard: ShardId, message: Message) {
        let at = usize::from(shard.0);
        if at >= self.messages.len() {
            self.messages.resize_with(at + 1, Vec::new);
        }
        let messages = &mut self.messages[at];
        if messages.is_empty() {
            self.shards.push(shard);
        }
        messages.push(message);
    }

    /// Gives each shard's messages to `give`. What that leaves is dropped, and so is everything behind its first error.
    pub(super) fn take_each<E>(
        &mut self,
        mut give: impl FnMut(ShardId, &mut Vec<Message>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        for shard in self.shards.drain(..) {
            let messages = &mut self.messages[usize::from(shard.0)];
            if outcome.is_ok() {
                outcome = give(shard, messages);
            }
            messages.clear();
            messages.shrink_to(KEEP_MESSAGES);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::CastOutcome;

    fn message(number: u64) -> Message {
        Message::CastDone { number, outcome: CastOutcome::Executed }
    }

    fn numbers(messages: &mut Vec<Message>) -> Vec<u64> {
        let number = |message| match message {
            Message::CastDone { number, .. } => number,
            _ => panic!("only these were added"),
        };
        messages.drain(..).map(number).collect()
    }

    #[test]
    fn messages_of_a_shard_keep_their_order_and_are_given_once() {
        let mut batch = Batch::default();
        for (shard, number) in [(3, 1), (0, 2), (3, 3)] {
            batch.add(ShardId(shard), message(number));
        }
        let mut given = Vec::new();
        let mut take = |batch: &mut Batch| {
            given.clear();
            let taken = batch.take_each(|shard, messages| {
                given.push((shard.0, numbers(messages)));
                Ok::<_, ()>(())
            });
            taken.unwrap();
            given.clone()
        };
        assert_eq!(take(&mut batch), [(3, vec![1, 3]), (0, vec![2])]);
        assert_eq!(take(&mut batch), []);
    }

    #[test]
    fn nothing_is_given_behind_an_error() {
        let mut batch = Batch::default();
        batch.add(ShardId(0), message(1));
        batch.add(ShardId(1), message(2));
        let mut given = 0;
        let mut refuse = |_: ShardId, _: &mut Vec<Message>| {
            given += 1;
            Err("full")
        };
        assert_eq!(batch.take_each(&mut refuse), Err("full"));
        assert_eq!(batch.take_each(&mut refuse), Ok(()), "and nothing is left of it");
        assert_eq!(given, 1);
    }
}
