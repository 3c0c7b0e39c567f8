//! The only way to other nodes: byte streams, from real sockets or from a simulated network.

use std::{fmt, io, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
};

/// The end of a connection that is read.
pub type ReadEnd = Box<dyn AsyncRead + Send + Unpin>;
/// The end of a connection that is written.
pub type WriteEnd = Box<dyn AsyncWrite + Send + Unpin>;

/// An open byte stream.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Two ends for two tasks. Unless the stream knows better, they take turns.
    fn into_ends(self: Box<Self>) -> (ReadEnd, WriteEnd) {
        let (read, write) = tokio::io::split(self);
        (Box::new(read), Box::new(write))
    }
}

impl Connection for DuplexStream {}

impl Connection for TcpStream {
    /// The operating system lets both be used at once.
    fn into_ends(self: Box<Self>) -> (ReadEnd, WriteEnd) {
        let (read, write) = self.into_split();
        (Box::new(read), Box::new(write))
    }
}

/// Where connections arrive.
pub trait Listener: Send + 'static {
    /// The next connection, with the address of whoever opened it, for the log.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, String)>>;

    /// Where others can connect, as `host:port`; the port is the one that was given by the system.
    fn address(&self) -> String;
}

/// Opens connections and listeners.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Connects to `address`, which is `host:port`. The caller limits the time.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Connection>>>;

    /// Listens at `address`, which is `host:port`; port 0 lets the system choose.
    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// TCP of the operating system, without delay of small writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Network for Tcp {
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let address = address.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }

    fn listen(&self, address: &str) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let address = address.to_owned();
        Box::pin(async move { Ok(Box::new(TcpListener::bind(address).await?) as Box<dyn Listener>) })
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn Connection>, String)>> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Connection>, from.to_string()))
        })
    }

    fn address(&self) -> String {
        self.local_addr().map_or_else(|_| String::new(), |address| address.to_string())
    }
}

/// A shared handle.
pub type SharedNetwork = Arc<dyn Network>;
