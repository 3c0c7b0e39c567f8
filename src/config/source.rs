//! Where values come from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{error::ConfigError, file, key};

/// What decides beside the defaults, all as text.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Which set of defaults.
    pub profile: Profile,
    /// The file, if there is one.
    pub file: Option<ConfigFile>,
    /// Variables with the prefix `PLAYHOUSE_`; others are ignored.
    pub environment: Vec<(String, String)>,
    /// Keys and values from the command line.
    pub flags: Vec<(String, String)>,
}

/// The text of a configuration file.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Where it lies, for messages.
    pub path: PathBuf,
    /// TOML.
    pub text: String,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For a cluster: listens everywhere, keeps data under `/var/lib`.
    #[default]
    Run,
    /// For one person's machine: listens on loopback, keeps data under `.playhouse`.
    Dev,
}

/// Who decided a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody.
    Default,
    /// The profile `dev`.
    Profile,
    /// A line of the file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, counting from 1.
        line: usize,
    },
    /// A variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile => f.write_str("default of dev"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// What `dev` decides.
const DEV: &[(&str, &str)] = &[
    ("node.data_dir", ".playhouse/playhouse-0"),
    ("node.shards", "16"),
    ("gateway.listen", "127.0.0.1:8080"),
    ("ops.listen", "127.0.0.1:9090"),
    ("peer.listen", "127.0.0.1:4370"),
];

/// A value as it was written, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) origin: Origin,
}

pub(super) type Entries = BTreeMap<String, Entry>;

impl Sources {
    /// Takes the variables with the prefix `PLAYHOUSE_`.
    #[must_use]
    pub fn with_env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Takes keys and values from the command line.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = (String, String)>) -> Self {
        self.flags.extend(flags);
        self
    }
}

/// Lays the sources over each other; later ones win.
pub(super) fn entries(sources: &Sources) -> (Entries, Vec<ConfigError>) {
    let mut entries = Entries::new();
    let mut faults = Vec::new();
    if sources.profile == Profile::Dev {
        lay(
            &mut entries,
            DEV.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned(), Origin::Profile)),
        );
    }
    if let Some(file) = &sources.file {
        match file::read(file) {
            Ok(lines) => lay(&mut entries, lines),
            Err(error) => faults.push(error),
        }
    }
    let variables = sources.environment.iter().filter_map(|(name, text)| {
        let key = key::of_variable(name)?;
        Some((key, text.clone(), Origin::Environment(name.clone())))
    });
    lay(&mut entries, variables);
    lay(&mut entries, sources.flags.iter().map(|(key, text)| (key.clone(), text.clone(), Origin::Flag)));
    (entries, faults)
}

fn lay(entries: &mut Entries, layer: impl IntoIterator<Item = (String, String, Origin)>) {
    entries.extend(layer.into_iter().map(|(key, text, origin)| (key, Entry { text, origin })));
}
