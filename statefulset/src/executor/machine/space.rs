//! A network name space: what a pod sees of the network. Gone when dropped.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

use super::run::{RunError, script};

/// What all names begin with, also those of folders; the process that made them follows.
pub(super) const PREFIX: &str = "playhouse-executor-";
/// Where name spaces are files.
const FOLDER: &str = "/var/run/netns";
/// How many threads do what happens in one.
const THREADS: usize = 2;

/// A network name space of our own.
#[derive(Debug)]
pub(super) struct Space {
    name: String,
}

impl Space {
    /// A new one, without any way to others.
    pub(super) fn new(serial: u32, what: &str) -> Result<Self, RunError> {
        let name = format!("{PREFIX}{}-{serial}-{what}", std::process::id());
        script(&format!("ip netns add {name}\nip -n {name} link set lo up"))?;
        Ok(Self { name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn file(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// From now on this thread is inside, until the guard is dropped.
    pub(super) fn enter(&self) -> io::Result<Inside> {
        let before = File::open("/proc/thread-self/ns/net")?;
        move_to(&File::open(self.file())?)?;
        Ok(Inside { before })
    }

    /// Threads that are inside.
    pub(super) fn runtime(&self) -> io::Result<Runtime> {
        let file = File::open(self.file())?;
        let enter = move || move_to(&file).expect("the name space is there, and this thread is root's");
        Builder::new_multi_thread().worker_threads(THREADS).on_thread_start(enter).enable_all().build()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Whether it worked or not, there is nothing else to be done.
        drop(script(&format!("ip netns delete {}", self.name)));
    }
}

/// This thread is in a name space. Dropped: it is back where it was.
#[derive(Debug)]
pub struct Inside {
    before: File,
}

impl Drop for Inside {
    fn drop(&mut self) {
        move_to(&self.before).expect("it came from there");
    }
}

fn move_to(space: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Removes what processes left behind that were killed.
pub(super) fn sweep() {
    left_behind(Path::new(FOLDER)).for_each(|name| drop(Space { name }));
}

/// What is in `folder` of processes that are gone.
pub(super) fn left_behind(folder: &Path) -> impl Iterator<Item = String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_left_behind(name))
}

fn is_left_behind(name: &str) -> bool {
    let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
    process.is_some_and(|process| !Path::new("/proc").join(process).exists())
}
