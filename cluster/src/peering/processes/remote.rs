//! A reference to a process of a peer.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use ractor::{ActorCell, ActorId, Message, RpcReplyPort, message::SerializedMessage};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::timeout,
};

use super::{
    CallError, CastError,
    budget::{CHARGE_BYTES, Charge},
    call::{Call, Owed},
    config::MESSAGE_BYTES,
    lanes::Way,
};

/// Whoever waits hears first that it is too late; those in between give up a little later.
const GRACE: Duration = Duration::from_secs(1);
/// What stands in a frame beside the message: tags, lengths, numbers.
const FRAME_HEAD_BYTES_MAX: usize = 96;

/// A reference to a process of a peer that takes messages of type `M`. What waits for the peer is bounded, and a call always
/// ends. It is of use as long as the session of the mirror that it was made of; then look for the process again.
pub struct Remote<M> {
    mirror: ActorCell,
    way: Arc<Way>,
    message: PhantomData<fn(M)>,
}

impl<M: Message> Remote<M> {
    pub(super) fn new(mirror: ActorCell, way: Arc<Way>) -> Self {
        Self { mirror, way, message: PhantomData }
    }

    /// Which process, at which peer.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.mirror.get_id()
    }

    /// The name that it has at home.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.mirror.get_name()
    }

    /// Sends a message that has no answer: at most once, in the order of the casts and calls by this reference and its clones.
    /// `Ok` means that it waits to be sent, nothing more.
    ///
    /// # Errors
    ///
    /// [`CastError`]; the process has not seen the message and never will.
    pub fn cast(&self, message: M) -> Result<(), CastError> {
        let SerializedMessage::Cast { variant, args, metadata: None } = serialized(message)? else {
            return Err(CastError::NotRemotable);
        };
        let bytes = variant.len() + args.len();
        self.send(bytes, |metadata| SerializedMessage::Cast { variant, args, metadata })
    }

    /// Sends the message that `build` makes of a port for the answer, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`CallError`], after `within` at the latest. Unless it is [`CallError::NotSent`] the process may have seen the message.
    pub async fn call<R: Send + 'static>(
        &self,
        build: impl FnOnce(RpcReplyPort<R>) -> M,
        within: Duration,
    ) -> Result<R, CallError> {
        let permit = Arc::clone(self.way.calls()).try_acquire_owned().map_err(|_| CastError::Full)?;
        let (port, answer) = oneshot::channel();
        let lifetime = within.saturating_add(GRACE);
        let mut call = self.send_call(build((port, lifetime).into()), permit, lifetime)?;
        let answered = async {
            call.answered().await;
            answer.await
        };
        match timeout(within, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) if self.way.is_open() => Err(CallError::Gone),
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => Err(CallError::Timeout { within }),
        }
    }

    fn send_call(
        &self,
        message: M,
        permit: OwnedSemaphorePermit,
        lifetime: Duration,
    ) -> Result<Call, CastError> {
        let SerializedMessage::Call { variant, args, reply: port, metadata: None } = serialized(message)?
        else {
            return Err(CastError::NotRemotable);
        };
        // The bytes of the answer pass us, so that we know when they are here.
        let (sender, answer) = oneshot::channel();
        let (bytes, reply) = (variant.len() + args.len(), (sender, lifetime).into());
        self.send(bytes, |metadata| SerializedMessage::Call { variant, args, reply, metadata })?;
        Ok(Call::new(Arc::clone(&self.way), Owed { answer, port, permit, lifetime }))
    }

    fn send(
        &self,
        bytes: usize,
        message: impl FnOnce(Option<Vec<u8>>) -> SerializedMessage,
    ) -> Result<(), CastError> {
        if !self.way.is_open() {
            return Err(CastError::Lost);
        }
        let bytes_max = self.way.frame_bytes_max() - CHARGE_BYTES - FRAME_HEAD_BYTES_MAX;
        if bytes > bytes_max {
            return Err(CastError::TooLarge { bytes, bytes_max });
        }
        let charged = u32::try_from(bytes + MESSAGE_BYTES).map_err(|_| CastError::Full)?;
        let charge = Charge { process: self.mirror.get_id().pid(), bytes: charged };
        if !self.way.waiting().charge(&self.mirror, charge) {
            return Err(CastError::Full);
        }
        self.mirror.send_serialized(message(Some(charge.encode()))).map_err(|_| {
            self.way.released(charge);
            if self.way.is_open() { CastError::Gone } else { CastError::Lost }
        })
    }
}

impl<M> Clone for Remote<M> {
    fn clone(&self) -> Self {
        Self { mirror: self.mirror.clone(), way: Arc::clone(&self.way), message: PhantomData }
    }
}

impl<M> fmt::Debug for Remote<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Remote").field(&self.mirror.get_id()).finish()
    }
}

fn serialized<M: Message>(message: M) -> Result<SerializedMessage, CastError> {
    message.serialize().map_err(|_| CastError::NotRemotable)
}
