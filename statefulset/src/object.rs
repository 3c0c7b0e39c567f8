//! Names of objects, where one refers to another.

/// The StatefulSet, its container, the Service of clients, the disruption budget and the account.
pub const PLAYHOUSE: &str = "playhouse";
/// The headless Service: what nodes look for each other by.
pub const PEERS: &str = "playhouse-peers";
/// The claim template: a pod's claim is named `data-POD`.
pub const DATA: &str = "data";
/// The Secret with the cookie. It must exist; nothing here makes it.
pub const COOKIE_SECRET: &str = "playhouse-cookie";
/// The Secret with the tokens of operators. It must exist, too.
pub const ADMIN_SECRET: &str = "playhouse-admin";
/// The Secret with the tokens of clients, where clients need one.
pub const CLIENTS_SECRET: &str = "playhouse-clients";
