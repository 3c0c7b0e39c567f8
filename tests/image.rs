//! The image of a node: what the Dockerfile and `pack` make, and that it runs the way orchestrators run it.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // All of this file is a test, its helpers too.

#[path = "image/archive.rs"]
mod archive;
#[path = "image/container.rs"]
mod container;
#[path = "image/context.rs"]
mod context;
#[path = "image/dockerfile.rs"]
mod dockerfile;
#[path = "image/packing.rs"]
mod packing;
#[path = "support/privileges.rs"]
mod privileges;
#[path = "image/settings.rs"]
mod settings;

use std::path::Path;

/// The root of the repository, which is also that of the build context.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
