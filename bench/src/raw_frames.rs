//! The limit of any link: frames behind their length on one TCP connection between two processes, large buffers, many
//! frames per write, no codec.
//!
//! A frame is a length (u32), a key (u128) and a body. An empty frame asks how many frames have arrived.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle, Runtime},
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::child::{Child, say_address};

/// The first argument of a child process that receives.
pub const CHILD: &str = "--raw-frames-child";
/// How many bytes are written, and read, at once.
const BUFFER_BYTES: usize = 256 << 10;
const HEAD_BYTES: usize = 4;
const KEY_BYTES: usize = 16;
const ANSWER_BYTES: usize = 8;
/// What a connection is for: its first byte.
const COUNTED: u8 = 0;
const ANSWERED: u8 = 1;

/// A process that receives frames.
pub struct RawFrames {
    address: SocketAddr,
    runtime: Runtime,
    _child: Child,
}

impl RawFrames {
    /// Starts the process.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let (child, address) = Child::start_listening(CHILD);
        Self { address, runtime: runtime(), _child: child }
    }

    /// How many frames per second arrive, of `count` for `targets`.
    ///
    /// # Panics
    ///
    /// When one is lost.
    #[must_use]
    pub fn casts(&self, count: usize, targets: usize, body_bytes: usize) -> f64 {
        let (arrived, took) =
            self.runtime.block_on(send(self.address, count, targets, body_bytes)).expect("loopback works");
        assert_eq!(arrived, count as u64, "every frame arrives");
        count as f64 / took.as_secs_f64()
    }

    /// How long each of `count` calls takes, with `in_flight` of them at once, and all together.
    ///
    /// # Panics
    ///
    /// When one is lost.
    pub fn calls(&self, count: usize, in_flight: usize, each: &mut dyn FnMut(Duration)) -> Duration {
        self.runtime.block_on(ask(self.address, count, in_flight, each)).expect("loopback works")
    }

    /// How many calls per second so many tasks make on as many threads as a node has, with so large a body.
    ///
    /// # Panics
    ///
    /// When one is lost.
    #[must_use]
    pub fn callers(&self, count: usize, callers: usize, body_bytes: usize) -> f64 {
        let asking = ask_by_tasks(self.address, count, callers, body_bytes);
        let took = crate::node::runtime().block_on(asking);
        (count / callers * callers) as f64 / took.expect("loopback works").as_secs_f64()
    }
}

/// What callers of one connection share. Answers come in the order of the questions.
#[derive(Default)]
struct Asked {
    buffer: Vec<u8>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the operating system gives a runtime")
}

async fn connect(address: SocketAddr, what_for: u8) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&[what_for]).await?;
    Ok(stream)
}

fn put(buffer: &mut Vec<u8>, key: usize, body: &[u8]) {
    let length = u32::try_from(KEY_BYTES + body.len()).expect("frames of the bench are small");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&(key as u128).to_le_bytes());
    buffer.extend_from_slice(body);
}

/// Each caller is a task; one task writes what all of them asked, one reads the answers.
async fn ask_by_tasks(
    address: SocketAddr,
    count: usize,
    callers: usize,
    body_bytes: usize,
) -> std::io::Result<Duration> {
    let body: Arc<[u8]> = vec![7; body_bytes].into();
    let (mut read, mut write) = connect(address, ANSWERED).await?.into_split();
    let (asked, work) = (Arc::<Mutex<Asked>>::default(), Arc::new(Notify::new()));
    let tasks = Handle::current();
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (asked, work, body) = (Arc::clone(&asked), Arc::clone(&work), Arc::clone(&body));
            tasks.spawn(async move {
                for _ in 0..count / callers {
                    let (answer, answered) = oneshot::channel();
                    {
                        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                        put(&mut asked.buffer, caller, &body);
                        asked.waiting.push_back(answer);
                    }
                    work.notify_one();
                    answered.await.expect("the reader runs");
                }
            })
        })
        .collect();
    let (taken, told) = (Arc::clone(&asked), work);
    let writer = tasks.spawn(async move {
        let mut buffer = Vec::new();
        loop {
            told.notified().await;
            std::mem::swap(&mut buffer, &mut taken.lock().unwrap_or_else(PoisonError::into_inner).buffer);
            if write.write_all(&buffer).await.is_err() {
                return;
            }
            buffer.clear();
        }
    });
    let reader = tasks.spawn(async move {
        let (mut answers, mut partial, mut woken) = (vec![0; BUFFER_BYTES], 0, Vec::new());
        while let Ok(bytes @ 1..) = read.read(&mut answers).await {
            partial += bytes;
            let whole = partial / (HEAD_BYTES + ANSWER_BYTES);
            partial %= HEAD_BYTES + ANSWER_BYTES;
            woken.extend(asked.lock().unwrap_or_else(PoisonError::into_inner).waiting.drain(..whole));
            // A caller that is gone ended the whole measurement.
            for caller in woken.drain(..) {
                let _gone = caller.send(());
            }
        }
    });
    futures_util::future::try_join_all(callers).await.expect("no caller panics");
    let took = started.elapsed();
    writer.abort();
    reader.abort();
    Ok(took)
}

async fn send(
    address: SocketAddr,
    count: usize,
    targets: usize,
    body_bytes: usize,
) -> std::io::Result<(u64, Duration)> {
    let mut stream = connect(address, COUNTED).await?;
    let (body, mut buffer) = (vec![7; body_bytes], Vec::with_capacity(BUFFER_BYTES * 2));
    let started = Instant::now();
    for number in 0..count {
        put(&mut buffer, number % targets, &body);
        if buffer.len() >= BUFFER_BYTES {
            stream.write_all(&buffer).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&0u32.to_le_bytes());
    stream.write_all(&buffer).await?;
    let arrived = stream.read_u64_le().await?;
    Ok((arrived, started.elapsed()))
}

async fn ask(
    address: SocketAddr,
    count: usize,
    in_flight: usize,
    each: &mut dyn FnMut(Duration),
) -> std::io::Result<Duration> {
    let mut stream = connect(address, ANSWERED).await?;
    let mut answers = vec![0; in_flight * (HEAD_BYTES + ANSWER_BYTES)];
    let (mut asked, mut answered, mut partial) = (0, 0, 0);
    let (mut buffer, started) = (Vec::new(), Instant::now());
    let mut next = in_flight.min(count);
    while answered < count {
        (0..next).for_each(|more| put(&mut buffer, asked + more, &[7; 16]));
        asked += next;
        let began = Instant::now();
        stream.write_all(&buffer).await?;
        buffer.clear();
        partial += stream.read(&mut answers[partial..]).await?;
        let whole = partial / (HEAD_BYTES + ANSWER_BYTES);
        partial %= HEAD_BYTES + ANSWER_BYTES;
        answered += whole;
        next = whole.min(count - asked);
        each(began.elapsed());
    }
    Ok(started.elapsed())
}

/// Receives, until the parent is gone. Prints its address.
///
/// # Panics
///
/// When loopback does not work.
pub fn receive_here() {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let environment = crate::node::environment(runtime.handle());
    say_address(listener.local_addr().expect("it is bound"), &environment);
    runtime.block_on(async {
        while let Ok((stream, _)) = listener.accept().await {
            drop(environment.spawn(async move { drop(serve(stream).await) }));
        }
    });
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let is_answered = stream.read_u8().await? == ANSWERED;
    let mut counts = vec![0u64; 1 << 16];
    let (mut buffer, mut out) = (vec![0; BUFFER_BYTES * 2], Vec::new());
    let mut filled = 0;
    loop {
        let bytes = stream.read(&mut buffer[filled..]).await?;
        if bytes == 0 {
            return Ok(());
        }
        filled += bytes;
        let mut at = 0;
        while let Some(length) = whole(&buffer[at..filled]) {
            if length == 0 {
                out.extend_from_slice(&counts.iter().sum::<u64>().to_le_bytes());
            } else {
                let key = u16::from_le_bytes([buffer[at + HEAD_BYTES], buffer[at + HEAD_BYTES + 1]]);
                counts[usize::from(key)] += 1;
                if is_answered {
                    out.extend_from_slice(&(ANSWER_BYTES as u32).to_le_bytes());
                    out.extend_from_slice(&counts[usize::from(key)].to_le_bytes());
                }
            }
            at += HEAD_BYTES + length;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        // Room for the rest of a frame that is larger than most.
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
    }
}

/// The length of the frame that begins here, if all of it is here.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes.first_chunk::<HEAD_BYTES>().copied()?) as usize;
    (bytes.len() >= HEAD_BYTES + length).then_some(length)
}
