//! Commands that were read together, by shard.

use playhouse_cluster::consensus::Term;

use crate::{protocol::ShardId, shard::Message};

/// For how many messages of each shard memory is kept, on each lane.
const KEEP_MESSAGES: usize = 16;

/// Commands that were read together, by shard. It holds what stood in one read buffer of the link, no more.
#[derive(Default)]
pub(super) struct Batch {
    /// By the number of the shard, which is one of the cluster.
    shards: Vec<OfShard>,
    /// Which shards have messages, in the order of their first.
    order: Vec<ShardId>,
}

/// The messages of one shard, all meant for one term.
#[derive(Default)]
struct OfShard {
    term: Term,
    messages: Vec<Message>,
}

impl Batch {
    /// Whether messages of the shard are in it that are meant for another term. They must be given first.
    pub(super) fn is_of_another_term(&self, to: (ShardId, Term)) -> bool {
        let of_shard = self.shards.get(usize::from(to.0.0));
        of_shard.is_some_and(|of_shard| !of_shard.messages.is_empty() && of_shard.term != to.1)
    }

    /// Adds a message behind all others of its shard, which are [of the same term](Self::is_of_another_term).
    pub(super) fn add(&mut self, to: (ShardId, Term), message: Message) {
        let at = usize::from(to.0.0);
        if at >= self.shards.len() {
            self.shards.resize_with(at + 1, OfShard::default);
        }
        let of_shard = &mut self.shards[at];
        if of_shard.messages.is_empty() {
            of_shard.term = to.1;
            self.order.push(to.0);
        }
        of_shard.messages.push(message);
    }

    /// Gives each shard's messages to `give`. What that leaves is dropped, and so is everything behind its first error.
    pub(super) fn take_each<E>(
        &mut self,
        mut give: impl FnMut((ShardId, Term), &mut Vec<Message>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut outcome = Ok(());
        for shard in self.order.drain(..) {
            let of_shard = &mut self.shards[usize::from(shard.0)];
            if outcome.is_ok() {
                outcome = give((shard, of_shard.term), &mut of_shard.messages);
            }
            of_shard.messages.clear();
            of_shard.messages.shrink_to(KEEP_MESSAGES);
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
            batch.add((ShardId(shard), Term(1)), message(number));
        }
        let mut given = Vec::new();
        let mut take = |batch: &mut Batch| {
            given.clear();
            let taken = batch.take_each(|(shard, _), messages| {
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
        batch.add((ShardId(0), Term(1)), message(1));
        batch.add((ShardId(1), Term(1)), message(2));
        let mut given = 0;
        let mut refuse = |_: (ShardId, Term), _: &mut Vec<Message>| {
            given += 1;
            Err("full")
        };
        assert_eq!(batch.take_each(&mut refuse), Err("full"));
        assert_eq!(batch.take_each(&mut refuse), Ok(()), "and nothing is left of it");
        assert_eq!(given, 1);
    }

    #[test]
    fn messages_for_two_terms_of_a_shard_are_not_mixed() {
        let mut batch = Batch::default();
        let (old, new) = ((ShardId(5), Term(1)), (ShardId(5), Term(2)));
        assert!(!batch.is_of_another_term(new));
        batch.add(old, message(1));
        assert!(batch.is_of_another_term(new) && !batch.is_of_another_term(old));
        let mut terms = Vec::new();
        let mut take = |batch: &mut Batch| {
            batch.take_each(|(_, term), _| {
                terms.push(term);
                Ok::<_, ()>(())
            })
        };
        take(&mut batch).unwrap();
        assert!(!batch.is_of_another_term(new), "nothing is in it any more");
        batch.add(new, message(2));
        take(&mut batch).unwrap();
        assert_eq!(terms, [Term(1), Term(2)]);
    }
}
