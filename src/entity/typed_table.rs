//! The resident entities of one kind in one shard: wake, execute, passivate.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use playhouse_cluster::collections::Hasher;

use super::{
    Change, Command, Context, Durability, Effects, Entity, Executed, Loaded, Outcome, Refusal, Scope, Spawn,
    SpawnedFuture, Surroundings, Table, TableStatistics, TimerChange,
    crashes::Crashes,
    resident::{self, Next, Resident},
};
use crate::protocol::{CallError, Content, Key, Refused, codec};

/// How many characters are said of what is wrong with a body.
const QUOTED_CHARS_MAX: usize = 512;

/// The resident entities of kind `E` in one shard.
pub(crate) struct TypedTable<E: Entity> {
    #[allow(clippy::disallowed_types)] // Seeded by the environment: keys are chosen by clients.
    residents: std::collections::HashMap<Key, Resident<E>, Hasher>,
    /// What handlers may ask for.
    surroundings: Surroundings,
    crashes: Crashes,
    statistics: TableStatistics,
    /// Where the next search for idle residents begins.
    sweep: usize,
}

impl<E: Entity> TypedTable<E> {
    #[allow(clippy::disallowed_types)]
    pub(crate) fn new(hasher: Hasher, surroundings: Surroundings) -> Self {
        Self {
            residents: std::collections::HashMap::with_hasher(hasher),
            surroundings,
            crashes: Crashes::default(),
            statistics: TableStatistics::default(),
            sweep: 0,
        }
    }

    /// Makes the entity resident, if it is not.
    fn wake(&mut self, key: &Key, scope: &Scope<'_>) -> Result<(), CallError> {
        if self.residents.contains_key(key) {
            return Ok(());
        }
        let loaded = match E::DURABILITY {
            Durability::Volatile => Loaded { stored: None, proposal: 0 },
            Durability::Replicated => {
                scope.records.load(E::KIND, key).map_err(|error| CallError::UnreadableState {
                    entity: resident::entity_name::<E>(key),
                    reason: error.to_string(),
                })?
            }
        };
        let woken = catch_unwind(AssertUnwindSafe(|| resident::revive::<E>(key, loaded.stored)));
        let mut resident = woken.map_err(|_| self.crashed(key, scope))??;
        resident.proposal = loaded.proposal;
        self.statistics.woken += 1;
        self.statistics.resident_bytes += resident.bytes as usize;
        self.residents.insert(key.clone(), resident);
        Ok(())
    }

    /// Notes a crash. The entity is woken again from what is stored and in the pipeline; a `Volatile` one, of which
    /// nothing is stored, stays: its handler could not change it, and its events fold into a copy.
    fn crashed(&mut self, key: &Key, scope: &Scope<'_>) -> CallError {
        if E::DURABILITY == Durability::Replicated {
            self.forget(key);
        }
        self.statistics.crashed += 1;
        self.crashes.note(key, scope.now_ms, scope.limits);
        tracing::error!(kind = E::KIND, %key, "a handler panicked; the entity is as it was");
        CallError::Crashed
    }

    fn forget(&mut self, key: &Key) {
        if let Some(resident) = self.residents.remove(key) {
            self.statistics.resident_bytes -= resident.bytes as usize;
        }
    }

    fn refused(&self, key: &Key, error: CallError) -> Outcome {
        let resident = self.residents.get(key);
        Outcome {
            reply: Err(error),
            revision: resident.map_or(0, |resident| resident.revision),
            saw: resident.map_or(0, |resident| resident.proposal),
            executed: None,
        }
    }

    /// Executes a command. `saw` is set once the state was looked at: the reply, whichever it is, waits for that
    /// proposal. One look into the table per command: it is what a command costs most.
    fn run(
        &mut self,
        key: &Key,
        command: Command<'_>,
        scope: &Scope<'_>,
        saw: &mut Option<u64>,
    ) -> Result<Outcome, CallError> {
        self.crashes.check(key, scope.now_ms, scope.limits)?;
        let decoded = catch_unwind(AssertUnwindSafe(|| decode_command::<E>(command)));
        let (command, content) = decoded.map_err(|_| self.crashed(key, scope))??;
        let resident = match self.residents.get_mut(key) {
            Some(resident) => resident,
            None => {
                self.wake(key, scope)?;
                self.residents.get_mut(key).expect("it was woken above")
            }
        };
        *saw = Some(resident.proposal);
        let encodes = scope.wants_reply || E::DURABILITY == Durability::Replicated;
        let mut context = Context::<E>::new(key, scope.now_ms, resident.revision, scope.request_id);
        context.set_surroundings(&self.surroundings);
        let handled = catch_unwind(AssertUnwindSafe(|| {
            let handled = resident.state.handle(command, &mut context);
            let encode = |reply| if encodes { encode_reply(&reply, content) } else { Ok(Bytes::new()) };
            handled.map(encode).map_err(|refusal| refused(&refusal))
        }));
        let reply = match handled {
            Err(_) => return Err(self.crashed(key, scope)),
            Ok(Err(refusal)) => return Err(CallError::Refused(refusal)),
            Ok(Ok(reply)) => reply,
        };
        let effects = context.into_effects();
        if let Some(fault) = effects.fault.as_ref().or(reply.as_ref().err()) {
            tracing::error!(kind = E::KIND, %key, fault, "a handler stated something that cannot be encoded");
            return Err(self.crashed(key, scope));
        }
        let reply = reply.unwrap_or_default();
        resident::check("the reply", reply.len(), scope.limits.reply_bytes_max)?;
        let folds = matches!(effects.change, Change::Emit(_)) && E::DURABILITY == Durability::Replicated;
        let before = resident.bytes as usize;
        match accept(resident, key, effects, scope) {
            Ok(executed) => {
                let bytes = self.statistics.resident_bytes + resident.bytes as usize;
                self.statistics.resident_bytes = bytes - before;
                let (revision, saw) = (resident.revision, resident.proposal);
                Ok(Outcome { reply: Ok(reply), revision, saw, executed: Some(executed) })
            }
            Err(Fault::Panic) => Err(self.crashed(key, scope)),
            Err(Fault::Error(error)) => {
                if folds {
                    // Events are folded in place; half a change is undone by waking it again.
                    self.forget(key);
                }
                Err(error)
            }
        }
    }
}

/// Why effects were not accepted.
enum Fault {
    /// [`Entity::apply`] panicked.
    Panic,
    /// A bound was reached.
    Error(CallError),
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Self::Error(error)
    }
}

/// Checks the bounds, encodes the effects, and makes the new state the current one.
fn accept<E: Entity>(
    resident: &mut Resident<E>,
    key: &Key,
    mut effects: Effects<E>,
    scope: &Scope<'_>,
) -> Result<Executed, Fault> {
    let is_write = effects.is_write();
    check_casts(&effects, scope)?;
    check_timers(&effects, scope)?;
    let change = std::mem::replace(&mut effects.change, Change::Keep);
    let folded = catch_unwind(AssertUnwindSafe(|| match change {
        Change::Keep => Ok(Next::Keep),
        Change::Remove => Ok(Next::Remove(E::birth(key))),
        Change::Save(state) => resident::encode_image(state, scope.limits),
        Change::Emit(events) => resident::fold_events(resident, events, scope.limits),
    }));
    let next = folded.map_err(|_| Fault::Panic)??;
    let size = next.record_bytes()
        + effects.casts.iter().map(|cast| cast.body.len() + 600).sum::<usize>()
        + effects.timers.iter().map(timer_bytes).sum::<usize>()
        + effects.published.iter().map(Bytes::len).sum::<usize>();
    resident::check("what the command states", size, scope.limits.effects_bytes_max)?;
    resident.used_ms = scope.now_ms;
    if is_write && E::DURABILITY == Durability::Replicated {
        resident.proposal = scope.proposal;
    }
    let record = resident.change(next);
    Ok(Executed {
        record,
        casts: effects.casts,
        timers: effects.timers,
        published: effects.published,
        spawns: effects.spawns.into_iter().map(erase::<E>).collect(),
        is_write,
    })
}

impl<E: Entity> Table for TypedTable<E> {
    fn is_volatile(&self) -> bool {
        E::DURABILITY == Durability::Volatile
    }

    fn execute(&mut self, key: &Key, command: Command<'_>, scope: &Scope<'_>) -> Outcome {
        let mut saw = None;
        self.run(key, command, scope, &mut saw).unwrap_or_else(|error| {
            let refused = self.refused(key, error);
            Outcome { saw: saw.unwrap_or(refused.saw), ..refused }
        })
    }

    fn view(&mut self, key: &Key, scope: &Scope<'_>) -> Outcome {
        if let Err(error) = self.wake(key, scope) {
            return self.refused(key, error);
        }
        let resident = self.residents.get_mut(key).expect("it was woken above");
        resident.used_ms = scope.now_ms;
        let (revision, saw) = (resident.revision, resident.proposal);
        let shown = catch_unwind(AssertUnwindSafe(|| resident.state.show().to_string()));
        let reply = shown.map(Bytes::from).map_err(|_| CallError::Crashed);
        Outcome { reply, revision, saw, executed: None }
    }

    fn passivate(&mut self, idle_before_ms: u64, applied: u64, count_max: usize) -> usize {
        let idle = |resident: &Resident<E>| resident.used_ms < idle_before_ms && resident.proposal <= applied;
        let keys: Vec<Key> = self
            .residents
            .iter()
            .skip(self.sweep)
            .take(count_max)
            .filter(|(_, resident)| idle(resident))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter().for_each(|key| self.forget(key));
        self.statistics.passivated += keys.len() as u64;
        let looked = self.sweep + count_max - keys.len();
        self.sweep = if looked >= self.residents.len() { 0 } else { looked };
        if self.residents.is_empty() {
            self.residents.shrink_to_fit();
        }
        keys.len()
    }

    fn statistics(&self, now_ms: u64) -> TableStatistics {
        let overhead = size_of::<Resident<E>>() + size_of::<Key>() + 16;
        TableStatistics {
            resident: self.residents.len(),
            resident_bytes: self.statistics.resident_bytes + self.residents.len() * overhead,
            quarantined: self.crashes.quarantined(now_ms),
            ..self.statistics
        }
    }
}

fn check_casts<E: Entity>(effects: &Effects<E>, scope: &Scope<'_>) -> Result<(), CallError> {
    let (count, count_max) = (effects.casts.len(), scope.limits.casts_max);
    if count > count_max {
        // No later time makes it fit, so it is not a matter of load.
        let what = "the list of casts that one command states (counted, not in bytes)".to_owned();
        return Err(CallError::TooLarge { what, bytes: count as u64, bytes_max: count_max as u64 });
    }
    if count > scope.casts_room {
        let what = "the outbox of this shard is full: casts wait for their acknowledgement".to_owned();
        return Err(CallError::Overloaded { what });
    }
    Ok(())
}

/// Those of `Volatile` entities are in memory. One that moves a timer must find room, too.
fn check_timers<E: Entity>(effects: &Effects<E>, scope: &Scope<'_>) -> Result<(), CallError> {
    let set = effects.timers.iter().filter(|change| matches!(change, TimerChange::Set { .. })).count();
    if E::DURABILITY == Durability::Volatile && set > scope.timers_room {
        let what = "this shard has as many timers of entities in memory as it may".to_owned();
        return Err(CallError::Overloaded { what });
    }
    Ok(())
}

fn timer_bytes(change: &TimerChange) -> usize {
    match change {
        TimerChange::Set { command, .. } => command.len() + 600,
        TimerChange::Cancel { .. } => 600,
    }
}

fn refused(refusal: &impl Refusal) -> Refused {
    Refused { code: refusal.code().to_owned(), message: refusal.to_string(), class: refusal.class() }
}

fn decode_command<E: Entity>(command: Command<'_>) -> Result<(E::Command, Content), CallError> {
    match command {
        Command::Typed(command) => {
            let command = command.downcast::<E::Command>().expect("spawned work returns the kind's command");
            Ok((*command, Content::Binary))
        }
        Command::Encoded(Content::Binary, bytes) => {
            let decoded = codec::decode(bytes).map_err(|error| invalid(".", &error))?;
            Ok((decoded, Content::Binary))
        }
        Command::Encoded(Content::Json, bytes) => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let decoded = serde_path_to_error::deserialize(&mut json)
                .map_err(|error| invalid(&json_path(error.path()), error.inner()))?;
            json.end().map_err(|error| invalid(".", &error))?;
            Ok((decoded, Content::Json))
        }
    }
}

/// `.items[2].name`; `.` for the whole body.
fn json_path(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if text.starts_with(['.', '[']) { text } else { format!(".{text}") }
}

fn invalid(path: &str, message: &impl ToString) -> CallError {
    CallError::InvalidBody { path: shorten(path), message: shorten(&message.to_string()) }
}

/// What is said of a body may quote it, and a body may be large: of a long text the beginning and the end.
fn shorten(text: &str) -> String {
    let Some((head, _)) = text.char_indices().nth(QUOTED_CHARS_MAX / 2) else { return text.to_owned() };
    match text.char_indices().rev().nth(QUOTED_CHARS_MAX / 2 - 1) {
        Some((tail, _)) if tail > head => format!("{} … {}", &text[..head], &text[tail..]),
        _ => text.to_owned(),
    }
}

fn encode_reply<R: serde::Serialize>(reply: &R, content: Content) -> Result<Bytes, String> {
    match content {
        Content::Json => serde_json::to_vec(reply).map(Bytes::from).map_err(|error| error.to_string()),
        Content::Binary => codec::encode(reply).map(Bytes::from).map_err(|error| error.to_string()),
    }
}

fn erase<E: Entity>(spawned: SpawnedFuture<E>) -> Spawn {
    let boxed = |command: E::Command| -> Box<dyn Any + Send> { Box::new(command) };
    match spawned {
        SpawnedFuture::Future(future) => Spawn::Future(Box::pin(async move { boxed(future.await) })),
        SpawnedFuture::Call { target, body, timeout, then } => {
            Spawn::Call { target, body, timeout, then: Box::new(move |outcome| boxed(then(outcome))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_both_ends_are_told() {
        let whole = "é".repeat(QUOTED_CHARS_MAX);
        assert_eq!(shorten(&whole), whole);
        let short = shorten(&format!("unknown variant `{whole}`, expected `add`"));
        assert!(
            short.starts_with("unknown variant `éé") && short.ends_with("éé`, expected `add`"),
            "{short}"
        );
        assert_eq!(short.chars().count(), QUOTED_CHARS_MAX + 3);
    }
}
