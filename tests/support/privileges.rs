//! What only some machines allow: volumes and networks of a test's own.

#![allow(dead_code)] // Each test uses a part of it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

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
