//! Programs that tests need and that not every machine has.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Set by `.ci/run`: a tool that is missing is a failure there.
const REQUIRED: &str = "PLAYHOUSE_CI";

/// Where the repository begins.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root =
        if own.join("kustomize").is_dir() { own } else { own.parent().expect("a crate of the workspace") };
    root.to_owned()
}

/// Where `.ci/run` puts what the checks of schemas need.
pub fn kubernetes_tools() -> PathBuf {
    repository().join("target/kubernetes-tools")
}

/// Whether `program` can be run. If not, says that `what` is not tested here.
///
/// # Panics
///
/// When it must be tested.
pub fn has(program: impl AsRef<Path>, what: &str) -> bool {
    let program = program.as_ref();
    let is_there = if program.components().count() > 1 {
        program.exists()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    };
    if !is_there {
        let is_required = std::env::var_os(REQUIRED).is_some_and(|set| !set.is_empty());
        assert!(!is_required, "{REQUIRED} is set, but {} is missing, which {what} needs", program.display());
        println!("skipped: {what} needs {}, which is not on this machine", program.display());
    }
    is_there
}

/// What a program printed. Its errors, warnings too, are a failure of the test.
///
/// # Panics
///
/// When it failed or said something on standard error.
pub fn quiet_output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?} ended with {}:\n{said}", output.status);
    String::from_utf8(output.stdout).expect("it prints text")
}
