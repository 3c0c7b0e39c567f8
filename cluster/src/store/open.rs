//! From a folder to a store.

use std::{path::Path, sync::Arc};

use super::{Config, Engine, Fjall, Memory, Sled, Store, StoreError, format::Format};
use crate::{environment::Environment, volume};

/// Which engine keeps the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// On disk, `fjall`.
    Fjall,
    /// On disk, `sled`. A commit survives the death of the process, not the loss of power.
    Sled,
    /// In memory: everything is gone with the process. For tests and `dev`.
    Memory,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fjall, Self::Sled, Self::Memory];

    /// The name in the configuration and on the volume.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
    }

    /// The engine of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn start(self, folder: &Path, config: &Config) -> Result<Arc<dyn Engine>, StoreError> {
        match self {
            Self::Fjall => Ok(Fjall::open(folder, config)?),
            Self::Sled => Ok(Sled::open(folder, config)?),
            Self::Memory => Ok(Memory::new()),
        }
    }
}

/// Opens the store in `folder`, or creates it if the folder is empty or does not exist. May take a while: the
/// engine recovers.
///
/// # Errors
///
/// When the folder holds another engine's data, another format, damage, or something that is no store; when
/// another process has it open; when the disk refuses. Nothing was deleted.
pub fn open(
    kind: EngineKind,
    folder: &Path,
    config: &Config,
    environment: &Environment,
) -> Result<Store, StoreError> {
    let engine = match kind {
        EngineKind::Memory => kind.start(folder, config)?,
        EngineKind::Fjall | EngineKind::Sled => open_on_disk(kind, folder, config, environment)?,
    };
    Store::start(engine, environment, config.clone())
}

fn open_on_disk(
    kind: EngineKind,
    folder: &Path,
    config: &Config,
    environment: &Environment,
) -> Result<Arc<dyn Engine>, StoreError> {
    match Format::read(folder)? {
        Some(format) if format.engine != kind => Err(StoreError::OtherEngine {
            path: folder.to_owned(),
            found: format.engine.name(),
            wanted: kind.name(),
        }),
        Some(Format { data: Some(data), .. }) => reopen(kind, &folder.join(data), config),
        Some(Format { data: None, .. }) | None => create(kind, folder, config, environment),
    }
}

fn reopen(kind: EngineKind, data: &Path, config: &Config) -> Result<Arc<dyn Engine>, StoreError> {
    if !data.is_dir() {
        return Err(StoreError::Corrupt { path: data.to_owned(), reason: "it is missing".to_owned() });
    }
    kind.start(data, config)
}

/// The file that names the engine's folder is completed last, so whatever an interrupted creation left behind
/// is never taken for data.
fn create(
    kind: EngineKind,
    folder: &Path,
    config: &Config,
    environment: &Environment,
) -> Result<Arc<dyn Engine>, StoreError> {
    volume::create_folder(folder).map_err(|error| StoreError::io(folder, error))?;
    Format { engine: kind, data: None }.write(folder)?;
    let name = Format::new_data_folder(folder, environment);
    let data = folder.join(&name);
    volume::create_folder(&data).map_err(|error| StoreError::io(&data, error))?;
    let engine = kind.start(&data, config)?;
    engine.sync()?;
    Format { engine: kind, data: Some(name) }.write(folder)?;
    Ok(engine)
}
