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
            Self::Page(_, Ok(page)) => page.entities.len() * size_of::<(Key, u64)>(),
            Self::DeadLetters(_, letters) => letters.iter().map(|letter| letter.body.bytes.len()).sum(),
            Self::Cast(Cast { body, .. }) | Self::CastOnce { body, .. } => body.bytes.len(),
            Self::Reply(_, Err(_))
            | Self::View(_, Err(_))
            | Self::Page(_, Err(_))
            | Self::Spawn { .. }
            | Self::Publish { .. }
            | Self::StartSubscription(_) => 0,
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
            Self::Cast(_) | Self::CastOnce { .. } | Self::Spawn { .. } | Self::Publish { .. } => {}
        }
    }
}

/// Effects that wait for proposals, in the order of the proposals.
#[derive(Default)]
pub(super) struct Gate {
    /// Of the open proposal.
    open: Vec<Effect>,
    in_flight: VecDeque<InFlight>,
    reads: Vec<Effect>,
    free: Vec<Effect>,
    /// What the effects of proposals take, the open one's included.
    held_bytes: usize,
    committed: ProposalNumber,
    applied: ProposalNumber,
}

struct InFlight {
    number: ProposalNumber,
    keys: Vec<Bytes>,
    effects: Vec<Effect>,
}

impl Gate {
    /// An effect of a command in the open proposal.
    pub(super) fn hold(&mut self, effect: Effect) {
        self.held_bytes += effect.bytes();
        self.open.push(effect);
    }

    /// An effect of a `Volatile` entity.
    pub(super) fn pass(&mut self, effect: Effect) {
        self.free.push(effect);
    }

    /// A reply that saw the state of proposal `saw` (0: stored); `open` is the number of the open proposal.
    pub(super) fn hold_until(&mut self, saw: ProposalNumber, open: ProposalNumber, effect: Effect) {
        if saw >= open {
            return self.hold(effect);
        }
        let mut in_flight = self.in_flight.iter_mut().filter(|_| saw > self.committed);
        match in_flight.find(|sealed| sealed.number >= saw) {
            Some(sealed) => {
                self.held_bytes += effect.bytes();
                sealed.effects.push(effect);
            }
            None => self.reads.push(effect),
        }
    }

    pub(super) fn sealed(&mut self, number: ProposalNumber, keys: Vec<Bytes>) {
        let effects = std::mem::take(&mut self.open);
        self.in_flight.push_back(InFlight { number, keys, effects });
    }

    /// Effects of all proposals up to `number`: a commit covers everything before it.
    pub(super) fn committed(&mut self, number: ProposalNumber) -> Vec<Effect> {
        self.committed = self.committed.max(number);
        let reached = self.in_flight.iter_mut().take_while(|sealed| sealed.number <= number);
        let effects: Vec<_> = reached.flat_map(|sealed| std::mem::take(&mut sealed.effects)).collect();
        self.held_bytes -= effects.iter().map(Effect::bytes).sum::<usize>();
        effects
    }

    /// What waits for commits takes about so many bytes.
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

    pub(super) fn take_reads(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.reads)
    }

    pub(super) fn take_free(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.free)
    }

    /// The proposal was refused before it was appended: what waits for it never happened.
    pub(super) fn never_happened(&mut self, number: ProposalNumber) -> Vec<Effect> {
        let sealed = self.in_flight.iter_mut().find(|sealed| sealed.number == number);
        let effects = sealed.map_or_else(Vec::new, |sealed| std::mem::take(&mut sealed.effects));
        self.held_bytes -= effects.iter().map(Effect::bytes).sum::<usize>();
        effects
    }

    /// Everything that still waits, with what is known of it.
    pub(super) fn end(mut self) -> Vec<(Effect, CallError)> {
        let sealed = self.in_flight.drain(..).flat_map(|sealed| sealed.effects);
        let unknown = sealed.map(|effect| (effect, CallError::OutcomeUnknown));
        let never = self.open.into_iter().chain(self.reads).chain(self.free);
        unknown.chain(never.map(|effect| (effect, CallError::NotCommitted))).collect()
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
        assert_eq!(gate.committed(1).len(), 2);
        assert_eq!(gate.committed(2).len(), 1);
        gate.hold_until(2, 3, effect().0);
        assert_eq!(gate.take_reads().len(), 1, "what is committed needs only a barrier");
        assert_eq!(gate.end().len(), 1);
    }

    #[test]
    fn what_waits_is_weighed_until_it_leaves() {
        let mut gate = Gate::default();
        gate.hold_until(0, 1, effect().0);
        assert_eq!(gate.held_bytes(), 0, "a read of what is stored waits for no proposal");
        gate.hold(effect().0);
        gate.sealed(1, Vec::new());
        gate.hold_until(1, 2, effect().0);
        gate.hold(effect().0);
        assert_eq!(gate.held_bytes(), 3 * EFFECT_BYTES);
        gate.committed(1);
        assert_eq!(gate.held_bytes(), EFFECT_BYTES);
        gate.sealed(2, Vec::new());
        gate.never_happened(2);
        assert_eq!(gate.held_bytes(), 0);
    }
}
