//! Where a pod has its files. Each folder is a mount of its own.

/// The volume: `node.data_dir`.
pub const DATA: &str = "/var/lib/playhouse";
/// The settings that are the same in every cluster.
pub const CONFIG: &str = "/etc/playhouse/config/playhouse.toml";
/// The cookie: `peer.cookie_file`.
pub const COOKIE: &str = "/etc/playhouse/cookie/cookie";
/// The cookie that is accepted, too: `peer.cookie_file_next`.
pub const COOKIE_NEXT: &str = "/etc/playhouse/cookie/cookie-next";
/// Tokens of operators: `ops.admin_token_file`.
pub const ADMIN_TOKENS: &str = "/etc/playhouse/admin/tokens";
/// Tokens of clients: `gateway.token_file`. Only with the component `client-tokens`.
pub const CLIENT_TOKENS: &str = "/etc/playhouse/clients/tokens";

/// The user and the group that a pod runs as, and to whom its volume belongs.
pub const USER: u32 = 65_532;
/// The mode of secret files: root's, readable by the group.
pub const SECRET_MODE: u32 = 0o440;
