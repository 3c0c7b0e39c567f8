//! The copies that are open on this node.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use playhouse_cluster::{
    consensus::{Group, GroupId, Leadership, OpenError, PointInTime, RaftGroup, RaftId},
    environment::Environment,
    store::StoreError,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    CopyError, CopyHead, CopyId,
    service::{Ask, Told},
};
use crate::{backup::Part, node::cluster::shards::Groups};

/// How many backups find room on a node, which has one copy of each shard of the cluster open for each of them; whichever
/// shards the node leads, and whichever the copies are of. One may follow another that was interrupted. A copy keeps what its
/// shard has replaced since.
const BACKUPS_MAX: usize = 2;
/// How long a majority may take to confirm the leader. With [`APPLIED_WITHIN`] it is less than whoever asks waits.
const BARRIER_WITHIN: Duration = Duration::from_secs(9);
/// How long what is committed may take to be applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(9);
/// How long a copy may be left alone; it ends before twice as long.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How much a part holds, unless one pair is larger.
const PART_BYTES_MAX: usize = 1 << 20;
/// How many pairs a part has.
const PART_PAIRS_MAX: usize = 4096;

/// Opens copies of the shards that this node leads. A cheap handle.
#[derive(Clone)]
pub(in crate::node) struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    own: RaftId,
    groups: Groups,
    environment: Environment,
    open: Mutex<Open>,
    open_max: usize,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Open {
    copies: BTreeMap<u64, Copy>,
    /// No other one is opened: the node is over.
    is_closed: bool,
}

struct Copy {
    shard: u32,
    state: Arc<PointInTime>,
    used: Instant,
    _room: OwnedSemaphorePermit,
}

impl Desk {
    pub(in crate::node) fn new(own: RaftId, shards: u32, groups: Groups, environment: Environment) -> Self {
        let open_max = shards as usize * BACKUPS_MAX;
        let room = Arc::new(Semaphore::new(open_max));
        Self { inner: Arc::new(Inner { own, groups, environment, open: Mutex::default(), open_max, room }) }
    }

    /// The node is over: copies hold its store.
    pub(in crate::node) fn clear(&self) {
        let closed = Open { is_closed: true, ..Open::default() };
        let open = std::mem::replace(&mut *self.inner.open.lock(), closed);
        drop(open);
    }

    pub(super) async fn answer(&self, ask: Ask) -> Result<Told, CopyError> {
        match ask {
            Ask::Open { shard } => self.open(shard).await,
            Ask::Read { number, after } => self.read(number, after.as_ref()).map(Told::Part),
            Ask::Close { number } => {
                let closed = self.inner.open.lock().copies.remove(&number);
                drop(closed);
                Ok(Told::Closed)
            }
            Ask::Keep { numbers } => {
                self.touch(&numbers);
                Ok(Told::Kept)
            }
        }
    }

    async fn open(&self, shard: u32) -> Result<Told, CopyError> {
        let Some(group) = self.inner.groups.get(GroupId(shard)) else {
            return Ok(Told::NotLeader { leader: None });
        };
        let leadership = *group.leadership().borrow();
        let term = match leadership {
            Leadership::Leader { term } => term,
            Leadership::Follower { leader } => return Ok(Told::NotLeader { leader }),
            Leadership::Stopped => return Ok(Told::NotLeader { leader: None }),
        };
        let barrier = tokio::time::timeout(BARRIER_WITHIN, group.read_barrier(term)).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return Ok(Told::NotLeader { leader: None });
        }
        // Behind the barrier the log has everything that anybody was told of before; now the state has it, too.
        if !group.caught_up(APPLIED_WITHIN).await {
            return Err(self.behind(shard));
        }
        self.keep(shard, &group).map(Told::Opened)
    }

    fn keep(&self, shard: u32, group: &RaftGroup) -> Result<CopyHead, CopyError> {
        let room = Arc::clone(&self.inner.room).try_acquire_owned();
        let room = room.map_err(|_| CopyError::Full { open: self.inner.open_max })?;
        let state = group.point_in_time().map_err(|error| self.not_taken(shard, &error))?;
        let number = self.inner.environment.random_u64();
        let head = CopyHead {
            id: CopyId { node: self.inner.own, number },
            position: state.position(),
            taken_ms: self.inner.environment.wall_ms(),
        };
        let copy = Copy { shard, state: Arc::new(state), used: self.inner.environment.now(), _room: room };
        {
            let mut open = self.inner.open.lock();
            if open.is_closed {
                return Err(CopyError::Gone);
            }
            open.copies.insert(number, copy);
        }
        self.inner.environment.spawn(expire(Arc::downgrade(&self.inner), number));
        Ok(head)
    }

    fn read(&self, number: u64, after: Option<&Bytes>) -> Result<Part, CopyError> {
        let (shard, state) = {
            let mut open = self.inner.open.lock();
            let copy = open.copies.get_mut(&number).ok_or(CopyError::Gone)?;
            copy.used = self.inner.environment.now();
            (copy.shard, Arc::clone(&copy.state))
        };
        let pairs = state.read(after, PART_PAIRS_MAX, PART_BYTES_MAX);
        Ok(Part::pack(&pairs.map_err(|error| self.unreadable(shard, &error))?))
    }

    fn touch(&self, numbers: &[u64]) {
        let (mut open, now) = (self.inner.open.lock(), self.inner.environment.now());
        for number in numbers {
            if let Some(copy) = open.copies.get_mut(number) {
                copy.used = now;
            }
        }
    }

    fn behind(&self, shard: u32) -> CopyError {
        let waited_ms = u64::try_from(APPLIED_WITHIN.as_millis()).unwrap_or(u64::MAX);
        CopyError::Behind { shard, node: self.inner.own, waited_ms }
    }

    fn not_taken(&self, shard: u32, error: &OpenError) -> CopyError {
        let node = self.inner.own;
        match error.store_error() {
            Some(&StoreError::TooLarge { bytes_max, .. }) => {
                let error = CopyError::TooLarge { shard, node, bytes_max: bytes_max as u64 };
                tracing::error!(shard, %error, "a shard is too large for a backup");
                error
            }
            _ => self.unreadable(shard, error),
        }
    }

    fn unreadable(&self, shard: u32, error: &(dyn StdError + 'static)) -> CopyError {
        tracing::error!(shard, error, "the state of a shard cannot be read for a backup");
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        CopyError::Unreadable { shard, node: self.inner.own, reason: format!("{error}{cause}") }
    }
}

/// Whoever opened it may be gone.
async fn expire(desk: Weak<Inner>, number: u64) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let Some(desk) = desk.upgrade() else { return };
        let mut open = desk.open.lock();
        match open.copies.get(&number) {
            Some(copy) if copy.used + IDLE_MAX > desk.environment.now() => {}
            Some(_) => drop(open.copies.remove(&number)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use playhouse_cluster::{
        consensus::{Config, Isolated, Observer, Progress},
        store::{self, Batch, Engine, Memory, Sled, Store},
    };

    use tokio::sync::oneshot;

    use super::*;

    const SHARD: u32 = 3;
    const SHARDS: u32 = 4;
    const OPEN_MAX: usize = SHARDS as usize * BACKUPS_MAX;

    /// A desk on a node that leads one shard, which holds `pairs`.
    async fn desk(pairs: u32) -> (Desk, RaftGroup) {
        desk_on(Memory::new(), pairs).await
    }

    async fn desk_on(engine: Arc<dyn Engine>, pairs: u32) -> (Desk, RaftGroup) {
        let (own, id, environment) = (RaftId(1), GroupId(SHARD), Environment::simulated(1));
        let store = Store::start(engine, &environment, store::Config::default()).unwrap();
        let (config, alone) = (Config::default(), Arc::new(Isolated));
        let group = RaftGroup::open(id, own, store, alone, &config, &environment).await.unwrap();
        group.found(&BTreeSet::from([own])).await.unwrap();
        let mut leadership = group.leadership();
        let leads = |leadership: &Leadership| matches!(leadership, Leadership::Leader { .. });
        let led = *leadership.wait_for(leads).await.unwrap();
        let Leadership::Leader { term } = led else { unreachable!("it was just waited for") };
        let mut batch = Batch::new();
        (0..pairs).for_each(|number| batch.put(number.to_be_bytes().to_vec(), &b"value"[..]));
        group.propose(term, 1, batch, Box::new(())).await;
        let last = pairs.saturating_sub(1).to_be_bytes();
        let mut applied = group.applied();
        while group.get(&last).unwrap().is_none() {
            applied.changed().await.unwrap();
        }
        let groups = Groups::default();
        groups.insert(&group, id);
        (Desk::new(own, SHARDS, groups, environment), group)
    }

    async fn open(desk: &Desk) -> Result<u64, CopyError> {
        match desk.answer(Ask::Open { shard: SHARD }).await? {
            Told::Opened(head) => Ok(head.id.number),
            told => panic!("{told:?}"),
        }
    }

    async fn read(desk: &Desk, number: u64, after: Option<Bytes>) -> Result<Vec<(Bytes, Bytes)>, CopyError> {
        match desk.answer(Ask::Read { number, after }).await? {
            Told::Part(part) => Ok(part.open().unwrap()),
            told => panic!("{told:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_read_to_its_end_in_parts() {
        let pairs = u32::try_from(PART_PAIRS_MAX).unwrap() + 10;
        let (desk, _group) = desk(pairs).await;
        let copy = open(&desk).await.unwrap();
        let first = read(&desk, copy, None).await.unwrap();
        assert_eq!(first.len(), PART_PAIRS_MAX);
        let after = first.last().map(|(key, _)| key.clone());
        let rest = read(&desk, copy, after.clone()).await.unwrap();
        assert_eq!(rest.len(), 10);
        assert_eq!(read(&desk, copy, after).await.unwrap(), rest, "to ask again is safe");
        assert!(read(&desk, copy, rest.last().map(|(key, _)| key.clone())).await.unwrap().is_empty());
        desk.answer(Ask::Close { number: copy }).await.unwrap();
        assert_eq!(read(&desk, copy, None).await, Err(CopyError::Gone));
    }

    /// From the commit on nothing can be written: the store has what is committed only in the log.
    struct FullFromCommit(Arc<Memory>, Option<oneshot::Sender<()>>);

    impl Observer for FullFromCommit {
        fn progress(&mut self, progress: Progress) {
            if let (Progress::Committed, Some(tell)) = (progress, self.1.take()) {
                self.0.faults().set_full(true);
                tell.send(()).unwrap();
            }
        }
    }

    /// A commit is told before it is applied: the copy lacked effects that were acknowledged when it was asked for.
    #[tokio::test(start_paused = true)]
    async fn a_copy_has_what_was_committed_before() {
        let memory = Memory::new();
        let (desk, group) = desk_on(memory.clone(), 1).await;
        let Leadership::Leader { term } = *group.leadership().borrow() else { panic!("it leads") };
        let mut batch = Batch::new();
        batch.put(&b"last"[..], &b"value"[..]);
        let (tell, committed) = oneshot::channel();
        let observer = FullFromCommit(memory, Some(tell));
        group.propose(term, 2, batch, Box::new(observer)).await;
        committed.await.unwrap();
        let copy = open(&desk).await.unwrap();
        assert_eq!(read(&desk, copy, None).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn copies_are_bounded_and_end_when_nobody_reads_them() {
        let (desk, _group) = desk(1).await;
        let mut copies = Vec::new();
        for _ in 0..OPEN_MAX {
            copies.push(open(&desk).await.unwrap());
        }
        assert_eq!(open(&desk).await, Err(CopyError::Full { open: OPEN_MAX }));
        desk.answer(Ask::Close { number: copies[0] }).await.unwrap();
        copies[0] = open(&desk).await.unwrap();
        tokio::time::sleep(IDLE_MAX * 2 / 3).await;
        assert_eq!(read(&desk, copies[1], None).await.unwrap().len(), 1);
        tokio::time::sleep(IDLE_MAX * 2 / 3).await;
        assert_eq!(read(&desk, copies[0], None).await, Err(CopyError::Gone));
        assert_eq!(read(&desk, copies[1], None).await.unwrap().len(), 1, "it is in use");
        tokio::time::sleep(IDLE_MAX * 3).await;
        assert_eq!(desk.inner.room.available_permits(), OPEN_MAX);
    }

    /// Most shards of a backup wait for those that are read before them.
    #[tokio::test(start_paused = true)]
    async fn copies_that_are_kept_stay_open_unread() {
        let (desk, _group) = desk(1).await;
        let (kept, forgotten) = (open(&desk).await.unwrap(), open(&desk).await.unwrap());
        for _ in 0..6 {
            tokio::time::sleep(IDLE_MAX * 2 / 3).await;
            let told = desk.answer(Ask::Keep { numbers: vec![kept, u64::MAX] }).await.unwrap();
            assert!(matches!(told, Told::Kept), "{told:?}");
        }
        assert_eq!(read(&desk, forgotten, None).await, Err(CopyError::Gone));
        assert_eq!(read(&desk, kept, None).await.unwrap().len(), 1);
    }

    /// One that was being opened when the node ended held the store of that node for ever.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_over_opens_nothing() {
        let (desk, group) = desk(1).await;
        desk.clear();
        assert_eq!(desk.keep(SHARD, &group), Err(CopyError::Gone));
        assert_eq!(open(&desk).await, Err(CopyError::Gone));
        assert_eq!(desk.inner.room.available_permits(), OPEN_MAX);
    }

    /// It was asked for again and again, and neither the shard nor its node was named anywhere.
    #[tokio::test(start_paused = true)]
    async fn a_shard_that_the_engine_cannot_copy_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let config = store::Config { view_bytes_max: 64.try_into().unwrap(), ..store::Config::default() };
        let (desk, group) = desk_on(Sled::open(folder.path(), &config).unwrap(), 100).await;
        let refused = CopyError::TooLarge { shard: SHARD, node: RaftId(1), bytes_max: 64 };
        assert_eq!(open(&desk).await, Err(refused));
        assert_eq!(desk.inner.room.available_permits(), OPEN_MAX);
        group.shutdown().await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_leader_opens_copies() {
        let (desk, group) = desk(1).await;
        let unknown = desk.answer(Ask::Open { shard: SHARD + 1 }).await.unwrap();
        assert!(matches!(unknown, Told::NotLeader { leader: None }));
        let copy = open(&desk).await.unwrap();
        desk.clear();
        assert_eq!(read(&desk, copy, None).await, Err(CopyError::Gone), "the node is over");
        group.shutdown().await;
        let mut leadership = group.leadership();
        drop(leadership.wait_for(|leadership| *leadership == Leadership::Stopped).await);
        let stopped = desk.answer(Ask::Open { shard: SHARD }).await.unwrap();
        assert!(matches!(stopped, Told::NotLeader { leader: None }));
    }
}
