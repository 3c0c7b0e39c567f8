//! What Kubernetes and a node must agree on: the names of the pod contract.
//!
//! Comes in: the name that a StatefulSet gave a pod. Leaves: a [`PodName`] with its ordinal, and the numbers of the
//! [`port`]s. This crate is the only one that uses the words of Kubernetes; everybody else knows names and addresses.
//!
//! A node is named as its pod. The name outlives the pod: after a restart the same ordinal returns with the same
//! volume, which is what makes it the same member.

mod pod_name;
pub mod port;

pub use pod_name::{POD_NAME_BYTES_MAX, PodName, PodNameError};
