//! Playhouse: durable, addressable state machines on a cluster of nodes.
//!
//! The floor plan:
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`protocol`] | ids, requests, replies, errors, codec | – |
//! | [`entity`] | the trait that people implement, its context, wake and passivate | `protocol` |
//! | `shard` | the executor of one led shard, with its output gate | `entity`, `protocol`, `telemetry`, `cluster` |
//! | [`router`] | entity → shard → leader | `shard`, `entity`, `protocol`, `cluster` |
//! | [`gateway`] | HTTP, WebSocket, problem+json, OpenAPI | `router`, `entity`, `protocol`, `telemetry` |
//! | [`process`] | actors as in OTP: supervisors, bounded mailboxes, monitors, links, also between nodes | `router`, `entity`, `protocol`, `cluster` |
//! | [`kinds`] | the kinds that ship with the node | `entity`, `protocol` |
//! | [`telemetry`] | metrics, traces, logs, each declared once | – |
//! | [`backup`] | a copy of all shards as files, checked | `cluster` |
//! | [`load`] | a load generator for any cluster | `client`, `causes` |
//! | `causes` | why something failed, in one line of words | – |
//! | [`config`] | parsed once, validated, immutable | – |
//! | `node` | the only place that assembles, spawns and drains | everything |
//! | [`testing`] | a stage for kinds: the executor core under a clock that the test holds | `shard` and below |
//! | [`cli`] | `run` and `dev` start nodes; most else over HTTP, the rest on files | `client`, `backup`, `config`, `load`, `causes`, `node` |

pub mod backup;
mod causes;
pub mod cli;
pub mod config;
pub mod entity;
pub mod gateway;
pub mod kinds;
pub mod load;
pub mod node;
pub mod process;
pub mod protocol;
pub mod router;
pub mod shard;
pub mod telemetry;
pub mod testing;
