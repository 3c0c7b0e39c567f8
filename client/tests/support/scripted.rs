//! A small HTTP server that does what a script says: answers, drops, is slow, talks nonsense.
//!
//! Shared by tests of the client and of the command line. It listens on a port that the system chooses; dropping it
//! cuts all its connections, as kill -9 would.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn key(&self) -> &str {
        self.header("idempotency-key")
    }
}

/// What the script wants done about a request.
#[derive(Clone, Debug)]
pub enum Answer {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Closes the connection without a word.
    Drop,
    /// Writes these bytes and closes.
    Raw(&'static str),
    /// Never answers.
    Hang,
    /// Answers so much later.
    After(Duration, Box<Answer>),
}

impl Answer {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::Reply { status: 200, headers: Vec::new(), body: body.into() }
    }

    pub fn problem(status: u16, code: &str) -> Self {
        let body =
            format!(r#"{{"status":{status},"code":"{code}","title":"t","detail":"detail of {code}"}}"#);
        Self::Reply { status, headers: Vec::new(), body }
    }

    pub fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Reply { status, mut headers, body } => {
                headers.push((name, value.into()));
                Self::Reply { status, headers, body }
            }
            other => other,
        }
    }
}

type Script = Arc<Mutex<dyn FnMut(&Seen) -> Answer + Send>>;

pub struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Scripted {
    pub async fn start(script: impl FnMut(&Seen) -> Answer + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    #[allow(clippy::disallowed_methods)] // A test has no environment handle.
    pub async fn start_at(at: SocketAddr, script: impl FnMut(&Seen) -> Answer + Send + 'static) -> Self {
        let listener = bind(at).await;
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::default(), Arc::default());
        let script: Script = Arc::new(Mutex::new(script));
        let accepting = tokio::spawn(accept(listener, script, Arc::clone(&seen), Arc::clone(&connections)));
        Self { address, seen, connections, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Cuts all connections and frees the port.
    pub async fn kill(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A process that another test starts meanwhile holds our sockets from its fork to its exec, so that a port which was
/// just freed may be taken for a moment.
async fn bind(at: SocketAddr) -> TcpListener {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..1000 {
        match TcpListener::bind(at).await {
            Ok(listener) => return listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => look.tick().await,
            Err(error) => panic!("{error}"),
        };
    }
    panic!("{at} stays in use");
}

/// An address at which nobody listens.
pub async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn accept(
    listener: TcpListener,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
) {
    // Dropped with this task, and then all connections are cut.
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        serving.spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn serve(stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        seen.lock().unwrap().push(request.clone());
        let mut answer = (script.lock().unwrap())(&request);
        while let Answer::After(delay, then) = answer {
            tokio::time::sleep(delay).await;
            answer = *then;
        }
        match answer {
            Answer::Reply { status, headers, body } => {
                let text = reply(status, &headers, &body);
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Answer::Raw(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Drop | Answer::After(..) => return,
        }
    }
}

fn reply(status: u16, headers: &[(&str, String)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method, path, headers, body: String::from_utf8(body).unwrap() })
}
