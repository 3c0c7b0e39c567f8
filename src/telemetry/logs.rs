//! Log lines on stderr, as JSON for machines or as text for people.

use std::{fmt, str::FromStr};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{MakeWriter, layer},
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Human,
}

/// Which lines are written: `info`, or `warn,playhouse=debug,openraft=error`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevels(Targets);

/// A text that does not say which lines are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a log level: use off, error, warn, info, debug or trace, or pairs such as `warn,playhouse=debug`"
)]
pub struct LogLevelsError(String);

/// The process already has a log subscriber.
#[derive(Debug, thiserror::Error)]
#[error("the log subscriber of this process is already installed")]
pub struct InstallError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl FromStr for LogLevels {
    type Err = LogLevelsError;

    fn from_str(text: &str) -> Result<Self, LogLevelsError> {
        let level_of = |part: &str| part.rsplit('=').next().unwrap_or(part).trim().to_owned();
        if !text.split(',').all(|part| level_of(part).parse::<LevelFilter>().is_ok()) {
            return Err(LogLevelsError(text.to_owned()));
        }
        text.parse().map(Self).map_err(|_| LogLevelsError(text.to_owned()))
    }
}

impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A subscriber that writes to `writer`.
pub fn subscriber<W>(format: LogFormat, levels: LogLevels, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = match format {
        LogFormat::Json => layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Human => layer().with_target(false).with_writer(writer).boxed(),
    };
    registry().with(lines.with_filter(levels.0))
}

/// Writes the log of this process to stderr. Only `main` calls this, once.
///
/// # Errors
///
/// When a subscriber is installed already; it stays.
pub fn install(format: LogFormat, levels: LogLevels) -> Result<(), InstallError> {
    let subscriber = subscriber(format, levels, std::io::stderr);
    subscriber.try_init().map_err(|error| InstallError(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, levels: &str) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = subscriber(format, levels.parse().unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(shard = 7, "leadership gained");
            tracing::debug!("not asked for");
        });
        let bytes = paper.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_its_fields_beside_the_message() {
        let line: serde_json::Value = serde_json::from_str(&written(LogFormat::Json, "info")).unwrap();
        assert_eq!((&line["level"], &line["shard"]), (&"INFO".into(), &7.into()));
        assert_eq!(line["message"], "leadership gained");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn a_level_hides_what_is_below_it() {
        let text = written(LogFormat::Human, "info");
        assert!(text.contains("leadership gained") && text.contains("shard"), "{text}");
        assert!(!text.contains("not asked for"));
        assert_eq!(written(LogFormat::Human, "info,playhouse=warn"), "");
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        assert!("inof".parse::<LogLevels>().is_err());
        assert!("warn,playhouse=chatty".parse::<LogLevels>().is_err());
        assert!("warn,playhouse=debug".parse::<LogLevels>().is_ok());
    }
}
