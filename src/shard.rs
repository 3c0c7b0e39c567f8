//! The executor of one led shard, with its output gate.
//!
//! Comes in: messages in a bounded [`Mailbox`], news of commits. Leaves: one proposal per batch, and, after its
//! commit, replies, casts, timers and items for subscribers.
//!
//! * **An executor belongs to one term** and is dropped with all its state when the term ends.
//! * **Nothing observable leaves before its effects are committed.** Later messages may already run on state that
//!   is not committed yet; a reply that saw such state waits for it.
//! * The core decides and holds no clock, task or socket; the driver around it acts.

mod budget;
mod core;
mod driver;
mod envelope;
mod handover;
mod history;
mod idempotency;
mod keys;
mod lost;
mod mailbox;
mod meter;
mod outbox;
mod pending;
mod records;
mod restored;
mod statistics;
mod streams;
mod timers;

pub use self::budget::ResidentBudget;
pub use self::core::{Config, Core, Counted, Effect, Proposal};
pub use driver::{Executor, Outgoing, ShardServices, run};
pub use envelope::{
    Answer, Cast, CastOutcome, Envelope, Message, More, Position, ReplyTo, StreamId, Subscriber,
};
pub use handover::Handover;
pub use lost::{Lost, LostCommand};
pub use mailbox::{Mailbox, MailboxConfig, MailboxError, NotAll};
pub use records::DeadLetter;
pub use restored::{Reconciliation, clock_of, numbers_after_loss, numbers_key};
pub use statistics::ShardStatistics;
pub use timers::SetTimer;
