//! What Kubernetes and a node must agree on: the names of the pod contract.
//!
//! Comes in: the name that a StatefulSet gave a pod. Leaves: a [`PodName`] with its ordinal, and what the manifests say:
//! [`port`]s, [`variable`]s, [`path`]s, [`probe`]s, [`label`]s, [`object`] names, and how long an [`end`] takes. This crate is the only
//! one that uses the words of Kubernetes; everybody else knows names and addresses.
//!
//! The manifests themselves are in `manifests/`. A test reads both halves, and the settings of the node.
//!
//! A node is named as its pod. The name outlives the pod: after a restart the same ordinal returns with the same
//! volume, which is what makes it the same member.

pub mod end;
#[cfg(feature = "executor")]
pub mod executor;
pub mod label;
pub mod object;
pub mod path;
mod pod_name;
pub mod port;
pub mod probe;
pub mod variable;

pub use pod_name::{POD_NAME_BYTES_MAX, PodName, PodNameError};
