//! The end that is asked: gives the questions of one peer, on one lane, to executors on this node.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use playhouse_cluster::{
    codec::{self, DecodeError},
    consensus::Term,
    environment::Environment,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    batch::Batch,
    carrier::{Carrier, CarrierError},
    frame::{Answer, Command, Question, Ticket, push},
};
use crate::{
    entity::{KindIndex, KindRegistry},
    protocol::{CallError, Key, KindName, Payload, Published, ShardId},
    shard::{self, Envelope, Mailbox, MailboxError, Message, NotAll, Position, ReplyTo, StreamId},
};

/// How long a lane that is full of answers is left alone before the next try.
const FULL_AGAIN: Duration = Duration::from_millis(5);
/// How many items may wait for one subscriber. Past this it is dropped, and goes on from kept history.
const ITEMS_MAX: usize = 1_024;
/// How many bytes of answers may wait for room on one lane. Past this the lane is closed.
const OVERFLOW_BYTES_MAX: usize = 64 << 20;
/// How many streams may be held back on one lane. Past this the lane is closed.
const HELD_BACK_MAX: usize = 16_384;

/// Where executors of this node are found.
pub trait Executors: Send + Sync + 'static {
    /// The shard's executor, if it runs on this node.
    fn executor(&self, shard: ShardId) -> Option<(Term, Mailbox)>;

    /// All shards that are executed on this node.
    fn led(&self) -> Vec<(ShardId, Term)>;

    /// How many shards the cluster has.
    fn shards(&self) -> u16;
}

/// A peer that asks, on one lane. A cheap handle.
#[derive(Clone)]
pub struct Serving {
    shared: Arc<Shared>,
}

struct Shared {
    carrier: Arc<dyn Carrier>,
    executors: Arc<dyn Executors>,
    shards: u16,
    registry: Arc<KindRegistry>,
    environment: Environment,
    hearing: Mutex<Hearing>,
    state: Mutex<State>,
}

/// What only whoever hears frames needs.
#[derive(Default)]
struct Hearing {
    /// The peer's kinds, in its order, and where they are here.
    kinds: Vec<(KindName, KindIndex)>,
    /// Commands that were heard and not delivered yet.
    batch: Batch,
}

#[derive(Default)]
struct State {
    /// In which term and generation a stream found no room.
    held_back: BTreeMap<(StreamId, ShardId), (Term, u64)>,
    /// Answers that the lane had no room for, in order.
    overflow: VecDeque<Vec<u8>>,
    overflow_bytes: usize,
    /// Ends the bridge of a subscription when it is dropped.
    subscriptions: BTreeMap<Ticket, oneshot::Sender<()>>,
    /// Whether the peer must be told of all shards again, because some news did not fit.
    owes_news: bool,
}

/// The peer said something that cannot be understood. The lane must be closed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It is no frame.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// It names a kind or a key that it may not name.
    #[error("the peer names {0}, which it did not introduce")]
    Unknown(String),
    /// It names a shard that no cluster of ours has.
    #[error("the peer names the shard {shard}, and there are {shards}")]
    NoSuchShard {
        /// Which.
        shard: u16,
        /// How many there are.
        shards: u16,
    },
    /// More streams are held back than fit.
    #[error("more than {HELD_BACK_MAX} streams of this peer are held back")]
    HeldBack,
}

impl Serving {
    /// Begins to answer over `carrier`, and tells which shards are executed here.
    pub fn open(
        carrier: Arc<dyn Carrier>,
        executors: Arc<dyn Executors>,
        registry: Arc<KindRegistry>,
        environment: Environment,
    ) -> Self {
        let (hearing, state, shards) = (Mutex::default(), Mutex::default(), executors.shards());
        let shared = Shared { carrier, executors, shards, registry, environment, hearing, state };
        let serving = Self { shared: Arc::new(shared) };
        serving.tell_all();
        serving
    }

    /// Whether both are the same lane.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Tells the peer that a shard is executed here from now on, or no longer.
    pub fn tell(&self, shard: ShardId, term: Option<Term>) {
        if let Some(term) = term {
            // What is for an older leadership is refused anyway.
            self.shared.state.lock().held_back.retain(|(_, at), (held, _)| *at != shard || *held >= term);
        }
        let lead = Answer::Lead { shard: shard.0, term: term.map(|term| term.0) };
        if push(&*self.shared.carrier, &lead).is_err() {
            self.shared.state.lock().owes_news = true;
        }
    }

    /// Tells what could not be told before. Call it often.
    pub fn catch_up(&self) {
        if std::mem::take(&mut self.shared.state.lock().owes_news) {
            self.tell_all();
        }
    }

    fn tell_all(&self) {
        let led = self.shared.executors.led().into_iter().map(|(shard, term)| (shard.0, term.0));
        if push(&*self.shared.carrier, &Answer::Leads(led.collect())).is_err() {
            self.shared.state.lock().owes_news = true;
        }
    }

    /// The lane broke.
    pub fn close(&self) {
        self.shared.state.lock().subscriptions.clear();
    }

    /// Hears frames, in their order. Commands are delivered together, for one lock of each mailbox.
    ///
    /// # Errors
    ///
    /// [`ServeError`]: the lane must be closed.
    pub fn hear_all<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> Result<(), ServeError> {
        let mut hearing = self.shared.hearing.lock();
        let mut now = None;
        let mut frames = frames.into_iter();
        let heard = frames.try_for_each(|frame| self.question(&mut hearing, codec::decode(frame)?, &mut now));
        // Those before a bad frame are good; and what stayed here would hold on to this lane for ever.
        let delivered = self.deliver_all(&mut hearing.batch);
        heard.and(delivered)
    }

    fn question(
        &self,
        hearing: &mut Hearing,
        question: Question<'_>,
        now: &mut Option<Instant>,
    ) -> Result<(), ServeError> {
        if !matches!(question, Question::Command(_)) {
            // It must not pass the commands before it.
            self.deliver_all(&mut hearing.batch)?;
        }
        match question {
            Question::Command(command) => self.command(hearing, command, now)?,
            Question::Kinds(names) => hearing.kinds = self.introduced(&names)?,
            Question::View { ticket, shard, kind, key } => {
                let (kind, key) = (read_kind(kind)?, read_key(key)?);
                let view = |reply| Message::View { kind, key, reply };
                self.ask(ticket, shard, view, |ticket, view| Answer::View { ticket, view });
            }
            Question::List { ticket, shard, kind, prefix, after, limit } => {
                let (kind, prefix, limit) = (read_kind(kind)?, prefix.to_owned(), limit as usize);
                let list = |reply| Message::List { kind, prefix, after, limit, reply };
                self.ask(ticket, shard, list, |ticket, page| Answer::Page { ticket, page });
            }
            Question::DeadLetters { ticket, shard, limit } => {
                let read = |reply| Message::DeadLetters { limit: limit as usize, reply };
                self.ask(ticket, shard, read, |ticket, letters| Answer::DeadLetters { ticket, letters });
            }
            Question::Subscribe { ticket, shard, kind, key, after } => {
                self.subscribe(ticket, ShardId(shard), read_kind(kind)?, read_key(key)?, after);
            }
            Question::Unsubscribe { ticket } => drop(self.shared.state.lock().subscriptions.remove(&ticket)),
        }
        Ok(())
    }

    fn introduced(&self, names: &[&str]) -> Result<Vec<(KindName, KindIndex)>, ServeError> {
        names.iter().map(|name| Ok(self.find(read_kind(name)?))).collect()
    }

    fn find(&self, name: KindName) -> (KindName, KindIndex) {
        let kind = self.shared.registry.find(&name).unwrap_or(KindIndex::UNKNOWN);
        (name, kind)
    }

    /// The kind in our registry, and its name if we have it not: only the executor may refuse it. `name` came with the
    /// command, from a peer that has it not.
    fn kind(
        &self,
        hearing: &Hearing,
        number: u16,
        name: Option<String>,
    ) -> Result<(KindIndex, Option<KindName>), ServeError> {
        let (name, kind) = match (hearing.kinds.get(usize::from(number)), name) {
            (Some((_, kind)), _) if kind.is_known() => return Ok((*kind, None)),
            (Some(introduced), _) => introduced.clone(),
            (None, Some(name)) => self.find(read_kind(&name)?),
            (None, None) => return Err(ServeError::Unknown(format!("kind {number}"))),
        };
        Ok((kind, (!kind.is_known()).then_some(name)))
    }

    fn command(
        &self,
        hearing: &mut Hearing,
        mut command: Command<'_>,
        now: &mut Option<Instant>,
    ) -> Result<(), ServeError> {
        let key = read_key(command.key)?;
        let name = command.more.as_mut().and_then(|more| more.kind.take());
        let (kind, name) = self.kind(hearing, command.kind, name)?;
        let to = (self.shard(command.shard)?, Term(command.term));
        if hearing.batch.is_of_another_term(to) {
            self.deliver_all(&mut hearing.batch)?;
        }
        let mut now = || *now.get_or_insert_with(|| self.shared.environment.now());
        let mut more = command.more.and_then(|more| more.into_more(now()));
        if name.is_some() {
            more.get_or_insert_default().kind = name;
        }
        let envelope = Envelope {
            kind,
            key,
            body: Payload::copy(command.content, command.body.0),
            reply: self.reply_to(command.ticket),
            position: command.position.map(|position| Box::new(position.position())),
            deadline: command.time_left.map(|left| now() + left),
            more: more.map(Box::new),
        };
        hearing.batch.add(to, Message::Command(envelope));
        Ok(())
    }

    /// What is heard is kept by shard, so this bounds how much.
    fn shard(&self, shard: u16) -> Result<ShardId, ServeError> {
        let shards = self.shared.shards;
        if shard < shards { Ok(ShardId(shard)) } else { Err(ServeError::NoSuchShard { shard, shards }) }
    }

    fn deliver_all(&self, batch: &mut Batch) -> Result<(), ServeError> {
        batch.take_each(|to, messages| self.deliver(to, messages))
    }

    /// Gives commands for one term of a shard to its executor, in their order.
    fn deliver(&self, to: (ShardId, Term), messages: &mut Vec<Message>) -> Result<(), ServeError> {
        self.refuse_held_back(to, messages);
        let executor = self.shared.executors.executor(to.0);
        if executor.as_ref().is_none_or(|(term, _)| *term != to.1) {
            // Without a place in a stream there is nothing that a message could overtake, in whatever term.
            let all = std::mem::take(messages).into_iter();
            let (placed, free) = all.partition(|message| position_of(message).is_some());
            self.refuse_all(to, placed)?;
            *messages = free;
        }
        let Some((_, mailbox)) = executor else { return self.refuse_all(to, std::mem::take(messages)) };
        match mailbox.push_all(messages) {
            Ok(()) => Ok(()),
            Err(NotAll::Closed) => self.refuse_all(to, std::mem::take(messages)),
            Err(NotAll::Full) => self.deliver_each(to, std::mem::take(messages), &mailbox),
        }
    }

    /// Behind one that found no room another may find some, if it is smaller and need not stay behind it. It must not show
    /// which of them were read together.
    fn deliver_each(
        &self,
        to: (ShardId, Term),
        messages: Vec<Message>,
        mailbox: &Mailbox,
    ) -> Result<(), ServeError> {
        for message in messages {
            if position_of(&message).is_some_and(|at| self.shared.state.lock().is_held_back(to, at)) {
                self.find_no_room(to, message, mailbox)?;
                continue;
            }
            match mailbox.push(message) {
                Ok(()) => {}
                Err(MailboxError::Full(message)) => self.find_no_room(to, message, mailbox)?,
                Err(MailboxError::Closed(message)) => self.refuse_all(to, vec![message])?,
            }
        }
        Ok(())
    }

    /// They are for a leadership that is not here.
    fn refuse_all(&self, to: (ShardId, Term), messages: Vec<Message>) -> Result<(), ServeError> {
        for message in messages {
            self.hold_back(to, position_of(&message))?;
            if let Message::Command(envelope) = message {
                if matches!(envelope.reply, ReplyTo::Nobody) {
                    tracing::debug!(shard = to.0.0, key = %envelope.key, "a command that nobody waits for met a shard that moves");
                }
                envelope.reply.moved(CallError::NotCommitted);
            }
        }
        Ok(())
    }

    fn find_no_room(
        &self,
        to: (ShardId, Term),
        message: Message,
        mailbox: &Mailbox,
    ) -> Result<(), ServeError> {
        self.hold_back(to, position_of(&message))?;
        match message {
            // Its sender has forgotten it, so it must be found here.
            Message::Command(envelope) if matches!(envelope.reply, ReplyTo::Nobody) => {
                if let Err(envelope) = mailbox.lose(envelope) {
                    self.refuse_all(to, vec![Message::Command(envelope)])?;
                }
            }
            Message::Command(envelope) => envelope.reply.busy(),
            other => debug_assert!(false, "only commands are delivered together: {}", other.bytes()),
        }
        Ok(())
    }

    /// Refuses those that must not pass one before them that found no room.
    fn refuse_held_back(&self, to: (ShardId, Term), messages: &mut Vec<Message>) {
        let mut state = self.shared.state.lock();
        if state.held_back.is_empty() {
            return;
        }
        let is_held_back =
            |message: &Message| position_of(message).is_some_and(|at| state.is_held_back(to, at));
        let (held_back, free): (Vec<_>, Vec<_>) =
            std::mem::take(messages).into_iter().partition(is_held_back);
        drop(state);
        *messages = free;
        for message in held_back {
            if let Message::Command(envelope) = message {
                envelope.reply.busy();
            }
        }
    }

    /// From here on nothing of this generation of the stream is taken: what is behind a message must not pass it.
    fn hold_back(&self, to: (ShardId, Term), position: Option<&Position>) -> Result<(), ServeError> {
        let Some(position) = position else { return Ok(()) };
        let mut state = self.shared.state.lock();
        let at = (position.stream, to.0);
        if state.held_back.len() >= HELD_BACK_MAX && !state.held_back.contains_key(&at) {
            return Err(ServeError::HeldBack);
        }
        state.held_back.insert(at, (to.1, position.generation));
        Ok(())
    }

    fn reply_to(&self, ticket: Ticket) -> ReplyTo {
        if ticket == 0 {
            return ReplyTo::Nobody;
        }
        let mut owed = Owed { serving: self.clone(), ticket, is_paid: false };
        ReplyTo::Stream(Box::new(move |answer| owed.pay(answer)))
    }

    fn ask<T: Send + 'static>(
        &self,
        ticket: Ticket,
        shard: u16,
        message: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Message,
        answer: impl FnOnce(Ticket, T) -> Answer<'static> + Send + 'static,
    ) {
        let (reply, outcome) = oneshot::channel();
        self.give(ShardId(shard), message(reply));
        let serving = self.clone();
        self.shared.environment.spawn(async move {
            let answer = match outcome.await {
                Ok(Ok(value)) => answer(ticket, value),
                Ok(Err(known @ (CallError::NotCommitted | CallError::OutcomeUnknown))) => {
                    Answer::Moved { ticket, known }
                }
                Ok(Err(error)) => Answer::Failed { ticket, error },
                Err(_) => Answer::Moved { ticket, known: CallError::OutcomeUnknown },
            };
            serving.answer(&answer);
        });
    }

    /// Gives a message without a position to the executor. One that is not taken is dropped, which says enough.
    fn give(&self, shard: ShardId, message: Message) {
        let Some((_, mailbox)) = self.shared.executors.executor(shard) else { return };
        match mailbox.push(message) {
            Ok(()) => {}
            Err(MailboxError::Full(message)) => {
                message
                    .refuse(CallError::Overloaded { what: "the mailbox of this shard is full".to_owned() });
            }
            Err(MailboxError::Closed(message)) => message.refuse(CallError::NotCommitted),
        }
    }

    fn subscribe(&self, ticket: Ticket, shard: ShardId, kind: KindName, key: Key, after: Option<u64>) {
        let (subscriber, items) = mpsc::channel(ITEMS_MAX);
        let (reply, outcome) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        self.shared.state.lock().subscriptions.insert(ticket, end);
        self.give(shard, Message::Subscribe { kind, key, after, subscriber, reply });
        let serving = self.clone();
        self.shared.environment.spawn(async move {
            let bridge = serving.bridge(ticket, outcome, items);
            tokio::select! {
                biased;
                _ = ended => {}
                () = bridge => {}
            }
            serving.shared.state.lock().subscriptions.remove(&ticket);
        });
    }

    /// Carries items to a subscriber at the peer. While the lane is full they wait, until the executor drops us.
    async fn bridge(
        &self,
        ticket: Ticket,
        outcome: oneshot::Receiver<Result<u64, CallError>>,
        mut items: mpsc::Receiver<Published>,
    ) {
        match outcome.await {
            Ok(Ok(after)) => self.push_at_last(&Answer::Subscribed { ticket, after }).await,
            Ok(Err(error)) if !is_about_leadership(&error) => {
                return self.push_at_last(&Answer::Failed { ticket, error }).await;
            }
            _ => {
                let known = CallError::NotCommitted;
                return self.push_at_last(&Answer::Moved { ticket, known }).await;
            }
        }
        while let Some(published) = items.recv().await {
            self.push_at_last(&Answer::Item { ticket, published }).await;
        }
        self.push_at_last(&Answer::Ended { ticket }).await;
    }

    async fn push_at_last(&self, answer: &Answer<'_>) {
        while push(&*self.shared.carrier, answer) == Err(CarrierError::Full) {
            tokio::time::sleep(FULL_AGAIN).await;
        }
    }

    /// Sends an answer; those that the lane has no room for wait here, in order. If the lane broke, the peer knows what
    /// that means.
    fn answer(&self, answer: &Answer<'_>) {
        let mut state = self.shared.state.lock();
        if state.overflow.is_empty() {
            match push(&*self.shared.carrier, answer) {
                Ok(()) | Err(CarrierError::Closed) => return,
                Err(CarrierError::TooLarge) => {
                    let Some(ticket) = answer.ticket() else { return };
                    drop(state);
                    return self.answer(&Answer::Failed { ticket, error: too_large(answer) });
                }
                Err(CarrierError::Full) => {}
            }
        }
        let frame = encoded(answer);
        state.overflow_bytes += frame.len();
        state.overflow.push_back(frame);
        let is_first = state.overflow.len() == 1;
        if state.overflow_bytes > OVERFLOW_BYTES_MAX {
            state.overflow.clear();
            state.overflow_bytes = 0;
            drop(state);
            self.shared.carrier.close("the peer does not read its answers");
        } else if is_first {
            drop(state);
            let serving = self.clone();
            self.shared.environment.spawn(async move {
                while !serving.drain_overflow() {
                    tokio::time::sleep(FULL_AGAIN).await;
                }
            });
        }
    }

    /// Sends what waits. `true` when nothing does any more.
    fn drain_overflow(&self) -> bool {
        let mut state = self.shared.state.lock();
        while let Some(frame) = state.overflow.front() {
            match self.shared.carrier.push(&mut |buffer| buffer.extend_from_slice(frame)) {
                Err(CarrierError::Full) => return false,
                Ok(()) | Err(CarrierError::Closed | CarrierError::TooLarge) => {
                    let bytes = frame.len();
                    state.overflow.pop_front();
                    state.overflow_bytes -= bytes;
                }
            }
        }
        true
    }
}

impl State {
    /// Whether an earlier message of the stream found no room. A later generation of it is taken again.
    fn is_held_back(&mut self, to: (ShardId, Term), position: &Position) -> bool {
        let at = (position.stream, to.0);
        match self.held_back.get(&at) {
            Some((term, generation)) if to.1 <= *term && position.generation <= *generation => true,
            Some(_) => {
                self.held_back.remove(&at);
                false
            }
            None => false,
        }
    }
}

fn too_large(answer: &Answer<'_>) -> CallError {
    let bytes = encoded(answer).len() as u64;
    CallError::TooLarge { what: "the answer of the leader".to_owned(), bytes, bytes_max: bytes - 1 }
}

fn encoded(answer: &Answer<'_>) -> Vec<u8> {
    codec::encode(answer).expect("frames have known lengths")
}

fn is_about_leadership(error: &CallError) -> bool {
    matches!(error, CallError::NotCommitted | CallError::OutcomeUnknown)
}

fn position_of(message: &Message) -> Option<&Position> {
    match message {
        Message::Command(envelope) => envelope.position.as_deref(),
        _ => None,
    }
}

fn read_kind(kind: &str) -> Result<KindName, ServeError> {
    KindName::new(kind).map_err(|error| ServeError::Unknown(format!("a kind that is none ({error})")))
}

fn read_key(key: &str) -> Result<Key, ServeError> {
    Key::new(key).map_err(|error| ServeError::Unknown(format!("a key that is none ({error})")))
}

/// An answer that the peer waits for. Dropping it unpaid means that its executor is gone.
struct Owed {
    serving: Serving,
    ticket: Ticket,
    is_paid: bool,
}

impl Owed {
    fn pay(&mut self, answer: shard::Answer) {
        self.is_paid = true;
        let ticket = self.ticket;
        match answer {
            shard::Answer::Outcome(Ok(reply)) => self.serving.answer(&Answer::reply(ticket, &reply)),
            shard::Answer::Outcome(Err(error)) => self.serving.answer(&Answer::Failed { ticket, error }),
            shard::Answer::Moved(known) => self.serving.answer(&Answer::Moved { ticket, known }),
            shard::Answer::Busy => self.serving.answer(&Answer::Busy { ticket }),
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.is_paid {
            self.pay(shard::Answer::Moved(CallError::OutcomeUnknown));
        }
    }
}
