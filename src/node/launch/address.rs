//! Tells people and programs where the node listens.

use std::{io::Write, net::SocketAddr, path::Path};

use super::LaunchError;
use crate::config::{Config, Profile};

/// Where the node listens.
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) ops: SocketAddr,
}

impl Addresses {
    /// Logs the addresses, prints commands to try in `dev`, and writes the address file.
    pub(super) fn announce(
        &self,
        config: &Config,
        profile: Profile,
        file: Option<&Path>,
    ) -> Result<(), LaunchError> {
        tracing::info!(gateway = %self.gateway, ops = %self.ops, "ready");
        if profile == Profile::Dev {
            // Standard output may be closed; the node runs all the same.
            let _ = std::io::stdout().write_all(self.welcome(config).as_bytes());
        }
        file.map_or(Ok(()), |file| self.write(file))
    }

    fn welcome(&self, config: &Config) -> String {
        let (gateway, ops) = (self.gateway, self.ops);
        let server = match self.gateway.port() {
            8080 => String::new(),
            _ => format!(" --server http://{gateway}"),
        };
        format!(
            "\n  Playhouse {release} is ready.\n\n  \
             clients   http://{gateway}   (HTTP and WebSocket)\n  \
             ops       http://{ops}   (/livez /readyz /health /metrics)\n  \
             data      {data} ({shards} shards)\n\n  \
             Try:\n    \
             curl -X POST http://{gateway}/v1/entities/counter/visits/call -d '{{\"add\": 1}}'\n    \
             playhouse{server} get counter visits\n    \
             playhouse{server} kinds\n\n  \
             Ctrl-C stops it; what was acknowledged stays.\n\n",
            release = crate::node::RELEASE,
            data = config.node.data_dir.display(),
            shards = config.node.shards,
        )
    }

    /// Writes the file so that nobody reads half of it.
    fn write(&self, file: &Path) -> Result<(), LaunchError> {
        let text = serde_json::json!({
            "gateway": format!("http://{}", self.gateway),
            "ops": format!("http://{}", self.ops),
            "pid": std::process::id(),
        });
        let part = file.with_extension("part");
        let written = std::fs::write(&part, text.to_string()).and_then(|()| std::fs::rename(&part, file));
        written.map_err(|source| LaunchError::Io { what: format!("write {}", file.display()), source })
    }
}
