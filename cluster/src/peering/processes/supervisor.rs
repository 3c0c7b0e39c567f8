//! Stands where `ractor_cluster` has its node server: starts a session on each lane, answers what sessions ask, and sees
//! them end. The only file that names `ractor_cluster`.
//!
//! Its own node server always listens on a TCP port, and lets sessions of the same name compete, so that half of the peers
//! that come back lose against what is left of their last connection. Here the link has decided already who is there, with one
//! lane for each peer: every session continues.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, NetworkStream, NodeServerMessage, NodeSession,
    node::{NodeConnectionMode, SessionCheckReply},
};

use super::{
    Only, StartError,
    config::FRAME_BYTES_MAX,
    lanes::{Lanes, Start},
    pipe::{End, Pipe},
};
use crate::peering::{Cookie, Session};

/// The version of the protocol of `ractor_cluster`.
const VERSION: u32 = 1;

/// A handle.
#[derive(Clone)]
pub(super) struct Supervisor(ActorRef<NodeServerMessage>);

impl Supervisor {
    /// `name` are the two halves of the name of this start of the node. `only` is given back when it has ended.
    pub(super) async fn start(
        name: (String, String),
        lanes: &Arc<Lanes>,
        only: Only,
    ) -> Result<Self, StartError> {
        let sessions = Sessions { name, lanes: Arc::clone(lanes) };
        // Without a name: the registry is process-wide.
        let (actor, _) = Actor::spawn(None, sessions, only).await.map_err(StartError::Supervisor)?;
        Ok(Self(actor))
    }

    /// Starts a session on a lane.
    pub(super) fn open(&self, pipe: Arc<Pipe>, session: &Session) {
        let stream = Box::new(Stream { pipe, lane: session.id() });
        let is_server = !session.is_dialer();
        if self.0.cast(NodeServerMessage::ConnectionOpenedExternal { stream, is_server }).is_err() {
            session.close("the supervisor of remote processes has ended");
        }
    }

    /// As [`stop`](Self::stop), for who cannot wait.
    pub(super) fn end(&self) {
        self.0.stop(None);
    }

    /// Ends all sessions with their mirrors, and itself. What takes longer ends later.
    pub(super) async fn stop(&self, within: Duration) {
        // An error means that it has ended already, or will when its sessions have.
        let _ = self.0.stop_and_wait(None, Some(within)).await;
    }
}

/// The actor.
struct Sessions {
    name: (String, String),
    lanes: Arc<Lanes>,
}

/// The right to be the only one falls with the actor, not with the handles to it: until then mirrors may be there.
impl Actor for Sessions {
    type Msg = NodeServerMessage;
    type State = Option<Only>;
    type Arguments = Only;

    async fn pre_start(
        &self,
        _: ActorRef<NodeServerMessage>,
        only: Only,
    ) -> Result<Option<Only>, ActorProcessingErr> {
        Ok(Some(only))
    }

    /// Mirrors of the next one may have the same numbers as these.
    async fn post_stop(
        &self,
        myself: ActorRef<NodeServerMessage>,
        only: &mut Option<Only>,
    ) -> Result<(), ActorProcessingErr> {
        let sessions = myself.get_children();
        let mirrors: Vec<_> = sessions.iter().flat_map(|session| session.get_children()).collect();
        myself.stop_children_and_wait(None, None).await;
        for mirror in mirrors {
            // It is not an error to wait without a deadline.
            let _ = mirror.wait(None).await;
        }
        only.take();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<NodeServerMessage>,
        message: NodeServerMessage,
        _: &mut Option<Only>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeServerMessage::ConnectionOpenedExternal { stream, is_server } => {
                self.open(&myself, stream, is_server).await;
            }
            NodeServerMessage::UpdateSession { actor_id, name } => self.lanes.named(actor_id, &name.name),
            // An error means that who asked has ended.
            NodeServerMessage::CheckSession { reply, .. } => {
                let _ = reply.send(SessionCheckReply::NoOtherConnection);
            }
            NodeServerMessage::ConnectionReady(actor) => self.lanes.ready(actor),
            // Of others we tell nothing: the link finds them.
            NodeServerMessage::GetSessions(reply) => {
                let _ = reply.send(Default::default());
            }
            // Nobody listens, subscribes, or waits for less than readiness.
            NodeServerMessage::ConnectionOpened { .. }
            | NodeServerMessage::ConnectionAuthenticated(_)
            | NodeServerMessage::SubscribeToEvents { .. }
            | NodeServerMessage::UnsubscribeToEvents(_)
            | NodeServerMessage::PortChanged { .. } => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<NodeServerMessage>,
        event: SupervisionEvent,
        _: &mut Option<Only>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(session, _, reason) => {
                self.lanes.ended(session.get_id(), reason.as_deref().unwrap_or("it stopped"));
            }
            SupervisionEvent::ActorFailed(session, error) => {
                self.lanes.ended(session.get_id(), &error.to_string());
            }
            _ => {}
        }
        Ok(())
    }
}

impl Sessions {
    async fn open(
        &self,
        myself: &ActorRef<NodeServerMessage>,
        stream: Box<dyn ClusterBidiStream>,
        is_server: bool,
    ) {
        let label = stream.peer_label().unwrap_or_default();
        let lane: u64 = label.parse().expect("the streams are ours, and their labels are numbers");
        let Some(start) = self.lanes.start(lane) else { return };
        let session = self.session(myself, lane, &start, is_server);
        let (reader, writer) = stream.split();
        let stream = NetworkStream::External {
            peer_label: Some(start.peer.name.clone()),
            local_label: None,
            reader,
            writer,
        };
        match Actor::spawn_linked(None, session, stream, myself.get_cell()).await {
            Ok((actor, _)) => self.lanes.started(lane, actor.get_cell()),
            Err(error) => self.lanes.not_started(lane, &error.to_string()),
        }
    }

    fn session(
        &self,
        myself: &ActorRef<NodeServerMessage>,
        lane: u64,
        start: &Start,
        is_server: bool,
    ) -> NodeSession {
        // The type of a name is private there, but a message holds one.
        let message =
            NodeServerMessage::UpdateSession { actor_id: myself.get_id(), name: Default::default() };
        let NodeServerMessage::UpdateSession { mut name, .. } = message else { unreachable!("see above") };
        let (node, host) = &self.name;
        name.name = format!("{node}@{host}");
        // Two nodes that tell the same one take each other for themselves.
        name.connection_string.clone_from(host);
        name.flags.get_or_insert_default().version = VERSION;
        let (cookie, mode) = (text(&start.secret), NodeConnectionMode::Isolated);
        let session = NodeSession::new(lane, is_server, cookie, myself.clone(), name, mode);
        session.with_max_inbound_frame_size(FRAME_BYTES_MAX as u64)
    }
}

/// `ractor_cluster` wants text.
fn text(secret: &Cookie) -> String {
    secret.key().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A lane, as `ractor_cluster` wants it.
struct Stream {
    pipe: Arc<Pipe>,
    lane: u64,
}

impl ClusterBidiStream for Stream {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        (Box::new(End(Arc::clone(&self.pipe))), Box::new(End(self.pipe)))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.lane.to_string())
    }
}
