//! What waits to be sent to one node, in order.
//!
//! Comes in: frames, as messages (which are refused when too much waits) or as signals (of which none may be lost). Leaves: the
//! oldest frame, to the one task that sends.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a frame takes beside its bytes while it waits.
const FRAME_BYTES: usize = 64;

pub(super) struct Line {
    state: Mutex<State>,
    /// There is something to send, or never will be.
    news: Notify,
    messages_bytes_max: usize,
    signals_bytes_max: usize,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Waiting>,
    messages_bytes: usize,
    signals_bytes: usize,
    is_closed: bool,
}

struct Waiting {
    frame: Vec<u8>,
    is_message: bool,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    Full,
    Closed,
}

impl Line {
    pub(super) fn new(messages_bytes_max: usize, signals_bytes_max: usize) -> Self {
        Self { state: Mutex::default(), news: Notify::new(), messages_bytes_max, signals_bytes_max }
    }

    /// Takes a message, if there is room.
    pub(super) fn message(&self, frame: Vec<u8>) -> Result<(), LineError> {
        self.push(frame, true)
    }

    /// Takes a signal. `Full`: so much waits that the connection cannot go on.
    pub(super) fn signal(&self, frame: Vec<u8>) -> Result<(), LineError> {
        self.push(frame, false)
    }

    fn push(&self, frame: Vec<u8>, is_message: bool) -> Result<(), LineError> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(LineError::Closed);
        }
        let (waiting, bytes_max) = state.counter(is_message, self);
        if *waiting > 0 && *waiting + weight(&frame) > bytes_max {
            return Err(LineError::Full);
        }
        *waiting += weight(&frame);
        state.frames.push_back(Waiting { frame, is_message });
        drop(state);
        self.news.notify_one();
        Ok(())
    }

    /// The oldest frame, once there is one; `None` when no more will be sent. One task asks.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let news = self.news.notified();
            {
                let mut state = self.state.lock();
                if state.is_closed {
                    return None;
                }
                if let Some(Waiting { frame, is_message }) = state.frames.pop_front() {
                    *state.counter(is_message, self).0 -= weight(&frame);
                    return Some(frame);
                }
            }
            news.await;
        }
    }

    /// Nothing is sent any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { is_closed: true, ..State::default() };
        drop(state);
        self.news.notify_one();
    }
}

fn weight(frame: &[u8]) -> usize {
    FRAME_BYTES + frame.len()
}

impl State {
    fn counter(&mut self, is_message: bool, line: &Line) -> (&mut usize, usize) {
        if is_message {
            (&mut self.messages_bytes, line.messages_bytes_max)
        } else {
            (&mut self.signals_bytes, line.signals_bytes_max)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn messages_are_refused_when_too_much_waits_and_signals_still_go() {
        let line = Line::new(FRAME_BYTES + 10, FRAME_BYTES + 10);
        line.message(vec![1; 6]).unwrap();
        assert_eq!(line.message(vec![2; 6]), Err(LineError::Full));
        line.signal(vec![3; 6]).unwrap();
        assert_eq!(line.signal(vec![4; 6]), Err(LineError::Full));
        assert_eq!(line.next().now_or_never(), Some(Some(vec![1; 6])));
        line.message(vec![5; 6]).unwrap();
        assert_eq!(line.next().now_or_never(), Some(Some(vec![3; 6])), "in the order in which they came");
        assert_eq!(line.next().now_or_never(), Some(Some(vec![5; 6])));
        assert_eq!(line.next().now_or_never(), None);
    }

    #[tokio::test]
    async fn who_sends_is_told_of_the_end() {
        let line = Line::new(FRAME_BYTES + 10, FRAME_BYTES + 10);
        line.message(vec![1]).unwrap();
        let (next, ()) = tokio::join!(
            async {
                line.next().await;
                line.next().await
            },
            async { line.close() }
        );
        assert_eq!(next, None);
        assert_eq!(line.message(vec![1]), Err(LineError::Closed));
    }
}
