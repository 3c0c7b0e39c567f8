//! Tasks without which a node is not whole. One that panics leaves its work undone, silently, for as long as the process lives;
//! a node that is started again does it.

use super::watch;

/// Held by a task, and dropped when it ends or panics.
#[derive(Debug)]
pub(crate) struct Vital {
    name: &'static str,
    panicked: watch::Sender<Option<&'static str>>,
}

impl Vital {
    pub(super) fn new(name: &'static str, panicked: watch::Sender<Option<&'static str>>) -> Self {
        Self { name, panicked }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        tracing::error!(task = self.name, "a task of the node panicked; this is a bug");
        self.panicked.send_first(self.name);
    }
}

#[cfg(test)]
mod tests {
    use crate::environment::Environment;

    #[tokio::test]
    async fn the_first_that_panics_is_told() {
        let environment = Environment::simulated(1);
        environment.spawn_vital("orderly", async {}).await.unwrap();
        let aborted = environment.spawn_vital("aborted", std::future::pending::<()>());
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        assert_eq!(*environment.panicked().borrow(), None);
        for name in ["first", "second"] {
            let task = environment.spawn_vital(name, async { panic!("as the test wants") });
            assert!(task.await.unwrap_err().is_panic());
        }
        let mut panicked = environment.panicked();
        let told = panicked.wait_for(Option::is_some).await.unwrap();
        assert_eq!(*told, Some("first"));
    }
}
