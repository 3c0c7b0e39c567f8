//! Which cluster a command talks to, and how. Shared by all commands.

use std::{path::PathBuf, time::Duration};

use playhouse_client::{Address, Client, Config, Token};

use super::{
    Failure, duration,
    output::{Format, Output},
};

#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// Address of a gateway; repeat it, and another one is asked when one does not answer
    #[arg(
        long = "server",
        global = true,
        env = "PLAYHOUSE_SERVER",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    servers: Vec<Address>,

    /// File whose first line is the bearer token
    #[arg(long, global = true, env = "PLAYHOUSE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// How long one operation may take, with its retries (for `send`: one attempt), such as 250ms or 10s
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    timeout: Duration,

    /// For people or for programs
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value = "text")]
    output: Format,
}

impl Server {
    pub(super) fn output(&self) -> Output {
        Output::new(self.output)
    }

    pub(super) fn addresses(&self) -> &[Address] {
        &self.servers
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How to reach the cluster, for a command that sends one thing.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::for_addresses(self.servers.clone());
        config.timeout = self.timeout;
        config.token = self.token_file.as_ref().map(Token::from_file).transpose()?;
        Ok(config)
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.config()?)?)
    }
}
