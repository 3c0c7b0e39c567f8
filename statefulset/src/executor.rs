//! What a cluster would do with the manifests, done on this machine, so that tests run what is deployed.
//!
//! Comes in: the text of the rendered manifests, and the Secrets that an operator makes. Leaves: [`Objects`], or why a manifest is
//! refused; and, by [`machine`], the pods as processes, each with an address, a name, files and an environment of its own.
//!
//! Nothing in a manifest is ignored in silence: a field or a kind that is not known here is an error. Those that mean nothing
//! on one machine are on a list, each with the reason ([`unmodelled`]).
//!
//! Everything but [`machine`] is pure: [`controller`] decides as the StatefulSet controller does, [`health`] and [`backoff`] as
//! the kubelet, [`names`] answers as the name server of a cluster, [`endpoints`] says whom a Service stands for, and
//! [`policy`] who may reach whom.

pub mod backoff;
pub mod change;
pub mod controller;
mod document;
pub mod endpoints;
pub mod files;
pub mod health;
pub mod machine;
pub mod names;
pub mod objects;
pub mod policy;
pub mod unmodelled;
pub mod variables;

pub use document::ManifestError;
pub use objects::Objects;
