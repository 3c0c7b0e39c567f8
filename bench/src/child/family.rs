//! What descends from a process.

use std::{
    fs,
    process::{Command, Stdio},
};

/// All that a process started, and what that started, as far as it did not end.
pub(super) fn of(id: u32) -> Vec<u32> {
    descendants(id, &parents())
}

/// Ends them. One that ended meanwhile is no loss.
pub(super) fn kill(family: &[u32]) {
    let ids = family.iter().map(u32::to_string);
    drop(Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status());
}

/// All processes with their parents.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ids = names.filter_map(|name| name.parse().ok());
    ids.filter_map(|id: u32| Some((id, parent_in(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect()
}

/// The second field behind the name, which is the only one that may hold spaces: see proc_pid_stat(5).
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn descendants(of: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut family = vec![of];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(parents.iter().filter(|(_, other)| *other == parent).map(|(id, _)| id));
        at += 1;
    }
    family.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_all_that_descends_from_a_process() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 3)];
        assert_eq!(descendants(2, &parents), [3, 4, 6]);
        assert_eq!(descendants(6, &parents), [0; 0]);
    }

    #[test]
    fn names_of_processes_may_hold_anything() {
        assert_eq!(parent_in("7 (a) b) c) S 3 7 7 0 -1"), Some(3));
        assert_eq!(parent_in("7 (a"), None);
    }
}
