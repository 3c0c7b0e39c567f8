//! One operation until its deadline: attempts, pauses, failover.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use tokio::time::{Instant, sleep};

use crate::{
    Failure, GaveUp, IdempotencyKey, Outcome, Problem, client::Shared, error::Ended, gateways::Picked,
    transport::Answer,
};

/// The longest `Request-Timeout` that the server takes.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// What is to be done, whoever does it and however often it takes.
#[derive(Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) method: Method,
    /// With its query; begins with a slash.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) key: Option<&'a IdempotencyKey>,
    pub(crate) timeout: Duration,
}

impl Operation<'_> {
    /// Reading twice does no harm, nor does a command with a key.
    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.key.is_some()
    }
}

/// An operation on its way.
struct Course<'a> {
    shared: &'a Shared,
    operation: &'a Operation<'a>,
    start: Instant,
    attempts: u32,
    outcome: Outcome,
    token_was_reloaded: bool,
}

/// Does `operation`, as often as it is safe and useful, until it is answered or its time is over.
pub(crate) async fn run(shared: &Shared, operation: &Operation<'_>) -> Result<Answer, Ended> {
    let start = Instant::now();
    let outcome = Outcome::NothingHappened;
    let course = Course { shared, operation, start, attempts: 0, outcome, token_was_reloaded: false };
    course.run().await
}

impl Course<'_> {
    async fn run(mut self) -> Result<Answer, Ended> {
        loop {
            let picked = self.shared.gateways.pick(Instant::now());
            let failure = match self.attempt(picked).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            self.note(picked, &failure);
            match self.pause_after(&failure) {
                Some(pause) => sleep(pause).await,
                None => return Err(self.end(failure)),
            }
        }
    }

    async fn attempt(&mut self, picked: Picked) -> Result<Answer, Failure> {
        self.attempts += 1;
        let wait = self.remaining().min(self.shared.config.attempt_timeout);
        let address = self.shared.gateways.address(picked);
        let token = self.shared.config.token.as_ref().map(crate::Token::header);
        let request = self.request(picked, wait, token.as_ref());
        let answer = self.shared.transport.exchange(address, request, wait).await?;
        if answer.status.is_success() {
            self.shared.gateways.worked(picked);
            return Ok(answer);
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            self.reload_token(token.as_ref());
        }
        Err(Failure::Problem(Problem::read(answer.status, &answer.headers, &answer.body)))
    }

    fn request(&self, picked: Picked, wait: Duration, token: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let operation = self.operation;
        let mut request = Request::builder()
            .method(operation.method.clone())
            .uri(self.shared.gateways.address(picked).join(&operation.path))
            .header(ACCEPT, "application/json")
            .header("request-timeout", request_timeout(wait));
        if operation.method != Method::GET {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = operation.key {
            request = request.header("idempotency-key", key.as_str());
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(Full::new(operation.body.clone())).expect("paths are encoded and keys are checked")
    }

    /// A token file that changed since is worth one more attempt.
    fn reload_token(&mut self, refused: Option<&HeaderValue>) {
        if self.token_was_reloaded {
            self.token_was_reloaded = false;
            return;
        }
        let token = self.shared.config.token.as_ref();
        self.token_was_reloaded = token.zip(refused).is_some_and(|(token, refused)| token.reload(refused));
    }

    fn note(&mut self, picked: Picked, failure: &Failure) {
        if failure.blames_gateway() {
            self.shared.gateways.failed(picked, Instant::now());
        } else {
            self.shared.gateways.worked(picked);
        }
        if !failure.nothing_happened() {
            self.outcome = Outcome::Unknown;
        }
    }

    /// How long to wait before the next attempt, or `None` when there shall be none.
    fn pause_after(&self, failure: &Failure) -> Option<Duration> {
        if is_unauthorized(failure) {
            return self.token_was_reloaded.then_some(Duration::ZERO);
        }
        let safe = self.operation.is_repeatable() || self.outcome == Outcome::NothingHappened;
        if !safe || !failure.is_retryable() {
            return None;
        }
        let another = failure.blames_gateway() && self.shared.gateways.any_ready(Instant::now());
        let pause = match failure.retry_after() {
            _ if another => Duration::ZERO,
            Some(asked) => asked.max(self.shared.pause(1)),
            None => self.shared.pause(self.attempts),
        };
        (pause < self.remaining()).then_some(pause)
    }

    fn end(self, failure: Failure) -> Ended {
        match failure {
            Failure::Problem(problem) if !problem.is_retryable() => Ended::Rejected(problem),
            last => Ended::GaveUp(Box::new(GaveUp {
                attempts: self.attempts,
                elapsed: self.start.elapsed(),
                outcome: self.outcome,
                idempotency_key: self.operation.key.cloned(),
                last,
            })),
        }
    }

    fn remaining(&self) -> Duration {
        self.operation.timeout.saturating_sub(self.start.elapsed())
    }
}

fn is_unauthorized(failure: &Failure) -> bool {
    matches!(failure, Failure::Problem(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16())
}

/// A little less than we wait ourselves, so that the server's own words about it still arrive.
fn request_timeout(wait: Duration) -> String {
    let reserve = (wait / 10).min(Duration::from_millis(100));
    let millis = (wait - reserve).min(REQUEST_TIMEOUT_MAX).as_millis().max(1);
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_given_a_little_less_time_than_we_wait() {
        assert_eq!(request_timeout(Duration::from_secs(5)), "4900ms");
        assert_eq!(request_timeout(Duration::from_millis(100)), "90ms");
        assert_eq!(request_timeout(Duration::from_secs(3600)), "60000ms");
        assert_eq!(request_timeout(Duration::ZERO), "1ms");
    }
}
