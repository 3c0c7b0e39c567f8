//! A network in memory: connections can be cut without a word, and what passed can be looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::environment::watch;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
};

use crate::environment::{Connection, Listener, Network, SharedNetwork};

type Arrival = (Box<dyn Connection>, String);

#[derive(Debug, Default)]
pub struct Wires {
    listeners: Mutex<BTreeMap<String, mpsc::UnboundedSender<Arrival>>>,
    cables: Mutex<Vec<Arc<Cable>>>,
    /// Who cannot open connections to whom.
    parted: watch::Sender<BTreeSet<(String, String)>>,
}

/// One connection.
#[derive(Debug)]
pub struct Cable {
    from: String,
    to: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    is_stuffed: bool,
    seen: Vec<u8>,
}

#[derive(Debug)]
struct View {
    wires: Arc<Wires>,
    host: String,
}

impl Wires {
    /// The network as `host` sees it.
    pub fn of(self: &Arc<Self>, host: &str) -> SharedNetwork {
        Arc::new(View { wires: Arc::clone(self), host: host.to_owned() })
    }

    /// All connections that `from` opened to `to` are dead, without a word; new ones are never opened.
    pub fn cut(&self, from: &str, to: &str) {
        self.parted.send_if_modified(|parted| parted.insert((from.to_owned(), to.to_owned())));
        let cables = self.cables.lock();
        cables.iter().filter(|cable| cable.from == from && cable.to == to).for_each(|cable| cable.cut());
    }

    /// New connections can be opened. The old ones stay dead.
    pub fn heal(&self, from: &str, to: &str) {
        self.parted.send_if_modified(|parted| parted.remove(&(from.to_owned(), to.to_owned())));
    }

    /// All connections so far, in the order in which they were opened.
    pub fn cables(&self) -> Vec<Arc<Cable>> {
        self.cables.lock().clone()
    }
}

impl Cable {
    pub fn cut(&self) {
        self.state.lock().is_cut = true;
    }

    /// Nothing more can be written, as when the other end does not read.
    pub fn stuff(&self) {
        self.state.lock().is_stuffed = true;
    }

    pub fn leads(&self, from: &str, to: &str) -> bool {
        self.from == from && self.to == to
    }

    /// Whether these bytes passed, in any direction.
    pub fn has_seen(&self, bytes: &[u8]) -> bool {
        self.state.lock().seen.windows(bytes.len()).any(|seen| seen == bytes)
    }
}

impl Network for View {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let (wires, from, address) = (Arc::clone(&self.wires), self.host.clone(), address.to_owned());
        Box::pin(async move {
            let to = address.split(':').next().unwrap().to_owned();
            let way = (from.clone(), to.clone());
            wires.parted.subscribe().wait_for(|parted| !parted.contains(&way)).await.unwrap();
            let cable = Arc::new(Cable { from: from.clone(), to, state: Mutex::default() });
            let (near, far) = duplex(64 << 10);
            let [near, far] = [near, far].map(|inner| Wire { inner, cable: Arc::clone(&cable) });
            let listener = wires.listeners.lock().get(&address).cloned();
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            listener.send((Box::new(far), from)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            wires.cables.lock().push(cable);
            Ok(Box::new(near) as Box<dyn Connection>)
        })
    }

    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (sender, arrivals) = mpsc::unbounded_channel();
        self.wires.listeners.lock().insert(address.to_owned(), sender);
        let port = Port { address: address.to_owned(), arrivals };
        Box::pin(async { Ok(Box::new(port) as Box<dyn Listener>) })
    }
}

struct Port {
    address: String,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Listener for Port {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Arrival>> {
        Box::pin(async { self.arrivals.recv().await.ok_or(io::ErrorKind::BrokenPipe.into()) })
    }

    fn address(&self) -> String {
        self.address.clone()
    }
}

struct Wire {
    inner: DuplexStream,
    cable: Arc<Cable>,
}

impl Connection for Wire {}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        // Dead for ever, so nobody needs to be woken.
        if self.cable.state.lock().is_cut {
            buffer.clear();
            return Poll::Pending;
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cable.state.lock().is_cut {
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.cable.state.lock().is_stuffed {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.cable.state.lock().seen.extend(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
