//! The processes that peers of tests run.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_cluster::{RactorClusterMessage, RactorMessage};

/// What a remotable process takes.
#[derive(RactorClusterMessage)]
pub enum Ask {
    /// Counted.
    Note(Vec<u8>),
    /// Answered with the text.
    #[rpc]
    Echo(String, RpcReplyPort<String>),
    /// Answered with as many bytes.
    #[rpc]
    Long(u64, RpcReplyPort<Vec<u8>>),
    /// Counted. The port for the answer is dropped.
    #[rpc]
    Silent(RpcReplyPort<String>),
    /// Answered with the number of notes.
    #[rpc]
    Count(RpcReplyPort<u64>),
}

/// Remotable because its messages are.
pub struct Echo;

impl Actor for Echo {
    type Msg = Ask;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ask>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Ask>, ask: Ask, notes: &mut u64) -> Result<(), ActorProcessingErr> {
        match ask {
            Ask::Note(_) => *notes += 1,
            Ask::Echo(text, port) => port.send(text)?,
            Ask::Long(bytes, port) => port.send(vec![7; usize::try_from(bytes)?])?,
            Ask::Silent(port) => {
                *notes += 1;
                drop(port);
            }
            Ask::Count(port) => port.send(*notes)?,
        }
        Ok(())
    }
}

/// What an ordinary process takes: it says nothing of bytes.
#[derive(RactorMessage)]
pub enum Plain {
    /// Nothing.
    #[allow(dead_code)] // Nobody sends it.
    Nothing,
}

/// Not asked to be remotable.
pub struct Ordinary;

impl Actor for Ordinary {
    type Msg = Plain;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Plain>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// Not asked to be remotable either, but its messages are bytes already.
pub struct Text;

impl Actor for Text {
    type Msg = String;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<String>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
