//! A reply that may come later.

use std::{cell::RefCell, marker::PhantomData};

use tokio::sync::oneshot;

use crate::{
    entity::Entity,
    protocol::{CallError, Reply, codec},
};

/// The reply to [`Stage::send`](super::Stage::send), once it leaves the output gate.
pub struct Promise<E: Entity> {
    state: RefCell<State>,
    kind: PhantomData<fn() -> E>,
}

enum State {
    Waiting(oneshot::Receiver<Result<Reply, CallError>>),
    Known(Result<Reply, CallError>),
}

impl<E: Entity> Promise<E> {
    pub(super) fn new(receiver: oneshot::Receiver<Result<Reply, CallError>>) -> Self {
        Self { state: RefCell::new(State::Waiting(receiver)), kind: PhantomData }
    }

    /// The reply, or why there is none; `None` while it waits for a commit.
    ///
    /// # Panics
    ///
    /// When the reply does not decode as the kind's reply type.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<E::Reply, CallError>> {
        let mut state = self.state.borrow_mut();
        if let State::Waiting(receiver) = &mut *state {
            *state = State::Known(receiver.try_recv().ok()?);
        }
        let State::Known(outcome) = &*state else { return None };
        Some(outcome.as_ref().map_err(CallError::clone).map(decode::<E>))
    }
}

fn decode<E: Entity>(reply: &Reply) -> E::Reply {
    codec::decode(&reply.body).unwrap_or_else(|error| panic!("the reply of {}: {error}", E::KIND))
}
