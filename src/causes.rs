//! Why something failed, in one line of words.
//!
//! Comes in: an error with its sources. Leaves: what each of them says, once.

use std::error::Error as StdError;

/// An error with everything that led to it.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    // A wrapper that says the same as what it wraps would say it twice.
    words.dedup_by(|inner, outer| outer.ends_with(inner.as_str()));
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Says(&'static str, #[source] Option<Box<Says>>);

    #[test]
    fn a_cause_that_repeats_its_wrapper_is_told_once() {
        let inner = Says("connection refused", None);
        let wrapper = Says("tcp: connection refused", Some(Box::new(inner)));
        let outer = Says("could not connect", Some(Box::new(wrapper)));
        assert_eq!(chain(&outer), "could not connect: tcp: connection refused");
    }
}
