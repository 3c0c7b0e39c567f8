//! Makes the way to other nodes of what was configured.

use std::sync::Arc;

use playhouse_cluster::{
    environment::Environment,
    peering::{self, CookieFiles, CookieFilesConfig, Discovery, Dns, DnsConfig, NameServers, StaticList},
};

use super::LaunchError;
use crate::node::{Links, Settings};

/// `None` for a node that is alone.
pub(super) fn links(settings: &Settings, environment: &Environment) -> Result<Option<Links>, LaunchError> {
    let peers = &settings.peers;
    let Some(cookie) = &peers.cookie_file else { return Ok(None) };
    let files = CookieFilesConfig::new(cookie, peers.cookie_file_next.clone());
    let cookies = Arc::new(CookieFiles::open(files, environment)?);
    let config = peering::Config {
        listen: peers.listen.clone(),
        encryption: peers.encryption,
        ..peering::Config::default()
    };
    Ok(Some(Links { config, cookies, discovery: discovery(settings, environment) }))
}

fn discovery(settings: &Settings, environment: &Environment) -> Arc<dyn Discovery> {
    let peers = &settings.peers;
    let Some(name) = &peers.discovery_name else {
        return Arc::new(StaticList::new(peers.seeds.iter().cloned()));
    };
    let config = DnsConfig {
        interval: peers.discovery_interval,
        seeds: peers.seeds.clone(),
        ..DnsConfig::new(name.clone(), peers.discovery_port.get())
    };
    Arc::new(Dns::start(config, Arc::new(NameServers::system()), environment))
}
