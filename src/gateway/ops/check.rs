//! Something that holds or does not.

use futures_util::{FutureExt, future::BoxFuture};

/// A condition of the node that a probe asks for.
///
/// Rules: it looks and changes nothing; it may wait, but a probe stops waiting; several probes may run it at once.
pub trait Check: Send + Sync + 'static {
    /// Its stable name, such as `store`.
    fn name(&self) -> &str;

    /// Looks. The error says what is wrong, for people.
    fn run(&self) -> BoxFuture<'_, Result<(), String>>;
}

struct Named<F> {
    name: String,
    run: F,
}

impl<F, R> Check for Named<F>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), String>> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self) -> BoxFuture<'_, Result<(), String>> {
        (self.run)().boxed()
    }
}

/// A check made of a function.
///
/// ```
/// use playhouse::gateway::ops::check;
///
/// let never_joined = check("joined", || async { Err("no peer answered yet".to_owned()) });
/// assert_eq!(never_joined.name(), "joined");
/// ```
pub fn check<F, R>(name: impl Into<String>, run: F) -> std::sync::Arc<dyn Check>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), String>> + Send + 'static,
{
    std::sync::Arc::new(Named { name: name.into(), run })
}
