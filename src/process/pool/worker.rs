//! The actor that runs a worker: it says when it is there, and when a job is done.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, Message};

use super::{Worker, contained::Contained, desk::DeskMessage};
use crate::process::{ExitReason, Process};

/// Runs a worker.
pub(super) struct Hand<W> {
    pub(super) worker: W,
    pub(super) work_max: Option<Duration>,
}

/// Where a worker belongs: what it is started with, again and again.
pub struct Place<W: Worker> {
    pub(super) number: usize,
    pub(super) desk: Process<DeskMessage<W>>,
}

impl<W: Worker> Clone for Place<W> {
    fn clone(&self) -> Self {
        Self { number: self.number, desk: self.desk.clone() }
    }
}

/// A job under way to its worker.
pub(super) struct Given<J>(pub(super) Contained<J>);

impl<J: Send + 'static> Message for Given<J> {}

impl<W: Worker> Actor for Hand<W> {
    type Msg = Given<W::Job>;
    type State = (Place<W>, W::State);
    type Arguments = (Place<W>, W::Arguments);

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        (place, arguments): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok((place, self.worker.start(arguments).await?))
    }

    async fn post_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (place, _): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let myself = Process::of(&myself).ok_or("a worker is a process")?;
        place.tell(DeskMessage::Arrived(place.number, myself));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        Given(job): Given<W::Job>,
        (place, state): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let myself = Process::of(&myself).ok_or("a worker is a process")?;
        let worked = self.work(job.release(), state).await;
        let answer = worked.map_err(|error| match ExitReason::of_failure(&error) {
            // Whatever it says, it leaves its place empty: it is to be replaced.
            reason if reason.is_abnormal() => reason,
            reason => ExitReason::crashed(reason.to_string()),
        })?;
        place.tell(DeskMessage::Finished(place.number, myself.id(), Contained::new(answer)));
        Ok(())
    }
}

impl<W: Worker> Hand<W> {
    async fn work(&self, job: W::Job, state: &mut W::State) -> Result<W::Answer, ActorProcessingErr> {
        let work = self.worker.work(job, state);
        match self.work_max {
            None => work.await,
            Some(work_max) => tokio::time::timeout(work_max, work)
                .await
                .unwrap_or_else(|_| Err(format!("a job took longer than {work_max:?}").into())),
        }
    }
}

impl<W: Worker> Place<W> {
    /// Not counted as a message: there is at most one of each worker. A desk that has ended wants no news.
    fn tell(&self, news: DeskMessage<W>) {
        if let Some(desk) = self.desk.here() {
            drop(desk.notify(news, None));
        }
    }
}
