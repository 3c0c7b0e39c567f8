//! The file that says what lies beside it.
//!
//! ```text
//! playhouse store
//! format = 2
//! engine = fjall
//! data = data-5a3c91e07f26b8d4      "-" until the engine was created and synced
//! checksum = 8f1d…                  xxh3_64 of all lines above
//! ```

use std::path::{Path, PathBuf};

use super::{EngineKind, StoreError};
use crate::environment::Environment;
use crate::volume::{self, Sealed};

/// Name of the file.
pub(super) const FILE: &str = "FORMAT";

/// The format that this release writes, and the only one that it reads.
const FORMAT: u32 = 2;

const TITLE: &str = "playhouse store";

/// What lies in the folder of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) engine: EngineKind,
    /// The folder of the engine. None: its creation never ended, so nothing in it was ever acknowledged.
    pub(super) data: Option<String>,
}

impl Format {
    /// Reads what is there. None: the folder is empty or does not exist, so this is a new store.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&path, &String::from_utf8_lossy(&bytes)).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::missing(folder, path),
            Err(error) => Err(StoreError::io(&path, error)),
        }
    }

    /// Without the file the folder must be empty: data of an unknown kind is not ours to overwrite.
    fn missing(folder: &Path, path: PathBuf) -> Result<Option<Self>, StoreError> {
        // A first start that was interrupted may have left this behind.
        let temporary = volume::temporary(Path::new(FILE));
        let is_empty = volume::is_empty_but_for(folder, &temporary);
        if is_empty.map_err(|error| StoreError::io(folder, error))? {
            return Ok(None);
        }
        Err(StoreError::Corrupt { path, reason: "it is missing, but its folder is not empty".to_owned() })
    }

    fn parse(path: &Path, text: &str) -> Result<Self, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { path: path.to_owned(), reason };
        let sealed = Sealed::parse(TITLE, text).map_err(|damage| corrupt(damage.to_string()))?;
        let field = |name: &str| sealed.field(name).ok_or_else(|| corrupt(format!("{name} is missing")));
        let (format, engine) = (field("format")?, field("engine")?);
        if format != FORMAT.to_string() {
            let (path, found) = (path.to_owned(), format.to_owned());
            return Err(StoreError::ForeignFormat { path, found, supported: FORMAT.to_string() });
        }
        let kind =
            EngineKind::named(engine).ok_or_else(|| corrupt(format!("no engine is called {engine}")))?;
        let data = field("data")?;
        Ok(Self { engine: kind, data: (data != "-").then(|| data.to_owned()) })
    }

    /// Replaces the file; durable when it returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let mut sealed = Sealed::new(TITLE);
        sealed.set("format", FORMAT);
        sealed.set("engine", self.engine.name());
        sealed.set("data", self.data.as_deref().unwrap_or("-"));
        let path = folder.join(FILE);
        volume::replace(&path, &sealed.to_text()).map_err(|error| StoreError::io(&path, error))
    }

    /// A name for the folder of a new engine, which no earlier attempt used.
    pub(super) fn new_data_folder(folder: &Path, environment: &Environment) -> String {
        let mut names = std::iter::repeat_with(|| format!("data-{:016x}", environment.random_u64()));
        names.find(|name| !folder.join(name).exists()).expect("some number was not used yet")
    }
}
