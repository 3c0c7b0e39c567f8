//! The name servers of the machine: the only place that names the DNS library.

use std::{net::IpAddr, time::Duration};

use futures_util::future::BoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
    system_conf::read_system_conf,
};

use super::{Resolve, ResolveError, ServiceTarget};

/// Asks the name servers that the system is configured with.
///
/// The configuration is read at each question, so that it may change; nothing is cached, as discovery asks at an
/// interval of its own, below which no answer needs to be newer.
#[derive(Clone, Debug, Default)]
pub struct NameServers {
    /// Instead of what the system says.
    config: Option<ResolverConfig>,
}

impl NameServers {
    /// Those of the system.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(super) fn of(config: ResolverConfig) -> Self {
        Self { config: Some(config) }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let (config, options) = match &self.config {
            Some(config) => (config.clone(), ResolverOpts::default()),
            None => read_system_conf()?,
        };
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = uncached(options);
        builder.build()
    }
}

fn uncached(options: ResolverOpts) -> ResolverOpts {
    let mut options = options;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_max_ttl = Some(Duration::ZERO);
    options
}

impl Resolve for NameServers {
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<ServiceTarget>, ResolveError>> {
        Box::pin(async move {
            let lookup = async { self.resolver()?.lookup(name, RecordType::SRV).await };
            answer(name, lookup.await.map(|lookup| targets(&lookup)))
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let lookup = async { self.resolver()?.lookup_ip(name).await };
            answer(name, lookup.await.map(|lookup| lookup.iter().collect()))
        })
    }
}

/// No such name or no such record is an answer, too.
fn answer<T>(name: &str, answer: Result<Vec<T>, NetError>) -> Result<Vec<T>, ResolveError> {
    match answer {
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(ResolveError { name: name.to_owned(), reason: error.to_string() }),
        Ok(records) => Ok(records),
    }
}

fn targets(lookup: &Lookup) -> Vec<ServiceTarget> {
    let target = |data: &RData| match data {
        // A service whose target is the root is not there (RFC 2782).
        RData::SRV(service) if !service.target.is_root() => Some(ServiceTarget {
            host: service.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
            port: service.port,
        }),
        _ => None,
    };
    lookup.answers().iter().filter_map(|record| target(&record.data)).collect()
}

#[cfg(test)]
mod tests;
