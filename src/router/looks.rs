//! Views, lists and subscriptions: requests without effects, asked again when leadership moved.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Router, no_leader};
use crate::{
    protocol::{CallError, EntityId, EntityView, ListQuery, Page, Published, ShardId},
    shard::{DeadLetter, Message},
};

/// How many items a subscriber may be behind before its subscription ends.
const SUBSCRIPTION_ITEMS_MAX: usize = 1_024;

/// How many shards are asked for dead letters at once.
const SHARDS_AT_ONCE: usize = 16;
/// How long one of them may take, so that a few without a leader do not take the time of all.
const SHARD_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How many bytes of bodies are shown together; the one that reaches this is the last.
const LETTERS_BYTES_MAX: usize = 32 << 20;

/// Messages that could not be delivered.
#[derive(Debug, Default)]
pub struct DeadLetters {
    /// The oldest first, each with its shard.
    pub letters: Vec<(ShardId, DeadLetter)>,
    /// Shards that did not answer, and why: there may be more.
    pub unread: Vec<(ShardId, CallError)>,
}

impl DeadLetters {
    fn keep_newest(&mut self, limit: usize) {
        self.letters.sort_by_key(|(shard, letter)| (letter.at_ms, *shard));
        let mut bytes = 0;
        let newest = self.letters.iter().rev().take(limit);
        let kept = newest.take_while(|(_, letter)| {
            let has_room = bytes < LETTERS_BYTES_MAX;
            bytes += letter.body.len();
            has_room
        });
        let kept = kept.count();
        self.letters.drain(..self.letters.len() - kept);
    }
}

/// Items of one entity from some revision on, in order, at least once. It goes on when leadership moves. Dropping it
/// ends it.
pub struct Subscription {
    router: Router,
    id: EntityId,
    /// Everything up to this revision was given out, or a gap was.
    seen: u64,
    items: mpsc::Receiver<Published>,
}

impl Subscription {
    /// The revision behind which items are given.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.seen
    }

    /// The next item; `None` when the subscription cannot go on because the shard has no leader, or one whose release
    /// lacks the kind: subscribe again behind the last revision that was seen. A reader that is too slow for what is kept
    /// receives a gap.
    pub async fn next(&mut self) -> Option<Published> {
        loop {
            if let Some(published) = self.items.recv().await {
                self.seen = match &published {
                    Published::Item { revision, .. } => *revision,
                    Published::Gap { first } => first.saturating_sub(1),
                };
                return Some(published);
            }
            // The executor ended, or dropped us because we were too slow: its kept history has what we missed.
            let resumed = self.router.subscribe(self.id.clone(), Some(self.seen)).await.ok()?;
            self.items = resumed.items;
        }
    }
}

impl Router {
    /// The state of an entity as its kind shows it. Linearizable.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn view(&self, id: EntityId, timeout: Duration) -> Result<EntityView, CallError> {
        let shard = id.shard(self.shards());
        let ask = |reply| Message::View { kind: id.kind.clone(), key: id.key.clone(), reply };
        self.ask(shard, timeout, ask).await
    }

    /// Entities of a kind, by key, from all shards.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn list(&self, query: ListQuery, timeout: Duration) -> Result<Page, CallError> {
        let ask = |shard| self.page(ShardId(shard), &query, timeout);
        let pages = futures_util::future::try_join_all((0..self.shards().get()).map(ask)).await?;
        let pages: Vec<_> = pages.into_iter().flatten().collect();
        if pages.is_empty() {
            return Err(CallError::unknown_kind(&query.kind));
        }
        Ok(merge(pages, query.limit))
    }

    /// What one shard has; `None` if that is nothing, and its leader does not know the kind. Leaders of another release may.
    async fn page(
        &self,
        shard: ShardId,
        query: &ListQuery,
        timeout: Duration,
    ) -> Result<Option<Page>, CallError> {
        let ask = |reply| Message::List {
            kind: query.kind.clone(),
            prefix: query.prefix.clone(),
            after: query.after.clone(),
            limit: query.limit,
            reply,
        };
        match self.ask(shard, timeout, ask).await {
            Ok(page) => Ok(Some(page)),
            Err(CallError::UnknownKind { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Items that the entity publishes with a revision above `after`; `None`: from now on.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub async fn subscribe(&self, id: EntityId, after: Option<u64>) -> Result<Subscription, CallError> {
        let shard = id.shard(self.shards());
        let (subscriber, items) = mpsc::channel(SUBSCRIPTION_ITEMS_MAX);
        let seen = self
            .ask(shard, super::INTERNAL_TIMEOUT, |reply| Message::Subscribe {
                kind: id.kind.clone(),
                key: id.key.clone(),
                after,
                subscriber: subscriber.clone(),
                reply,
            })
            .await?;
        Ok(Subscription { router: self.clone(), id, seen, items })
    }

    /// The newest dead letters of all shards that answer, whoever leads them: at most `limit`, and not many more than 32 MiB, of
    /// each shard 4. A shard has 2 s to answer, and all of them `timeout`.
    pub async fn dead_letters(&self, limit: usize, timeout: Duration) -> DeadLetters {
        let deadline = self.environment().now() + timeout;
        let mut asked = stream::iter((0..self.shards().get()).map(ShardId))
            .map(async |shard| {
                let left =
                    deadline.saturating_duration_since(self.environment().now()).min(SHARD_ANSWERS_WITHIN);
                (shard, self.ask(shard, left, |reply| Message::DeadLetters { limit, reply }).await)
            })
            .buffer_unordered(SHARDS_AT_ONCE);
        let mut found = DeadLetters::default();
        while let Some((shard, answer)) = asked.next().await {
            match answer {
                Ok(letters) => found.letters.extend(letters.into_iter().map(|letter| (shard, letter))),
                Err(error) => found.unread.push((shard, error)),
            }
            found.keep_newest(limit);
        }
        found.unread.sort_by_key(|(shard, _)| *shard);
        found
    }

    /// Asks the executor of a shard, wherever it is by then, until the time is over.
    async fn ask<T>(
        &self,
        shard: ShardId,
        timeout: Duration,
        message: impl Fn(oneshot::Sender<Result<T, CallError>>) -> Message,
    ) -> Result<T, CallError> {
        let deadline = self.environment().now() + timeout;
        loop {
            self.wait_for_leader(shard, deadline).await?;
            let (reply, outcome) = oneshot::channel();
            match self.push(shard, message(reply)) {
                Err(CallError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => match tokio::time::timeout_at(deadline, outcome).await {
                    Err(_) => return Err(CallError::DeadlineExceeded),
                    // It had no effect, so it may be asked again.
                    Ok(Err(_) | Ok(Err(CallError::NotCommitted | CallError::OutcomeUnknown))) => {}
                    Ok(Ok(outcome)) => return outcome,
                },
            }
            // The executor is ending; its successor is not known yet.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wait_for_leader(&self, shard: ShardId, deadline: Instant) -> Result<(), CallError> {
        let mut destination = self.route(shard).destination.subscribe();
        let known = tokio::time::timeout_at(deadline, destination.wait_for(Option::is_some)).await;
        known.map_err(|_| no_leader(shard)).map(|_| ())
    }
}

/// Merges pages of all shards. A shard that has more than its page ends the merged page there, at the latest.
fn merge(pages: Vec<Page>, limit: usize) -> Page {
    let horizon = pages.iter().filter_map(|page| page.next_after.clone()).min();
    let mut entities: Vec<_> = pages.into_iter().flat_map(|page| page.entities).collect();
    entities.sort_unstable();
    if let Some(horizon) = &horizon {
        entities.retain(|(key, _)| key <= horizon);
    }
    let has_more = horizon.is_some() || entities.len() > limit;
    entities.truncate(limit);
    let next_after = entities.last().filter(|_| has_more).map(|(key, _)| key.clone());
    Page { entities, next_after }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, num::NonZeroU16, sync::Arc};

    use playhouse_cluster::{consensus::Term, environment::Environment};

    use super::*;
    use crate::{
        entity::KindRegistry,
        protocol::{Body, EntityId, Key},
        router::RouterIdentity,
        shard::{Mailbox, MailboxConfig},
    };

    const SHARDS: u16 = 40;

    fn letter(at_ms: u64, bytes: usize) -> DeadLetter {
        let target = EntityId::new("counter", "visits").unwrap();
        let body = Body::binary(vec![0; bytes]);
        DeadLetter { target, body_bytes: body.len() as u64, body, reason: "test".to_owned(), at_ms }
    }

    /// Shards that nobody leads kept all behind them from being asked.
    #[tokio::test(start_paused = true)]
    async fn shards_without_a_leader_hide_the_dead_letters_of_no_other() {
        let identity = RouterIdentity { node: 1, incarnation: 1 };
        let (kinds, environment) = (Arc::<KindRegistry>::default(), Environment::simulated(1));
        let shards = NonZeroU16::new(SHARDS).unwrap();
        let router = Router::new(identity, shards, kinds, environment.clone(), Arc::new(|_, _, _| {}));
        let led = (0..SHARDS).filter(|shard| shard % 20 != 0).map(|shard| {
            let mailbox = Mailbox::new(MailboxConfig::default());
            router.set_executor(ShardId(shard), Some((Term(1), mailbox.clone())));
            (shard, mailbox)
        });
        let led: Vec<_> = led.collect();
        drop(environment.spawn(async move {
            loop {
                for (shard, mailbox) in &led {
                    let mut taken = VecDeque::new();
                    mailbox.take(&mut taken);
                    for message in taken {
                        let Message::DeadLetters { reply, .. } = message else { continue };
                        drop(reply.send(Ok(vec![letter(u64::from(*shard), 1)])));
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
        let found = router.dead_letters(100, Duration::from_secs(10)).await;
        assert_eq!(found.letters.len(), 38);
        assert_eq!(found.unread.iter().map(|(shard, _)| shard.0).collect::<Vec<_>>(), [0, 20]);
    }

    #[test]
    fn the_newest_letters_are_kept_up_to_a_number_of_bytes() {
        let all = |bytes| (1..=9).map(|at_ms| (ShardId(0), letter(at_ms, bytes))).collect();
        let kept = |bytes, limit| {
            let mut found = DeadLetters { letters: all(bytes), unread: Vec::new() };
            found.keep_newest(limit);
            found.letters.iter().map(|(_, letter)| letter.at_ms).collect::<Vec<_>>()
        };
        assert_eq!(kept(1, 3), [7, 8, 9]);
        assert_eq!(kept(16 << 20, 9), [8, 9]);
    }

    fn page(keys: &[&str], has_more: bool) -> Page {
        let entities: Vec<_> = keys.iter().map(|key| (Key::new(key).unwrap(), 1)).collect();
        let next_after = entities.last().filter(|_| has_more).map(|(key, _)| key.clone());
        Page { entities, next_after }
    }

    #[test]
    fn a_merged_page_leaves_no_key_out() {
        // The first shard has more behind "c", so "d" of the second must wait for the next page.
        let merged = merge(vec![page(&["a", "c"], true), page(&["b", "d"], false)], 10);
        assert_eq!(merged, page(&["a", "b", "c"], true));
        let last = merge(vec![page(&["a"], false), page(&["b"], false)], 2);
        assert_eq!(last, page(&["a", "b"], false));
        assert_eq!(merge(vec![page(&["a", "b", "c"], false)], 2), page(&["a", "b"], true));
    }
}
