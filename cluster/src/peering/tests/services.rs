//! What nodes of tests answer, and what they note.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::super::{Peer, Service, ServiceId, Session, ShardFrames};

/// Answers with the request.
pub const ECHO: ServiceId = ServiceId(10);
/// Notes the request; answers with nothing.
pub const NOTE: ServiceId = ServiceId(11);
/// Never answers.
pub const SILENT: ServiceId = ServiceId(12);
/// Answers with as many bytes as the request says.
pub const LONG: ServiceId = ServiceId(13);

pub type Arrived = Mutex<Vec<Bytes>>;
type Answer = BoxFuture<'static, Result<Bytes, String>>;

struct Each<F>(F);

impl<F: Fn(Bytes) -> Answer + Send + Sync + 'static> Service for Each<F> {
    fn receive(&self, _: &Arc<Peer>, request: Bytes) -> Answer {
        (self.0)(request)
    }
}

pub fn services(arrived: &Arc<Arrived>) -> BTreeMap<ServiceId, Arc<dyn Service>> {
    let arrived = Arc::clone(arrived);
    let note = move |request| {
        arrived.lock().push(request);
        Box::pin(async { Ok(Bytes::new()) }) as Answer
    };
    let long = |request: Bytes| {
        let length = std::str::from_utf8(&request).unwrap().parse().unwrap();
        Box::pin(async move { Ok(vec![7_u8; length].into()) }) as Answer
    };
    BTreeMap::from([
        (ECHO, Arc::new(Each(|request| Box::pin(async { Ok(request) }) as Answer)) as Arc<dyn Service>),
        (NOTE, Arc::new(Each(note))),
        (SILENT, Arc::new(Each(|_| Box::pin(std::future::pending()) as Answer))),
        (LONG, Arc::new(Each(long))),
    ])
}

/// What the shard lanes told.
#[derive(Default)]
pub struct Pushed {
    pub opened: Mutex<Vec<Arc<Session>>>,
    pub frames: Mutex<Vec<Vec<u8>>>,
    pub batches: Mutex<Vec<usize>>,
    pub closed: Mutex<Vec<u64>>,
}

impl ShardFrames for Pushed {
    fn opened(&self, session: &Arc<Session>) {
        self.opened.lock().push(Arc::clone(session));
    }

    fn frames(&self, session: &Arc<Session>, frames: &mut dyn Iterator<Item = &[u8]>) {
        assert!(self.opened.lock().iter().any(|opened| opened.id() == session.id()));
        assert!(!self.closed.lock().contains(&session.id()));
        let mut all = self.frames.lock();
        let before = all.len();
        all.extend(frames.map(<[u8]>::to_vec));
        self.batches.lock().push(all.len() - before);
    }

    fn closed(&self, session: &Arc<Session>) {
        self.closed.lock().push(session.id());
    }
}
