//! playhouse-client
