//! The subscriptions of one connection.

use std::{
    collections::BTreeMap,
    task::{Context, Poll, ready},
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, AbortHandle, BoxStream, SelectAll, abortable},
};

use super::{super::entities::Items, frame::Id};
use crate::protocol::{CallError, Published};

/// What happened to a subscription.
#[derive(Debug)]
pub(super) enum News {
    /// It began.
    Subscribed {
        /// Items behind this one follow.
        revision: u64,
    },
    /// It could not begin.
    Refused(CallError),
    /// Something was published.
    Published(Published),
    /// It ended by itself: too slow, or the node stops.
    Ended,
}

/// All subscriptions, merged.
#[derive(Default)]
pub(super) struct Subscriptions {
    streams: SelectAll<BoxStream<'static, (Id, News)>>,
    open: BTreeMap<Id, AbortHandle>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.open.contains_key(id)
    }

    /// Begins one. Its first news say whether it did.
    pub(super) fn add(&mut self, id: Id, subscribing: BoxFuture<'static, Result<(u64, Items), CallError>>) {
        let name = id.clone();
        let news = stream::once(subscribing).flat_map(news).map(move |news| (name.clone(), news));
        let (news, handle) = abortable(news);
        self.open.insert(id, handle);
        self.streams.push(news.boxed());
    }

    /// Ends one; `false` when there is none of that name. No more news come of it.
    pub(super) fn remove(&mut self, id: &Id) -> bool {
        let removed = self.open.remove(id);
        removed.inspect(AbortHandle::abort).is_some()
    }

    /// The next news. Pending while there are no subscriptions.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(Id, News)> {
        let Some((id, news)) = ready!(self.streams.poll_next_unpin(context)) else { return Poll::Pending };
        if matches!(news, News::Refused(_) | News::Ended) {
            self.open.remove(&id);
        }
        Poll::Ready((id, news))
    }
}

fn news(outcome: Result<(u64, Items), CallError>) -> impl Stream<Item = News> + Send {
    match outcome {
        Err(error) => stream::once(async { News::Refused(error) }).boxed(),
        Ok((revision, items)) => {
            let begin = stream::once(async move { News::Subscribed { revision } });
            let end = async { News::Ended }.into_stream();
            begin.chain(items.map(News::Published)).chain(end).boxed()
        }
    }
}
