//! The task behind a connection.

use std::{error::Error as StdError, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};

use super::{
    desk::{Ask, Desk, Wish},
    session::Session,
    socket::{self, Socket},
};
use crate::{Failure, client::Shared, error::Ended, gateways::Picked, transport::Io};

/// How long saying goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Starts the task; it ends when every handle is gone and nothing is unanswered.
#[allow(clippy::disallowed_methods)] // A client runs outside a node: there is no environment handle to ask.
pub(super) fn start(shared: Arc<Shared>, asks: mpsc::Receiver<Ask>, socket: Socket) {
    let desk = Desk::new(Session::new(&shared.config), asks);
    tokio::spawn(Driver { shared, desk, barren: 0 }.run(socket));
}

struct Driver {
    shared: Arc<Shared>,
    desk: Desk,
    /// How many sockets in a row were lost before anything was heard on them.
    barren: u32,
}

/// How a socket ended.
enum End {
    /// We closed it: nobody needs it.
    Closed,
    /// It broke, or the other side closed it.
    Lost(Reason),
}

type Reason = Box<dyn StdError + Send + Sync>;

impl Driver {
    async fn run(mut self, mut socket: Socket) {
        loop {
            let picked = socket.picked;
            match self.converse(socket).await {
                End::Closed => return,
                End::Lost(reason) => self.lost(picked, &*reason),
            }
            match self.reopen().await {
                Some(opened) => socket = opened,
                None => return,
            }
        }
    }

    async fn converse(&mut self, socket: Socket) -> End {
        let (sink, stream) = socket.stream.split();
        // Holds at most one text per unanswered command or subscription: those are bounded.
        let (outbox, texts) = mpsc::unbounded_channel();
        for text in self.desk.session.resume(Instant::now()) {
            let _ = outbox.send(text);
        }
        let mut write = pin!(write_all(sink, texts));
        let end = tokio::select! {
            // The writer comes last: what is asked in one turn is one write.
            biased;
            end = self.talk(stream, outbox) => end,
            outcome = &mut write => match outcome {
                Ok(()) => End::Lost("the socket was closed".into()),
                Err(error) => End::Lost(error.into()),
            },
        };
        if matches!(end, End::Closed) {
            let _ = timeout(CLOSE_MAX, write).await;
        }
        end
    }

    /// Consumes the outbox: when this returns, the writer sends what is left and says goodbye.
    async fn talk(
        &mut self,
        mut stream: SplitStream<WebSocketStream<Io>>,
        outbox: mpsc::UnboundedSender<String>,
    ) -> End {
        let silence_max = self.shared.config.silence_max;
        let mut heard = Instant::now();
        let mut alarm = pin!(sleep_until(heard + silence_max));
        loop {
            let send = tokio::select! {
                biased;
                wish = self.desk.next(true) => match wish {
                    Wish::Send(text) => Some(text),
                    Wish::Close => return End::Closed,
                },
                message = stream.next() => {
                    heard = Instant::now();
                    match self.hear(message) {
                        Ok(text) => text,
                        Err(reason) => return End::Lost(reason),
                    }
                }
                () = alarm.as_mut() => {
                    if heard + silence_max <= Instant::now() {
                        return End::Lost("the server was silent for too long".into());
                    }
                    alarm.as_mut().reset(heard + silence_max);
                    None
                }
            };
            if let Some(text) = send {
                let _ = outbox.send(text);
            }
        }
    }

    fn hear(&mut self, message: Option<tungstenite::Result<Message>>) -> Result<Option<String>, Reason> {
        match message {
            Some(Ok(Message::Text(text))) => {
                let answer = self.desk.session.answered(&text, Instant::now())?;
                self.barren = 0;
                Ok(answer)
            }
            Some(Ok(Message::Close(frame))) => Err(match frame {
                Some(frame) => format!("closed by the server: {frame}").into(),
                None => "closed by the server".into(),
            }),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(error.into()),
            None => Err("closed by the server".into()),
        }
    }

    fn lost(&mut self, picked: Picked, reason: &(dyn StdError + Send + Sync)) {
        let address = self.shared.gateways.address(picked);
        let failure = || Failure::Broken { address: address.clone(), source: reason.to_string().into() };
        self.desk.session.lose(failure, Instant::now());
        self.shared.gateways.failed(picked, Instant::now());
        self.barren = self.barren.saturating_add(1);
    }

    /// `None` when nobody needs a socket any more, or none will ever open.
    async fn reopen(&mut self) -> Option<Socket> {
        let (shared, desk) = (&self.shared, &mut self.desk);
        // A server that accepts and closes at once must not be asked without pause.
        let pause = if self.barren > 1 { shared.pause(self.barren) } else { Duration::ZERO };
        let opening = async {
            sleep(pause).await;
            socket::open_until(shared, None).await
        };
        let outcome = tokio::select! {
            outcome = opening => outcome,
            () = serve_offline(desk) => return None,
        };
        match outcome {
            Ok(socket) => Some(socket),
            Err(Ended::Rejected(problem)) => {
                desk.session.end(&problem);
                None
            }
            Err(Ended::GaveUp(_)) => unreachable!("without a deadline it is tried for ever"),
        }
    }
}

/// Takes asks and watches deadlines while there is no socket; returns when nobody needs one.
async fn serve_offline(desk: &mut Desk) {
    while let Wish::Send(_) = desk.next(false).await {}
}

async fn write_all(
    mut sink: SplitSink<WebSocketStream<Io>, Message>,
    mut texts: mpsc::UnboundedReceiver<String>,
) -> tungstenite::Result<()> {
    while let Some(text) = texts.recv().await {
        sink.feed(Message::text(text)).await?;
        while let Ok(text) = texts.try_recv() {
            sink.feed(Message::text(text)).await?;
        }
        sink.flush().await?;
    }
    sink.close().await
}
