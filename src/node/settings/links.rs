//! How other nodes are found, trusted and reached, ready to be used.

use std::{fmt, sync::Arc};

use playhouse_cluster::peering::{self, CookieSource, Discovery};

/// How other nodes are found, trusted and reached.
#[derive(Clone)]
pub struct Links {
    /// The link.
    pub config: peering::Config,
    /// Whom to trust.
    pub cookies: Arc<dyn CookieSource>,
    /// Where other nodes may be.
    pub discovery: Arc<dyn Discovery>,
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Links").field("config", &self.config).finish_non_exhaustive()
    }
}
