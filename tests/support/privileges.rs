//! What only some machines allow or have: volumes, networks and containers of a test's own, and programs.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Set where everything must be tested: a machine that does not allow it fails then.
const ROOT_REQUIRED: &str = "PLAYHOUSE_REQUIRE_ROOT_TESTS";
/// Set where programs must be there: one that is missing is a failure then.
const TOOLS_REQUIRED: &str = "PLAYHOUSE_CI";

/// This machine does not allow `what`, for `reason`.
///
/// # Panics
///
/// When it must be tested.
pub fn not_tested(what: &str, reason: &str) {
    skipped(ROOT_REQUIRED, what, reason);
}

/// This machine lacks a program for `what`, as `reason` says.
///
/// # Panics
///
/// When it must be tested.
pub fn not_installed(what: &str, reason: &str) {
    skipped(TOOLS_REQUIRED, what, reason);
}

fn skipped(required: &str, what: &str, reason: &str) {
    let is_required = std::env::var_os(required).is_some_and(|set| !set.is_empty());
    assert!(!is_required, "{required} is set, but {what} cannot be made here: {reason}");
    println!("not tested, because {what} cannot be made here: {reason}");
}

/// Runs a program; its last words if it fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {}", said.trim())) }
}

/// A volume in memory, of limited size. Gone when dropped.
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// # Errors
    ///
    /// Why there is none; usually because only root may mount.
    pub fn mount(path: &Path, size: &str) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let (options, at) = (format!("size={size}"), path.display().to_string());
        run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &at])?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazy: the process that used it may be ending.
        drop(run("umount", &["--lazy", &self.path.display().to_string()]));
    }
}

/// A disk of a test's own, in a file, that can be made to hang. Well again and gone when dropped.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Formats `image`, of `size`, and mounts it at `path`.
    ///
    /// # Errors
    ///
    /// Why there is none; usually because only root may mount, or because there are no loop devices.
    pub fn mount(image: &Path, size: &str, path: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let (file, at) = (image.display().to_string(), path.display().to_string());
        run("truncate", &["--size", size, &file])?;
        run("mkfs.ext4", &["-q", &file])?;
        run("mount", &["-o", "loop", &file, &at])?;
        Ok(Self { path: path.to_owned() })
    }

    /// From now on no write and no sync returns.
    ///
    /// # Errors
    ///
    /// Why it does not hang.
    pub fn hang(&self) -> Result<(), String> {
        run("fsfreeze", &["--freeze", &self.path.display().to_string()])
    }

    /// All of them return.
    ///
    /// # Errors
    ///
    /// Why they do not, for example because it did not hang.
    pub fn go_on(&self) -> Result<(), String> {
        run("fsfreeze", &["--unfreeze", &self.path.display().to_string()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It hangs only when a test failed; then nothing could end that uses it.
        drop(self.go_on());
        drop(run("umount", &["--lazy", &self.path.display().to_string()]));
    }
}
