//! Debian packages, of which no daemon is started: it would run beside what is measured.
//!
//! Comes in: names of packages. Leaves: what `apt-get` put on the machine, and a `policy-rc.d` as it was before.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Asked by what starts daemons; 101 means that none may be started.
const POLICY: &str = "usr/sbin/policy-rc.d";
const FORBIDDEN: &str =
    "#!/bin/sh\n# A measurement installs its peers, and removes this when it has.\nexit 101\n";
/// What was there before is kept beside it meanwhile, under this name.
const KEPT: &str = ".before-playhouse-bench";

/// Installs packages without starting what is in them. A package that does not come shows in what is missing afterwards.
///
/// # Errors
///
/// When daemons cannot be kept from being started. Then nothing was installed.
pub(super) fn install(packages: &[&str]) -> io::Result<()> {
    let _forbidden = Forbidden::below(Path::new("/"))?;
    apt_get(&["update"]);
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat());
    Ok(())
}

fn apt_get(arguments: &[&str]) {
    let mut command = Command::new("apt-get");
    // Standard output is for figures.
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    drop(command.status());
}

/// Removes the policy of a run that was killed while it installed: no package could start a daemon until then.
///
/// # Errors
///
/// When it cannot be removed.
pub(super) fn put_back_left_over(root: &Path) -> io::Result<()> {
    let is_ours = fs::read(root.join(POLICY)).is_ok_and(|text| text == FORBIDDEN.as_bytes());
    if is_ours { Forbidden::below(root).map(drop) } else { Ok(()) }
}

/// While it lives, no package starts a daemon. Then what was there before is there again.
struct Forbidden {
    policy: PathBuf,
    kept: PathBuf,
}

impl Forbidden {
    fn below(root: &Path) -> io::Result<Self> {
        let policy = root.join(POLICY);
        let kept = root.join(format!("{POLICY}{KEPT}"));
        // One of ours was left by somebody who was killed: what was there before them is kept already.
        let is_ours = fs::read(&policy).is_ok_and(|text| text == FORBIDDEN.as_bytes());
        if !is_ours && is_there(&policy) {
            fs::rename(&policy, &kept)?;
        }
        // From here on dropping it puts things back.
        let forbidden = Self { policy, kept };
        fs::write(&forbidden.policy, FORBIDDEN)?;
        fs::set_permissions(&forbidden.policy, fs::Permissions::from_mode(0o755))?;
        Ok(forbidden)
    }
}

impl Drop for Forbidden {
    #[allow(clippy::print_stderr)] // Nobody else can put it right.
    fn drop(&mut self) {
        let put_back = if is_there(&self.kept) {
            fs::rename(&self.kept, &self.policy)
        } else {
            fs::remove_file(&self.policy)
        };
        if let Err(error) = put_back
            && is_there(&self.policy)
        {
            let (policy, kept) = (self.policy.display(), self.kept.display());
            eprintln!(
                "{policy} still keeps daemons from being started ({error}): remove it, or put {kept} in its place"
            );
        }
    }
}

/// A link that leads nowhere is there, too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const BEFORE: &str = "#!/bin/sh\nexit 0\n";

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        root
    }

    fn write_before(root: &Path) {
        fs::write(root.join(POLICY), BEFORE).unwrap();
        fs::set_permissions(root.join(POLICY), fs::Permissions::from_mode(0o711)).unwrap();
    }

    fn assert_is_before(root: &Path) {
        assert_eq!(fs::read_to_string(root.join(POLICY)).unwrap(), BEFORE);
        assert_eq!(fs::metadata(root.join(POLICY)).unwrap().permissions().mode() & 0o777, 0o711);
        assert_eq!(fs::read_dir(root.join("usr/sbin")).unwrap().count(), 1);
    }

    /// As packages ask it. Not run itself: another test that starts a program at this moment might still hold it open for writing.
    fn answer(root: &Path) -> Option<i32> {
        let policy = root.join(POLICY);
        assert_eq!(fs::metadata(&policy).unwrap().permissions().mode() & 0o777, 0o755);
        Command::new("sh").arg(policy).args(["redis-server", "start"]).status().unwrap().code()
    }

    #[test]
    fn no_daemon_may_start_meanwhile_and_nothing_is_left() {
        let root = root();
        let forbidden = Forbidden::below(root.path()).unwrap();
        assert_eq!(answer(root.path()), Some(101));
        drop(forbidden);
        assert_eq!(fs::read_dir(root.path().join("usr/sbin")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_there_before_is_there_again() {
        let root = root();
        write_before(root.path());
        let forbidden = Forbidden::below(root.path()).unwrap();
        assert_eq!(answer(root.path()), Some(101));
        drop(forbidden);
        assert_is_before(root.path());
    }

    #[test]
    fn it_is_there_again_when_the_installation_fails() {
        let root = root();
        write_before(root.path());
        let fails = AssertUnwindSafe(|| {
            let _forbidden = Forbidden::below(root.path()).unwrap();
            panic!("the disk is full");
        });
        assert!(catch_unwind(fails).is_err());
        assert_is_before(root.path());
    }

    #[test]
    fn it_is_there_again_after_a_run_that_was_killed() {
        let root = root();
        write_before(root.path());
        std::mem::forget(Forbidden::below(root.path()).unwrap());
        drop(Forbidden::below(root.path()).unwrap());
        assert_is_before(root.path());
        std::mem::forget(Forbidden::below(root.path()).unwrap());
        put_back_left_over(root.path()).unwrap();
        assert_is_before(root.path());
        put_back_left_over(root.path()).unwrap();
        assert_is_before(root.path());
    }

    #[test]
    fn where_it_cannot_be_forbidden_nothing_changes() {
        let root = tempfile::tempdir().unwrap();
        assert!(Forbidden::below(root.path()).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
