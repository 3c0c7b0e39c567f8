//! Groups of processes, as in OTP's `pg`: who joins is known on all nodes that are connected.
//!
//! Comes in: processes of this node that join and leave, and what peers tell of theirs. Leaves: the members of a group, here or
//! everywhere, and messages to those who want to know of changes. There is no leader and nothing on disk: while nodes cannot reach each
//! other, each knows its own part; when they can, each tells the other all of its own.

mod members;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(in crate::process) use self::members::OwnGroup;
use self::members::{Member, Members};
use super::{Portable, Shared, connection::Connection, frame::Frame, name_of};
use crate::process::{CastError, ExitReason, Process, ProcessId, inner::as_peer, life::NoticeId, link::Peer};

/// How long the name of a group may be.
const NAME_BYTES_MAX: usize = 255;
/// How often processes of this node may have joined groups.
const MEMBERSHIPS_MAX: usize = 1_000_000;
/// How many monitors of groups there may be.
const MONITORS_MAX: usize = 100_000;
/// How many members are told in one frame.
const TOLD_MAX: usize = 1_000;

/// The groups of processes, as this node knows them. A cheap handle.
#[derive(Clone)]
pub struct Groups {
    shared: Arc<Shared>,
}

/// Processes came into a group, or left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// They joined.
    Joined {
        /// Which group.
        group: String,
        /// Who.
        processes: Vec<ProcessId>,
    },
    /// They left, have ended, or are not reachable any more.
    Left {
        /// Which group.
        group: String,
        /// Who.
        processes: Vec<ProcessId>,
    },
}

/// Why something about groups, or about a name for a process, was not done. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The process lives on another node: it joins, and is told of changes, there.
    #[error("the process lives on another node")]
    Elsewhere,
    /// The process has ended.
    #[error("the process does not run (noproc)")]
    NoProc,
    /// A name has from 1 to 255 bytes.
    #[error("the name of a group has from 1 to {NAME_BYTES_MAX} bytes")]
    Length,
    /// There are as many as there may be.
    #[error("there are as many as there may be")]
    TooMany,
}

/// A monitor of a group. Dropping it changes nothing: the messages still come.
pub struct GroupMonitor {
    shared: Weak<Shared>,
    number: u64,
}

impl Groups {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// A process of this node joins a group, until it leaves or ends. Once more changes nothing.
    ///
    /// # Errors
    ///
    /// When the process lives elsewhere or has ended, when the name makes no sense, when there are too many.
    pub fn join<M: Portable>(&self, group: &str, process: &Process<M>) -> Result<(), GroupError> {
        check_name(group)?;
        let peer = process.peer_here().ok_or(GroupError::Elsewhere)?;
        let number = self.shared.id_of(process)?.number();
        let table = &self.shared.groups;
        // Half of what may wait, so that all of it can be told when a connection opens.
        if table.begin_to_watch(number, self.shared.config.signals_bytes_max / 2)? {
            let home = Arc::downgrade(&self.shared);
            let end = move |_: &_| {
                if let Some(shared) = home.upgrade() {
                    shared.groups.ended(number);
                }
            };
            if peer.life().watch(Box::new(end)).is_none() {
                table.ended(number);
                return Err(GroupError::NoProc);
            }
        }
        table.join(group, number, name_of::<M>())
    }

    /// Leaves a group. Whether the process was in it.
    pub fn leave<M: Portable>(&self, group: &str, process: &Process<M>) -> bool {
        let id = process.id();
        id.home().is_none() && self.shared.groups.leave(group, id.number())
    }

    /// The members, of this node first, that take such messages.
    #[must_use]
    pub fn members<M: Portable>(&self, group: &str) -> Vec<Process<M>> {
        self.processes(self.shared.groups.state.lock().members.all_of(group))
    }

    /// The members on this node that take such messages.
    #[must_use]
    pub fn local_members<M: Portable>(&self, group: &str) -> Vec<Process<M>> {
        self.processes(self.shared.groups.state.lock().members.own_of(group))
    }

    /// All groups that have a member.
    #[must_use]
    pub fn which_groups(&self) -> Vec<Arc<str>> {
        self.shared.groups.state.lock().members.groups()
    }

    /// Makes a message to `observer` of each change of the group from now on, and returns who is in it now. It ends with the observer.
    ///
    /// It is a message like any other: one that finds no room in the mailbox is refused, and counted there. If `message` panics, the
    /// observer ends with that reason, as if its handler had.
    ///
    /// # Errors
    ///
    /// When there are too many monitors, when the observer lives on another node, when the name makes no sense.
    pub fn monitor<M: Send + 'static>(
        &self,
        group: &str,
        observer: &Process<M>,
        message: impl Fn(Change) -> M + Send + Sync + 'static,
    ) -> Result<(GroupMonitor, Vec<ProcessId>), GroupError> {
        check_name(group)?;
        let inner = observer.here().ok_or(GroupError::Elsewhere)?;
        let told = Arc::clone(inner);
        let tell: Tell = Arc::new(move |change| {
            // Whoever made the change has nothing to do with a panic in here.
            let cast = || Process::new(Arc::clone(&told)).try_cast(message(change));
            match catch_unwind(AssertUnwindSafe(cast)) {
                Ok(cast) => cast != Err(CastError::NoProc),
                Err(panic) => {
                    told.crash(ExitReason::of_panic(panic.as_ref()));
                    false
                }
            }
        });
        let mut state = self.shared.groups.state.lock();
        if state.monitors.len() >= MONITORS_MAX {
            return Err(GroupError::TooMany);
        }
        let number = state.monitors_given;
        state.monitors_given += 1;
        let (group, since): (Arc<str>, _) = (group.into(), state.changes_given);
        state.of_group.entry(Arc::clone(&group)).or_default().insert(number);
        state.monitors.insert(number, Monitor { group: Arc::clone(&group), since, tell, until: None });
        let members = state.members.all_of(&group).into_iter().map(|member| member.id).collect();
        drop(state);
        self.end_with(&as_peer(inner), number);
        Ok((GroupMonitor { shared: Arc::downgrade(&self.shared), number }, members))
    }

    /// A monitor ends with its observer, also if the group never changes again.
    fn end_with(&self, observer: &Arc<dyn Peer>, number: u64) {
        let shared = Arc::downgrade(&self.shared);
        let end = move |_: &_| {
            if let Some(shared) = shared.upgrade() {
                shared.groups.demonitor(number);
            }
        };
        match observer.life().watch(Box::new(end)) {
            Some(notice) => self.shared.groups.ends_with(number, observer, notice),
            None => self.shared.groups.demonitor(number),
        }
    }

    /// The first groups that have members on this node, by name, each with the numbers of its first members here and how many it
    /// has here; and how many groups there are beside.
    pub(in crate::process) fn own(&self, members_max: usize, groups_max: usize) -> (Vec<OwnGroup>, usize) {
        self.shared.groups.state.lock().members.own_first(members_max, groups_max)
    }

    #[cfg(test)]
    pub(super) fn monitors(&self) -> usize {
        self.shared.groups.state.lock().monitors.len()
    }

    fn processes<M: Portable>(&self, members: Vec<Member>) -> Vec<Process<M>> {
        let fitting = members.into_iter().filter(|member| member.name == name_of::<M>());
        fitting.map(|member| self.shared.process(member.id)).collect()
    }
}

impl GroupMonitor {
    /// Ends it. Messages that are in the mailbox by now stay there.
    pub fn demonitor(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.groups.demonitor(self.number);
        }
    }
}

/// Says so to somebody. Whether it can still be told.
type Tell = Arc<dyn Fn(Change) -> bool + Send + Sync>;

struct Monitor {
    group: Arc<str>,
    /// The first change that it tells of; those before are in what it began with.
    since: u64,
    tell: Tell,
    /// Whose end is its end.
    until: Option<(Weak<dyn Peer>, NoticeId)>,
}

/// What this node knows, and whom it tells.
pub(super) struct Table {
    state: Mutex<State>,
    /// Who has this tells what has changed, in order, without the lock of the state.
    telling: Mutex<()>,
}

#[derive(Default)]
struct State {
    members: Members,
    /// Processes of this node whose end is waited for.
    watched: BTreeSet<u64>,
    /// By session: those who are told of each change.
    peers: BTreeMap<u64, Arc<Connection>>,
    monitors: BTreeMap<u64, Monitor>,
    monitors_given: u64,
    /// The numbers in `monitors` of each group.
    of_group: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// What was not told yet, oldest first, by number.
    changes: VecDeque<(u64, Arc<str>, Change)>,
    changes_given: u64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), telling: Mutex::default() }
    }

    /// A connection is open: the peer learns all, and from now on each change.
    pub(super) fn peer_up(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock();
        state.members.peer_up(connection.session(), connection.home());
        for (group, mine) in state.members.own() {
            for mine in mine.chunks(TOLD_MAX) {
                connection.signal(&Frame::Joined { group, mine: mine.to_vec() });
            }
        }
        state.peers.insert(connection.session(), Arc::clone(connection));
    }

    pub(super) fn peer_down(&self, connection: &Connection) {
        let mut state = self.state.lock();
        let removed = state.peers.remove(&connection.session());
        for (group, processes) in state.members.peer_down(connection.session()) {
            state.left(&group, processes);
        }
        drop(state);
        drop(removed);
        self.tell();
    }

    /// Whether it is what a peer may tell.
    pub(super) fn peer_joined(&self, connection: &Connection, group: &str, joined: &[(u64, u64)]) -> bool {
        if check_name(group).is_err() {
            return false;
        }
        let mut state = self.state.lock();
        let session = connection.session();
        let Ok(processes) = state.members.peer_joined(session, group, joined, MEMBERSHIPS_MAX) else {
            return false;
        };
        state.joined(group, processes);
        drop(state);
        self.tell();
        true
    }

    pub(super) fn peer_left(&self, connection: &Connection, group: &str, left: &[u64]) {
        let mut state = self.state.lock();
        let processes = state.members.peer_left(connection.session(), group, left);
        state.left(group, processes);
        drop(state);
        self.tell();
    }

    /// Whether the end of this process of ours is not waited for yet.
    fn begin_to_watch(&self, number: u64, bytes_max: usize) -> Result<bool, GroupError> {
        let mut state = self.state.lock();
        if state.members.own_len() >= MEMBERSHIPS_MAX || state.members.own_bytes() >= bytes_max {
            return Err(GroupError::TooMany);
        }
        Ok(state.watched.insert(number))
    }

    fn join(&self, group: &str, number: u64, name: u64) -> Result<(), GroupError> {
        let mut state = self.state.lock();
        // It has ended since, and what is in no table cannot be told of again.
        if !state.watched.contains(&number) {
            return Err(GroupError::NoProc);
        }
        let group: Arc<str> = group.into();
        if state.members.join(&group, number, name) {
            state.tell_peers(&Frame::Joined { group: &group, mine: vec![(number, name)] });
            state.joined(&group, vec![ProcessId::here(number)]);
        }
        drop(state);
        self.tell();
        Ok(())
    }

    fn leave(&self, group: &str, number: u64) -> bool {
        let mut state = self.state.lock();
        let was_there = state.members.leave(group, number);
        if was_there {
            state.tell_peers(&Frame::Left { group, mine: vec![number] });
            state.left(group, vec![ProcessId::here(number)]);
        }
        drop(state);
        self.tell();
        was_there
    }

    fn ended(&self, number: u64) {
        let mut state = self.state.lock();
        state.watched.remove(&number);
        for group in state.members.ended(number) {
            state.tell_peers(&Frame::Left { group: &group, mine: vec![number] });
            state.left(&group, vec![ProcessId::here(number)]);
        }
        drop(state);
        self.tell();
    }

    fn demonitor(&self, number: u64) {
        let removed = self.state.lock().forget_monitor(number);
        if let Some((observer, notice)) = removed.and_then(|monitor| monitor.until)
            && let Some(observer) = observer.upgrade()
        {
            observer.life().unwatch(notice);
        }
    }

    /// The observer says when it ends.
    fn ends_with(&self, number: u64, observer: &Arc<dyn Peer>, notice: NoticeId) {
        let mut state = self.state.lock();
        match state.monitors.get_mut(&number) {
            Some(monitor) => monitor.until = Some((Arc::downgrade(observer), notice)),
            // It has ended since.
            None => {
                drop(state);
                observer.life().unwatch(notice);
            }
        }
    }

    /// Tells those who monitor what has changed, in order: whoever comes while another one tells leaves it to that one.
    fn tell(&self) {
        loop {
            let Some(telling) = self.telling.try_lock() else { return };
            while let Some((change, to)) = self.next_change() {
                for (number, tell) in to {
                    if !tell(change.clone()) {
                        self.demonitor(number);
                    }
                }
            }
            drop(telling);
            if self.state.lock().changes.is_empty() {
                return;
            }
        }
    }

    #[allow(clippy::type_complexity)] // What, and to whom.
    fn next_change(&self) -> Option<(Change, Vec<(u64, Tell)>)> {
        let mut state = self.state.lock();
        let (number, group, change) = state.changes.pop_front()?;
        let of_group = state.of_group.get(&group).into_iter().flatten();
        let monitors = of_group.filter_map(|monitor| Some((*monitor, state.monitors.get(monitor)?)));
        let to = monitors.filter(|(_, monitor)| monitor.since <= number);
        let to = to.map(|(number, monitor)| (number, Arc::clone(&monitor.tell))).collect();
        Some((change, to))
    }
}

impl State {
    fn tell_peers(&self, frame: &Frame<'_>) {
        for peer in self.peers.values() {
            peer.signal(frame);
        }
    }

    fn joined(&mut self, group: &str, processes: Vec<ProcessId>) {
        self.changed(group, processes, |group, processes| Change::Joined { group, processes });
    }

    fn left(&mut self, group: &str, processes: Vec<ProcessId>) {
        self.changed(group, processes, |group, processes| Change::Left { group, processes });
    }

    /// Kept only if somebody wants to know.
    fn changed(
        &mut self,
        group: &str,
        processes: Vec<ProcessId>,
        change: fn(String, Vec<ProcessId>) -> Change,
    ) {
        if self.of_group.contains_key(group) && !processes.is_empty() {
            let number = self.changes_given;
            self.changes_given += 1;
            self.changes.push_back((number, group.into(), change(group.to_owned(), processes)));
        }
    }

    fn forget_monitor(&mut self, number: u64) -> Option<Monitor> {
        let monitor = self.monitors.remove(&number)?;
        if let Some(of_group) = self.of_group.get_mut(&monitor.group) {
            of_group.remove(&number);
            if of_group.is_empty() {
                self.of_group.remove(&monitor.group);
            }
        }
        Some(monitor)
    }
}

/// Whether it can be the name of a group.
fn check_name(group: &str) -> Result<(), GroupError> {
    (1..=NAME_BYTES_MAX).contains(&group.len()).then_some(()).ok_or(GroupError::Length)
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.which_groups()).finish()
    }
}

impl fmt::Debug for GroupMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupMonitor").field(&self.number).finish()
    }
}
