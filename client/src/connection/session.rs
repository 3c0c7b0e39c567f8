//! What is unanswered. Pure: no socket, no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::Instant,
};

use super::{
    desk::{Ask, Submission},
    frame::{Answer, Command, Request, Verb, What},
    subscription::{Arrived, Notices, SubscribeError, SubscriptionEnd},
};
use crate::{Config, EntityName, Failure, GaveUp, Problem, error::Ended};

/// How long to wait before a subscription that the server turned away for the moment is asked for again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(250);

/// How a call or cast ends: the reply as JSON (`null` for a cast) with its revision, or why there is none.
pub(super) type Outcome = Result<(String, Option<u64>), Ended>;

/// All that must survive the loss of a socket. Ids ascend, so the order of the maps is the order of asking.
pub(super) struct Session {
    next_id: u64,
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Instant, u64)>,
    subscribed: BTreeMap<u64, Subscribed>,
    /// Which subscriptions are to be asked for again, and when.
    again: BTreeSet<(Instant, u64)>,
    in_flight_max: usize,
    subscriptions_max: usize,
}

struct Waiting {
    submission: Submission,
    /// How often it was put on a socket.
    attempts: u32,
}

struct Subscribed {
    name: EntityName,
    /// Where to go on: the last revision that was handed over.
    after: Option<u64>,
    notices: Notices,
    opened: Option<oneshot::Sender<Result<u64, SubscribeError>>>,
}

impl Session {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            next_id: 1,
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            subscribed: BTreeMap::new(),
            again: BTreeSet::new(),
            in_flight_max: config.in_flight_max.get(),
            subscriptions_max: config.subscriptions_max,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.in_flight_max
    }

    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When there is something to [`expire`](Self::expire) or to [`ask again`](Self::due).
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.deadlines.first(), self.again.first()].into_iter().flatten().map(|(when, _)| *when).min()
    }

    /// Remembers what is asked; returns what to send, if `online`.
    pub(super) fn take(&mut self, ask: Ask, online: bool, now: Instant) -> Option<String> {
        let id = self.next_id;
        match ask {
            Ask::Submit(submission) => {
                self.deadlines.insert((submission.deadline, id));
                self.waiting.insert(id, Waiting { submission, attempts: 0 });
            }
            Ask::Subscribe { opened, .. } if self.subscribed.len() >= self.subscriptions_max => {
                let _ =
                    opened.send(Err(SubscribeError::TooMany { subscriptions_max: self.subscriptions_max }));
                return None;
            }
            Ask::Subscribe { name, after, notices, opened } => {
                self.subscribed.insert(id, Subscribed { name, after, notices, opened: Some(opened) });
            }
            Ask::Unsubscribe(id) => return self.unsubscribe(id).filter(|_| online),
        }
        self.next_id += 1;
        online.then(|| self.frame(id, now)).flatten()
    }

    fn unsubscribe(&mut self, id: u64) -> Option<String> {
        self.subscribed.remove(&id)?;
        Some(Request { id, what: What::Unsubscribe {} }.to_text())
    }

    /// A subscription whose time has come to be asked for again: what to send.
    pub(super) fn due(&mut self, now: Instant) -> Option<String> {
        while let Some(&(when, id)) = self.again.first().filter(|(when, _)| *when <= now) {
            self.again.remove(&(when, id));
            if let Some(subscribed) = self.subscribed.get(&id) {
                return Some(subscribed.frame(id));
            }
        }
        None
    }

    fn frame(&mut self, id: u64, now: Instant) -> Option<String> {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.attempts += 1;
            return Some(waiting.frame(id, now));
        }
        self.subscribed.get(&id).map(|subscribed| subscribed.frame(id))
    }

    /// What to send on a new socket: subscriptions first, so that they see what the commands do; then everything
    /// unanswered, in its order.
    pub(super) fn resume(&mut self, now: Instant) -> Vec<String> {
        self.again.clear();
        let ids: Vec<u64> = self.subscribed.keys().chain(self.waiting.keys()).copied().collect();
        ids.into_iter().filter_map(|id| self.frame(id, now)).collect()
    }

    /// The socket is gone. What has no idempotency key and may have been executed cannot be sent again.
    pub(super) fn lose(&mut self, mut failure: impl FnMut() -> Failure, now: Instant) {
        let unsafe_to_repeat = |waiting: &Waiting| waiting.attempts > 0 && waiting.submission.key.is_none();
        let lost: Vec<u64> =
            self.waiting.iter().filter(|(_, waiting)| unsafe_to_repeat(waiting)).map(|(id, _)| *id).collect();
        for id in lost {
            self.give_up(id, failure(), now);
        }
    }

    /// Ends whatever has passed its deadline.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            let sent = self.waiting.get(&id).is_some_and(|waiting| waiting.attempts > 0);
            let begun = self.waiting.get(&id).map_or(deadline, |waiting| waiting.submission.begun);
            let last = if sent {
                Failure::Unanswered { waited: deadline - begun }
            } else {
                Failure::NotSent("there was no connection")
            };
            self.give_up(id, last, now);
            self.deadlines.remove(&(deadline, id));
        }
    }

    /// The server will never open a connection for us again: everything ends with its words.
    pub(super) fn end(&mut self, problem: &Problem) {
        self.deadlines.clear();
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            waiting.answer(Err(Ended::Rejected(Box::new(problem.clone()))));
        }
        for (_, subscribed) in std::mem::take(&mut self.subscribed) {
            subscribed.end(SubscriptionEnd::Rejected(Box::new(problem.clone())));
        }
    }

    fn give_up(&mut self, id: u64, last: Failure, now: Instant) {
        let Some(waiting) = self.settle(id) else { return };
        let outcome = if waiting.attempts > 0 && !last.nothing_happened() {
            crate::Outcome::Unknown
        } else {
            crate::Outcome::NothingHappened
        };
        let gave_up = GaveUp {
            attempts: waiting.attempts,
            elapsed: now.saturating_duration_since(waiting.submission.begun),
            outcome,
            idempotency_key: waiting.submission.key.clone(),
            last,
        };
        waiting.answer(Err(Ended::GaveUp(Box::new(gave_up))));
    }

    fn settle(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(&(waiting.submission.deadline, id));
        Some(waiting)
    }

    /// Hands an answer to whom it concerns; returns what to send in turn.
    ///
    /// # Errors
    ///
    /// When the server says that it did not understand us, or is not understood itself: the socket is of no use then.
    pub(super) fn answered(&mut self, text: &str, now: Instant) -> Result<Option<String>, String> {
        let answer: Answer<'_> =
            serde_json::from_str(text).map_err(|error| format!("an answer is not understood: {error}"))?;
        let Some(id) = answer.id else {
            let problem = answer.error.map_or_else(|| "an answer has no id".to_owned(), |p| p.to_string());
            return Err(problem);
        };
        if self.waiting.contains_key(&id) {
            self.answer_waiting(id, answer, now);
            return Ok(None);
        }
        Ok(self.answer_subscribed(id, answer, now))
    }

    fn answer_waiting(&mut self, id: u64, answer: Answer<'_>, now: Instant) {
        if let Some(problem) = answer.error {
            if problem.code == "draining" {
                return self.postpone(id);
            }
            if problem.is_retryable() {
                return self.give_up(id, Failure::Problem(Box::new(problem)), now);
            }
            return self.finish(id, Err(Ended::Rejected(Box::new(problem))));
        }
        if let Some(reply) = answer.reply {
            self.finish(id, Ok((reply.get().to_owned(), answer.revision)));
        } else if answer.accepted == Some(true) {
            self.finish(id, Ok(("null".to_owned(), answer.revision)));
        }
    }

    /// The node leaves and closes this socket soon; whatever it turned away goes to the next one, in order.
    fn postpone(&mut self, id: u64) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.attempts = 0;
        }
    }

    fn finish(&mut self, id: u64, outcome: Outcome) {
        if let Some(waiting) = self.settle(id) {
            waiting.answer(outcome);
        }
    }

    fn answer_subscribed(&mut self, id: u64, answer: Answer<'_>, now: Instant) -> Option<String> {
        let subscribed = self.subscribed.get_mut(&id)?;
        if subscribed.goes_on_later(&answer) {
            self.again.insert((now + SUBSCRIBE_AGAIN, id));
            return None;
        }
        if let Some(problem) = answer.error {
            let subscribed = self.subscribed.remove(&id)?;
            subscribed.end(SubscriptionEnd::Rejected(Box::new(problem)));
            return None;
        }
        if let Some(end) = answer.ended {
            let subscribed = self.subscribed.remove(&id)?;
            subscribed.end(SubscriptionEnd::Server(end.reason));
            return None;
        }
        if answer.subscribed == Some(true) {
            subscribed.start(id, answer.revision);
            return None;
        }
        let arrived = match (answer.item, answer.gap) {
            (Some(item), _) => {
                let revision = answer.revision?;
                Arrived::Item { revision, item: item.get().to_owned() }
            }
            (None, Some(gap)) => Arrived::Gap { first: gap.first },
            (None, None) => return None,
        };
        match subscribed.hand_over(arrived) {
            Ok(()) => None,
            Err(end) => {
                let request = Request { id, what: What::Unsubscribe {} }.to_text();
                self.subscribed.remove(&id)?.end(end);
                Some(request)
            }
        }
    }
}

impl Waiting {
    fn frame(&self, id: u64, now: Instant) -> String {
        let Submission { verb, name, command, key, deadline, .. } = &self.submission;
        let remaining = deadline.saturating_duration_since(now).max(Duration::from_millis(1));
        let command = Command {
            kind: name.kind(),
            key: name.key(),
            command,
            timeout_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX).min(60_000),
            idempotency_key: key.as_ref().map(|key| key.as_str()),
        };
        let what = match verb {
            Verb::Call => What::Call(command),
            Verb::Cast => What::Cast(command),
        };
        Request { id, what }.to_text()
    }

    fn answer(self, outcome: Outcome) {
        // The caller may have lost interest; that is no concern of ours.
        let _ = self.submission.answer.send(outcome);
    }
}

impl Subscribed {
    fn frame(&self, id: u64) -> String {
        let what = What::Subscribe { kind: self.name.kind(), key: self.name.key(), after: self.after };
        Request { id, what }.to_text()
    }

    /// Whether it had begun, and is interrupted rather than ended: the shard moves, or the node stops.
    fn goes_on_later(&self, answer: &Answer<'_>) -> bool {
        let turned_away = answer.error.as_ref().is_some_and(Problem::is_retryable);
        let stopped = answer.ended.as_ref().is_some_and(|end| end.reason == "stopped");
        self.opened.is_none() && (turned_away || stopped)
    }

    /// The server counts from `revision`: what is published behind it must arrive, also over another socket.
    fn start(&mut self, id: u64, revision: Option<u64>) {
        self.after = self.after.or(revision);
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Ok(id));
        }
    }

    /// What was handed over before is not handed over again.
    fn hand_over(&mut self, arrived: Arrived) -> Result<(), SubscriptionEnd> {
        let last = match &arrived {
            Arrived::Item { revision, .. } => *revision,
            Arrived::Gap { first } => first.saturating_sub(1),
        };
        if self.after.is_some_and(|after| last <= after) {
            return Ok(());
        }
        match self.notices.items.try_send(arrived) {
            Ok(()) => {
                self.after = Some(last);
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(SubscriptionEnd::TooSlow { last_revision: self.after }),
            Err(TrySendError::Closed(_)) => Err(SubscriptionEnd::Closed),
        }
    }

    fn end(self, end: SubscriptionEnd) {
        match self.opened {
            Some(opened) => {
                let _ = opened.send(Err(SubscribeError::from_end(end)));
            }
            None => self.notices.end(end),
        }
    }
}
