//! The deployment as a whole: every overlay and combination of components is rendered and looked at, each check is proved able to
//! complain, and files are read as they are. Schemas of Kubernetes and of custom resources are in `deployment/schemas.rs`.

#![allow(clippy::unwrap_used)] // All of this is a test, its helpers too.
#![allow(clippy::print_stdout)] // Tests that are skipped say why.

mod support;

#[path = "deployment/checks.rs"]
mod checks;
#[path = "deployment/combinations.rs"]
mod combinations;
#[path = "deployment/files.rs"]
mod files;
#[path = "deployment/gitops.rs"]
mod gitops;
#[path = "deployment/health.rs"]
mod health;
#[path = "deployment/mutations.rs"]
mod mutations;
#[path = "deployment/overlays.rs"]
mod overlays;
#[path = "deployment/pitfalls.rs"]
mod pitfalls;
#[path = "deployment/schemas.rs"]
mod schemas;
