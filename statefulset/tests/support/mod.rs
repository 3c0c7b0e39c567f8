//! Shared by the tests of manifests; `tests/` of the workspace's root uses it, too.

#![allow(dead_code)] // Each test uses a part of it.

pub mod network;
pub mod objects;
pub mod tools;
