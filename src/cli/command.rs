//! What `call` and `cast` have in common: to whom, and what.

use std::io::{self, Read};

use playhouse_client::{Entity, Idempotency, IdempotencyKey, Options};
use serde_json::value::RawValue;

use super::{Failure, server::Server};

/// The largest command that is read from standard input, in bytes; the server takes at most 1 MiB.
const STDIN_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Kind of the entity, such as counter
    kind: String,

    /// Key of the entity, such as visits
    key: String,

    /// The command as JSON, or - to read it from standard input
    #[arg(value_name = "JSON")]
    command: String,

    /// Let the command take effect at most once, however often it is sent with this key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// A checked [`Target`].
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) entity: Entity,
    pub(super) command: Box<RawValue>,
    pub(super) options: Options,
}

impl Target {
    pub(super) fn prepare(self, server: &Server) -> Result<Prepared, Failure> {
        let command = read_json(self.command)?;
        let idempotency = match self.idempotency_key {
            Some(key) => Idempotency::Key(IdempotencyKey::new(key)?),
            None => Idempotency::Fresh,
        };
        let entity = server.client()?.entity(self.kind, self.key)?;
        Ok(Prepared { entity, command, options: Options { timeout: None, idempotency } })
    }
}

fn read_json(argument: String) -> Result<Box<RawValue>, Failure> {
    let text = if argument == "-" { read_stdin()? } else { argument };
    RawValue::from_string(text.trim().to_owned()).map_err(|error| {
        Failure::usage(format!("the command is not JSON: {error}"))
            .next("quote it for the shell, such as '{\"add\": 1}'")
    })
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(Failure::usage(format!("could not read standard input: {error}"))),
        Ok(bytes) if bytes as u64 > STDIN_BYTES_MAX => {
            Err(Failure::usage(format!("standard input has more than {STDIN_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
    }
}
