//! Takes values out of the sources, and remembers what was asked for.

use super::{
    ConfigErrors, Setting,
    error::ConfigError,
    key,
    source::{Entries, Entry, Origin},
    value::Value,
};

/// Every key that is asked for is known; every other one is an error.
pub(super) struct Reader {
    entries: Entries,
    settings: Vec<Setting>,
    faults: Vec<ConfigError>,
}

impl Reader {
    pub(super) fn new(entries: Entries, faults: Vec<ConfigError>) -> Self {
        Self { entries, settings: Vec::new(), faults }
    }

    /// The value of `key`. A value that cannot be used is noted as a fault, and the default stands in for it.
    pub(super) fn value<T: Value>(
        &mut self,
        key: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> T {
        let fallback = || T::parse(default).expect("a test reads every default");
        let entry = self.entries.remove(key);
        let (value, origin) = match entry {
            None => (fallback(), Origin::Default),
            Some(Entry { text, origin }) => match T::parse(text.trim()) {
                Some(value) => (value, origin),
                None => {
                    self.bad_value::<T>(key, text, origin.clone());
                    (fallback(), origin)
                }
            },
        };
        self.settings.push(Setting { key, value: value.show(), origin, help: help.trim() });
        value
    }

    fn bad_value<T: Value>(&mut self, key: &'static str, given: String, origin: Origin) {
        let allowed = T::ALLOWED.to_owned();
        self.faults.push(ConfigError::BadValue { key: key.to_owned(), given, allowed, origin });
    }

    /// What was read, unless something was wrong or was left over.
    pub(super) fn finish(mut self) -> Result<Vec<Setting>, ConfigErrors> {
        let known: Vec<_> = self.settings.iter().map(|setting| setting.key).collect();
        let unknown = self.entries.into_iter().map(|(key, entry)| ConfigError::UnknownKey {
            nearest: key::nearest(&key, &known),
            key,
            origin: entry.origin,
        });
        self.faults.extend(unknown);
        if self.faults.is_empty() { Ok(self.settings) } else { Err(ConfigErrors(self.faults)) }
    }
}
