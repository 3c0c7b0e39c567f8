//! Settings: parsed once, validated, immutable.
//!
//! Comes in: a TOML file, `PLAYHOUSE_…` variables, flags, all as text ([`Sources`]); nothing is read from the world here.
//! Leaves: a [`Config`], and for each key its value and where it came from ([`Setting`]). Later sources win:
//! default, profile (`dev`), file, environment, flag.
//!
//! A key that is not known is an error, wherever it stands, and every fault is told at once.
//!
//! ```
//! use playhouse::config::{Sources, resolve};
//!
//! let sources = Sources::default().with_env([("PLAYHOUSE_GATEWAY__LISTEN".to_owned(), "127.0.0.1:1".to_owned())]);
//! let resolved = resolve(&sources).unwrap();
//! assert_eq!(resolved.config.gateway.listen.port(), 1);
//!
//! let misspelt = Sources::default().with_flags([("gateway.lisen".to_owned(), "…".to_owned())]);
//! assert!(resolve(&misspelt).unwrap_err().to_string().contains("did you mean gateway.listen?"));
//! ```

mod duration;
mod error;
mod file;
mod formation;
mod key;
mod names;
mod reader;
mod sections;
mod size;
mod source;
mod validate;
mod value;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, ConfigErrors};
pub use names::{Addresses, HostName, Names};
pub use sections::{
    Bootstrap, Cluster, Config, Drain, Gateway, Limits, Log, Node, Ops, Peer, Processes, Store, Traces,
};
pub use size::ByteSize;
pub use source::{ConfigFile, Origin, Profile, Sources};
pub use validate::{ENTRY_BYTES_MAX, SHARDS_MAX};
pub use value::{Encryption, Engine, Id, LogFilter, LogFormat, ReplicationFactor, Share, Switch, Track};

/// The outcome of [`resolve`].
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What the node runs with.
    pub config: Config,
    /// Every key in the order of the documentation, as `playhouse config show` prints it.
    pub settings: Vec<Setting>,
}

/// One key, its value, and why it has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Such as `gateway.listen`.
    pub key: &'static str,
    /// As it could be written in the file; empty when it is unset.
    pub value: String,
    /// Who decided.
    pub origin: Origin,
    /// What it is for.
    pub help: &'static str,
}

/// Reads and validates everything.
///
/// # Errors
///
/// Every fault that was found, each with its place. The node must not start.
pub fn resolve(sources: &Sources) -> Result<Resolved, ConfigErrors> {
    let (entries, faults) = source::entries(sources);
    let mut reader = reader::Reader::new(entries, faults);
    let config = Config::read(&mut reader);
    let settings = reader.finish()?;
    validate::validate(&config)?;
    Ok(Resolved { config, settings })
}
