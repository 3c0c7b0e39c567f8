//! Values that must fit together.

mod cluster;

pub use cluster::SHARDS_MAX;

use std::time::Duration;

use super::{Config, ConfigErrors, error::ConfigError, size::ByteSize, value::Value};

/// What commands put into a proposal. One that is much larger cannot be sent to another replica: nodes accept frames up to a fixed
/// size.
pub const ENTRY_BYTES_MAX: u64 = 15 << 20;

/// Checks what a single value cannot know.
pub(super) fn validate(config: &Config) -> Result<(), ConfigErrors> {
    let faults: Vec<_> = [
        sizes(config),
        entry(config),
        timeouts(config),
        ports(config),
        endpoint(config),
        processes(config),
        disk(config),
        cluster::faults(config),
    ]
    .into_iter()
    .flatten()
    .collect();
    if faults.is_empty() { Ok(()) } else { Err(ConfigErrors(faults)) }
}

fn sizes(config: &Config) -> Vec<ConfigError> {
    let (gateway, limits) = (&config.gateway, &config.limits);
    let proposal = limits.proposal_bytes_max;
    [
        at_most("gateway.body_bytes_max, limits.proposal_bytes_max", &gateway.body_bytes_max, &proposal),
        at_most(
            "gateway.body_bytes_max, gateway.bodies_bytes_max",
            &gateway.body_bytes_max,
            &gateway.bodies_bytes_max,
        ),
        at_most(
            "gateway.body_bytes_max, limits.mailbox_bytes_max",
            &gateway.body_bytes_max,
            &limits.mailbox_bytes_max,
        ),
        at_most("limits.state_bytes_max, limits.proposal_bytes_max", &limits.state_bytes_max, &proposal),
        at_most("limits.reply_bytes_max, limits.proposal_bytes_max", &limits.reply_bytes_max, &proposal),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A proposal is closed when half of its bound is reached; one command may then add its effects, its reply, and that reply once
/// more for its idempotency key.
fn entry(config: &Config) -> Vec<ConfigError> {
    let limits = &config.limits;
    let (proposal, reply) = (limits.proposal_bytes_max.0, limits.reply_bytes_max.0);
    let bytes = proposal.saturating_add(proposal / 2).saturating_add(reply.saturating_mul(2));
    let too_large = (bytes > ENTRY_BYTES_MAX).then(|| ConfigError::Conflict {
        keys: "limits.proposal_bytes_max, limits.reply_bytes_max",
        message: format!(
            "1.5 times {} and twice {} must not be above {} together, which is what can be sent to another replica",
            limits.proposal_bytes_max.show(),
            limits.reply_bytes_max.show(),
            ByteSize(ENTRY_BYTES_MAX).show()
        ),
    });
    too_large.into_iter().collect()
}

fn timeouts(config: &Config) -> Vec<ConfigError> {
    let gateway = &config.gateway;
    let (default, max) = (gateway.request_timeout_default, gateway.request_timeout_max);
    let keys = "gateway.request_timeout_max, limits.idempotency_window";
    let window = config.limits.idempotency_window;
    let too_late = (max >= window).then(|| ConfigError::Conflict {
        keys,
        message: format!("{} must be below {}, or a retry could come too late", max.show(), window.show()),
    });
    let default = at_most("gateway.request_timeout_default, gateway.request_timeout_max", &default, &max);
    default.into_iter().chain(too_late).collect()
}

fn ports(config: &Config) -> Vec<ConfigError> {
    let (gateway, ops, peer) = (config.gateway.listen, config.ops.listen, config.peer.listen);
    let conflict =
        |keys, at, reason| ConfigError::Conflict { keys, message: format!("both listen on {at}; {reason}") };
    let operators = "clients must not reach the port for operators";
    let nodes = "give the port for other nodes a number of its own";
    [
        (gateway == ops, "gateway.listen, ops.listen", gateway, operators),
        (gateway == peer, "gateway.listen, peer.listen", gateway, nodes),
        (ops == peer, "ops.listen, peer.listen", ops, nodes),
    ]
    .into_iter()
    .filter(|(same, _, at, _)| *same && at.port() != 0)
    .map(|(_, keys, at, reason)| conflict(keys, at, reason))
    .collect()
}

fn endpoint(config: &Config) -> Vec<ConfigError> {
    let plain_http = |endpoint: &String| endpoint.starts_with("http://");
    let wrong = config.traces.endpoint.as_ref().filter(|endpoint| !plain_http(endpoint));
    let conflict = |endpoint: &String| ConfigError::Conflict {
        keys: "traces.endpoint",
        message: format!("{endpoint:?} must begin with http://; put a collector on the node's own network"),
    };
    wrong.map(conflict).into_iter().collect()
}

/// What stands beside the bytes of a message that waits has room, too.
fn processes(config: &Config) -> Vec<ConfigError> {
    const MESSAGE: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 20;
    const BESIDE: u64 = 1 << 10;
    let (message, waiting) = (&config.processes.message_bytes_max, &config.processes.waiting_bytes_max);
    let size = (!MESSAGE.contains(&message.0)).then(|| ConfigError::Conflict {
        keys: "processes.message_bytes_max",
        message: format!("{} must be 4KiB to 64MiB", message.show()),
    });
    let room = (waiting.0.saturating_sub(BESIDE) < message.0).then(|| ConfigError::Conflict {
        keys: "processes.message_bytes_max, processes.waiting_bytes_max",
        message: format!("{} must be at least 1KiB below {}", message.show(), waiting.show()),
    });
    let keys = "processes.message_bytes_max, processes.answers_bytes_max";
    let answers = at_most(keys, message, &config.processes.answers_bytes_max);
    size.into_iter().chain(room).chain(answers).collect()
}

/// Disks are looked at several times a second, and a machine that pauses is no disk that hangs.
fn disk(config: &Config) -> Vec<ConfigError> {
    const LEAST: Duration = Duration::from_secs(1);
    let (sync, write) = (config.store.sync_hangs_after, config.store.write_hangs_after);
    let hasty = (sync < LEAST).then(|| ConfigError::Conflict {
        keys: "store.sync_hangs_after",
        message: format!("{} must be 1s or more", sync.show()),
    });
    let order = at_most("store.sync_hangs_after, store.write_hangs_after", &sync, &write);
    hasty.into_iter().chain(order).collect()
}

fn at_most<T: Value + PartialOrd>(keys: &'static str, small: &T, large: &T) -> Option<ConfigError> {
    let message = || format!("{} must not be above {}", small.show(), large.show());
    (small > large).then(|| ConfigError::Conflict { keys, message: message() })
}
