//! Calls, casts, states, lists and subscriptions, from outside of a node.
//!
#![doc = include_str!("../README.md")]
//!
//! # The floor plan
//!
//! | module | what it is for |
//! |---|---|
//! | `client` | the handle: what a program holds |
//! | `entity` | one entity over HTTP: call, cast, get |
//! | `connection` | many calls, casts and subscriptions over one WebSocket |
//! | `dispatch` | one operation until its deadline: attempts, pauses, failover |
//! | `gateways`, `backoff` | which address next, how long to wait: pure, time and chance are passed in |
//! | `transport` | one attempt: the only file that knows hyper's client |
//! | `ops` | health and probes of one node, on its other port |

mod address;
mod backoff;
mod client;
mod config;
mod connection;
mod dispatch;
mod entity;
mod error;
mod failure;
mod gateways;
mod idempotency;
mod name;
mod ops;
mod problem;
mod token;
mod transport;
mod view;

pub use address::{Address, AddressError};
pub use backoff::Backoff;
pub use client::Client;
pub use config::Config;
pub use connection::{
    Connection, ConnectionEntity, Notice, PendingCall, PendingCast, SubscribeError, Subscription,
    SubscriptionEnd,
};
pub use entity::{Entity, Options, Replied};
pub use error::{CallError, CastError, ClientError, ConnectError, ReadError, Refusal};
pub use failure::{Failure, GaveUp, Outcome};
pub use idempotency::{Idempotency, IdempotencyKey};
pub use name::{EntityName, NameError};
pub use ops::{Check, Health, Ops, Probe};
pub use problem::Problem;
pub use token::{Token, TokenError};
pub use view::{EntityView, KindView, ListQuery, Listed, Page};
