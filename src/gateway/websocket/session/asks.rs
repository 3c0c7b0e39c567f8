//! What a client asks, one function each.

use std::time::Duration;

use axum::extract::ws::Message;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::{
    super::{
        super::{
            code::Code,
            counts::FrameKind,
            headers::{checked_idempotency_key, checked_timeout},
            problem::Problem,
            visit::{Visit, request_id},
        },
        frame::{Ask, Command, Frame, Id, Subscribe},
        reply,
    },
    Session,
};
use crate::{
    protocol::{Body, CallError, EntityId, Reply, Request, RequestId},
    telemetry::traces::SpanContext,
};

impl Session<'_> {
    pub(super) fn ask(&mut self, Frame { id, ask }: Frame) {
        let outcome = match ask {
            Ask::Call(command) => self.call(&id, command),
            Ask::Cast(command) => self.cast(&id, command),
            Ask::Subscribe(wish) => self.subscribe(&id, wish),
            Ask::Unsubscribe => self.unsubscribe(&id),
        };
        if let Err(problem) = outcome {
            self.refuse(Some(&id), &problem);
        }
    }

    fn call(&mut self, id: &Id, command: Command) -> Result<(), Problem> {
        self.hall.counts.frame(FrameKind::Call);
        self.command(id, command, ".call", |id, request_id, answer| match answer {
            Ok(answer) => reply::reply(&id, &answer, &request_id),
            Err(error) => reply::problem(Some(&id), &error.into(), &request_id),
        })
    }

    fn cast(&mut self, id: &Id, command: Command) -> Result<(), Problem> {
        self.hall.counts.frame(FrameKind::Cast);
        self.command(id, command, ".cast", |id, request_id, answer| match answer {
            Ok(_) => reply::accepted(&id),
            Err(error) => reply::problem(Some(&id), &error.into(), &request_id),
        })
    }

    /// Hands a command over before the next frame is read: that is what makes the order of a connection.
    fn command(
        &mut self,
        id: &Id,
        command: Command,
        path: &str,
        answer: impl FnOnce(Id, RequestId, Result<Reply, CallError>) -> Message + Send + 'static,
    ) -> Result<(), Problem> {
        if self.pending.len() >= self.hall.options.websocket.requests_max {
            return Err(Problem::new(Code::Overloaded, "too many requests of this connection are under way"));
        }
        let share = self.hall.bodies.share(command.command.len())?;
        let span = self.hall.options.traces.begin(None, &self.hall.environment);
        let request = self.request(command, path, &span)?;
        let (id, request_id, deadline) = (id.clone(), request.request_id.clone(), request.timeout);
        let (traces, clock) = (self.hall.options.traces.clone(), self.hall.environment.clone());
        let began = clock.now();
        let started = self.hall.entities.start(request);
        let waiting = async move {
            let outcome = match started {
                Ok(pending) => timeout(deadline, pending).await.unwrap_or(Err(CallError::DeadlineExceeded)),
                Err(error) => Err(error),
            };
            drop(share);
            let error = outcome.as_ref().err().map(CallError::code);
            let told = || vec![("playhouse.route", "connect".to_owned())];
            traces.record_request(&span, None, (began, clock.now()), error, told);
            answer(id, request_id, outcome)
        };
        self.pending.push(waiting.boxed());
        Ok(())
    }

    fn request(&self, command: Command, path: &str, span: &SpanContext) -> Result<Request, Problem> {
        let target = EntityId::new(&command.kind, &command.key)?;
        let (hall, options) = (self.hall, &self.hall.options);
        let bad = |field: &str, why: String| Problem::invalid_body(&format!("{path}.{field}"), why);
        let timeout = command.timeout_ms.map_or(options.requests.timeout_default, Duration::from_millis);
        let timeout = checked_timeout(timeout, &options.requests).map_err(|why| bad("timeout_ms", why))?;
        let key = command.idempotency_key.as_deref().map(checked_idempotency_key).transpose();
        let idempotency_key = key.map_err(|why| bad("idempotency_key", why))?;
        Ok(Request {
            target,
            body: Body::json(command.command),
            request_id: request_id(idempotency_key.as_ref(), &hall.environment),
            idempotency_key,
            timeout,
            trace: Visit::trace_of(span),
        })
    }

    fn subscribe(&mut self, id: &Id, wish: Subscribe) -> Result<(), Problem> {
        self.hall.counts.frame(FrameKind::Subscribe);
        if self.subscriptions.contains(id) {
            return Err(Problem::invalid_body(".id", "a subscription of this id is open"));
        }
        if self.subscriptions.len() >= self.hall.options.websocket.subscriptions_max {
            return Err(Problem::new(Code::Overloaded, "too many subscriptions of this connection are open"));
        }
        let target = EntityId::new(&wish.kind, &wish.key)?;
        self.subscriptions.add(id.clone(), self.hall.entities.subscribe(target, wish.after));
        Ok(())
    }

    fn unsubscribe(&mut self, id: &Id) -> Result<(), Problem> {
        self.hall.counts.frame(FrameKind::Unsubscribe);
        if !self.subscriptions.remove(id) {
            return Err(Problem::invalid_body(".id", "there is no subscription of this id"));
        }
        self.outbox.push(reply::ended(id, "unsubscribed"));
        Ok(())
    }
}
