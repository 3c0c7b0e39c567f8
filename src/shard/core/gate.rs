//! The output gate: nothing observable leaves before its effects are committed.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    entity::{KindIndex, Spawn},
    protocol::{Body, CallError, EntityId, EntityView, Key, Page, Reply},
    shard::{
        DeadLetter,
        envelope::{Cast, ReplyTo},
        history::{Items, Missed},
        pending::ProposalNumber,
    },
};

/// What leaves the shard.
pub enum Effect {
    /// A reply to a command.
    Reply(ReplyTo, Result<Reply, CallError>),
    /// The view of an entity.
    View(oneshot::Sender<Result<EntityView, CallError>>, Result<EntityView, CallError>),
    /// A page of entities.
    Page(oneshot::Sender<Result<Page, CallError>>, Result<Page, CallError>),
    /// Dead letters.
    DeadLetters(oneshot::Sender<Result<Vec<DeadLetter>, CallError>>, Vec<DeadLetter>),
    /// A cast from the outbox: sent until acknowledged.
    Cast(Cast),
    /// A cast of a `Volatile` entity: sent once.
    CastOnce {
        /// To whom.
        target: EntityId,
        /// The command.
        body: Body,
    },
    /// Work that may start now.
    Spawn {
        /// The kind that gets the result.
        kind: KindIndex,
        /// The entity that gets the result.
        key: Key,
        /// The work.
        spawn: Spawn,
    },
    /// Items for subscribers.
    Publish {
        /// The kind.
        kind: KindIndex,
        /// Which entity.
        key: Key,
        /// The items with their revisions.
        items: Items,
    },
    /// A subscription begins.
    StartSubscription(Box<StartSubscription>),
    /// There is no subscription, and why.
    NoSubscription(oneshot::Sender<Result<u64, CallError>>, CallError),
    /// A dead letter to an entity of this kind is kept: it counts.
    Buried(KindIndex),
}

/// A subscription that begins.
pub struct StartSubscription {
    pub(in crate::shard) kind: KindIndex,
    pub(in crate::shard) key: Key,
    pub(in crate::shard) number: u64,
    pub(in crate::shard) missed: Missed,
    pub(in crate::shard) reply: oneshot::Sender<Result<u64, CallError>>,
}

/// What an effect takes while it waits, beside what it carries.
const EFFECT_BYTES: usize = 256;

impl Effect {
    /// About how many bytes it takes while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let carried = match self {
            Self::Reply(_, Ok(reply)) => reply.body.len(),
            Self::View(_, Ok(view)) => view.state.len(),
            Self::Page(_, Ok(page)) => {
                page.entities.iter().map(|(key, _)| size_of::<(Key, u64)>() + key.as_str().len()).sum()
            }
            Self::Publish { items, .. } => items.iter().map(|(_, item)| item.len()).sum(),
            Self::DeadLetters(_, letters) => letters.iter().map(|letter| letter.body.bytes.len()).sum(),
            Self::Cast(Cast { body, .. }) | Self::CastOnce { body, .. } => body.bytes.len(),
            Self::Reply(_, Err(_))
            | Self::View(_, Err(_))
            | Self::Page(_, Err(_))
            | Self::Spawn { .. }
            | Self::StartSubscription(_)
            | Self::NoSubscription(..)
            | Self::Buried(_) => 0,
        };
        EFFECT_BYTES + carried
    }

    /// Tells whoever waits that the effect will not leave.
    pub fn refuse(self, error: CallError) {
        match self {
            Self::Reply(reply, _) => reply.moved(error),
            Self::View(reply, _) => drop(reply.send(Err(error))),
            Self::Page(reply, _) => drop(reply.send(Err(error))),
            Self::DeadLetters(reply, _) => drop(reply.send(Err(error))),
            Self::StartSubscription(start) => drop(start.reply.send(Err(error))),
            Self::NoSubscription(reply, _) => drop(reply.send(Err(error))),
            Self::Cast(_)
            | Self::CastOnce { .. }
            | Self::Spawn { .. }
            | Self::Publish { .. }
            | Self::Buried(_) => {}
        }
    }
}

/// Effects that wait for proposals, in the order of the proposals.
#[derive(Default)]
pub(super) struct Gate {
    /// Of the open proposal.
    open: Vec<Effect>,
    in_flight: VecDeque<InFlight>,
    /// What saw nothing but committed state, and waits for a barrier.
    reads: Vec<Effect>,
    free: Vec<Effect>,
    /// What all of them take.
    held_bytes: usize,
    committed: ProposalNumber,
    applied: ProposalNumber,
}

struct InFlight {
    number: ProposalNumber,
    keys: Vec<Bytes>,
    effects: Vec<Effect>,
    /// What saw it on its way. Its commit is no proof that this node led when they saw it: what commits it may be an
    /// acknowledgement from before, while another leader has committed more since. So a barrier comes after the commit.
    seen: Vec<Effect>,
}

impl Gate {
    /// An effect of a command in the open proposal.
    pub(super) fn hold(&mut self, effect: Effect) {
        self.held_bytes += effect.bytes();
        self.open.push(effect);
    }

    /// An effect of a `Volatile` entity.
    pub(super) fn pass(&mut self, effect: Effect) {
        self.held_bytes += effect.bytes();
        self.free.push(effect);
    }

    /// A reply that saw the state of proposal `saw` (0: stored); `open` is the number of the open proposal, which is not yet
    /// appended, so that its commit proves what a barrier would.
    pub(super) fn hold_until(&mut self, saw: ProposalNumber, open: ProposalNumber, effect: Effect) {
        if saw >= open {
            return self.hold(effect);
        }
        self.held_bytes += effect.bytes();
        let mut in_flight = self.in_flight.iter_mut().filter(|_| saw > self.committed);
        match in_flight.find(|sealed| sealed.number >= saw) {
            Some(sealed) => sealed.seen.push(effect),
            None => self.reads.push(effect),
        }
    }

    pub(super) fn sealed(&mut self, number: ProposalNumber, keys: Vec<Bytes>) {
        let effects = std::mem::take(&mut self.open);
        self.in_flight.push_back(InFlight { number, keys, effects, seen: Vec::new() });
    }

    /// Effects of all proposals up to `number`: a commit covers everything before it. What saw them becomes a read.
    pub(super) fn committed(&mut self, number: ProposalNumber) -> Vec<Effect> {
        self.committed = self.committed.max(number);
        let mut effects = Vec::new();
        for sealed in self.in_flight.iter_mut().take_while(|sealed| sealed.number <= number) {
            effects.append(&mut sealed.effects);
            self.reads.append(&mut sealed.seen);
        }
        self.leave(effects)
    }

    fn leave(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        self.held_bytes -= effects.iter().map(Effect::bytes).sum::<usize>();
        effects
    }

    /// What waits takes about so many bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The keys of the proposal, once.
    pub(super) fn applied(&mut self, number: ProposalNumber) -> Option<Vec<Bytes>> {
        debug_assert!(
            self.in_flight.front().is_none_or(|first| first.number >= number),
            "proposals of one term are applied in order"
        );
        self.applied = self.applied.max(number);
        self.in_flight.pop_front_if(|first| first.number == number).map(|sealed| sealed.keys)
    }

    /// Whether effects wait for the open proposal, even if it changes nothing that is stored.
    pub(super) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn applied_number(&self) -> ProposalNumber {
        self.applied
    }

    /// Whether a proposal is on its way to its commit.
    pub(super) fn is_awaiting_commit(&self) -> bool {
        self.in_flight.back().is_some_and(|last| last.number > self.committed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What needs a barrier from now on.
    pub(super) fn take_reads(&mut self) -> Vec<Effect> {
        let reads = std::mem::take(&mut self.reads);
        self.leave(reads)
    }

    /// What waits for nothing.
    pub(super) fn take_free(&mut self) -> Vec<Effect> {
        let free = std::mem::take(&mut self.free);
        self.leave(free)
    }

    /// The proposal was refused before it was appended: what waits for it never happened.
    pub(super) fn never_happened(&mut self, number: ProposalNumber) -> Vec<Effect> {
        let sealed = self.in_flight.iter_mut().find(|sealed| sealed.number == number);
        let effects = sealed.map_or_else(Vec::new, InFlight::take);
        self.leave(effects)
    }

    /// Everything that still waits, with what is known of it.
    pub(super) fn end(mut self) -> Vec<(Effect, CallError)> {
        let sealed = self.in_flight.iter_mut().flat_map(InFlight::take);
        let unknown = sealed.map(|effect| (effect, CallError::OutcomeUnknown));
        let never = self.open.into_iter().chain(self.reads).chain(self.free);
        unknown.chain(never.map(|effect| (effect, CallError::NotCommitted))).collect()
    }
}

impl InFlight {
    fn take(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.append(&mut self.seen);
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect() -> (Effect, oneshot::Receiver<Result<Reply, CallError>>) {
        let (reply, outcome) = oneshot::channel();
        let answer = Ok(Reply { body: Bytes::new(), revision: 0 });
        (Effect::Reply(ReplyTo::Caller(reply), answer), outcome)
    }

    #[test]
    fn a_reply_waits_for_the_state_that_it_saw() {
        let mut gate = Gate::default();
        gate.hold(effect().0);
        gate.sealed(1, Vec::new());
        gate.hold(effect().0);
        gate.sealed(2, Vec::new());
        gate.hold_until(1, 3, effect().0); // Saw a proposal on its way.
        gate.hold_until(0, 3, effect().0); // Saw what is stored.
        gate.hold_until(3, 3, effect().0); // Saw the open one.
        assert_eq!(gate.take_reads().len(), 1);
        assert_eq!(gate.committed(1).len(), 1);
        assert_eq!(gate.take_reads().len(), 1, "another leader may have committed more since");
        assert_eq!(gate.committed(2).len(), 1);
        assert!(gate.take_reads().is_empty());
        gate.hold_until(2, 3, effect().0);
        assert_eq!(gate.take_reads().len(), 1, "what is committed needs only a barrier");
        assert_eq!(gate.end().len(), 1);
    }

    #[test]
    fn what_waits_is_weighed_until_it_leaves() {
        let mut gate = Gate::default();
        gate.hold_until(0, 1, effect().0);
        gate.pass(effect().0);
        assert_eq!(gate.held_bytes(), 2 * EFFECT_BYTES);
        gate.take_reads();
        gate.take_free();
        assert_eq!(gate.held_bytes(), 0);
        gate.hold(effect().0);
        gate.sealed(1, Vec::new());
        gate.hold_until(1, 2, effect().0);
        gate.hold(effect().0);
        assert_eq!(gate.held_bytes(), 3 * EFFECT_BYTES);
        gate.committed(1);
        assert_eq!(gate.held_bytes(), 2 * EFFECT_BYTES);
        gate.take_reads();
        assert_eq!(gate.held_bytes(), EFFECT_BYTES);
        gate.sealed(2, Vec::new());
        gate.hold_until(2, 3, effect().0);
        gate.never_happened(2);
        assert_eq!(gate.held_bytes(), 0);
    }
}
