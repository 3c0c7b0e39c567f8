//! Which line is which, so that the same file can be sent twice.

use playhouse_client::{EntityName, IdempotencyKey};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How many lines are counted apart. Larger files share counters; that keeps the memory bounded (4 MiB), and is as
/// repeatable, because the same file shares them in the same way.
const COUNTERS: usize = 1 << 20;

/// Gives each line a key made of what it says and how often that was said before in this file.
///
/// Not of its line number: a line that is mended or taken out must not make all lines behind it new ones.
#[derive(Debug)]
pub(super) struct Identities {
    /// Set apart the lines of this run from those of any other.
    salt: u64,
    counters: Vec<u32>,
}

impl Identities {
    /// The same file gives the same keys, in every run.
    pub(super) fn repeatable() -> Self {
        Self::salted(0)
    }

    /// Keys that no other run has.
    pub(super) fn unique() -> Self {
        let random: [u8; 32] =
            rand::Rng::random(&mut <rand::rngs::SmallRng as rand::SeedableRng>::from_os_rng());
        Self::salted(xxh3_64(&random) | 1)
    }

    fn salted(salt: u64) -> Self {
        Self { salt, counters: vec![0; COUNTERS] }
    }

    /// The key of the next line.
    pub(super) fn next(&mut self, name: &EntityName, command: &str, cast: bool) -> IdempotencyKey {
        let content = self.content(name, command, cast);
        let slot = usize::try_from(content % COUNTERS as u128).expect("a remainder of usize fits");
        let counter = &mut self.counters[slot];
        *counter = counter.wrapping_add(1);
        IdempotencyKey::new(format!("send-{content:032x}-{counter}"))
            .expect("letters, digits and dashes, fewer than 128")
    }

    fn content(&self, name: &EntityName, command: &str, cast: bool) -> u128 {
        let mut hash = Xxh3::with_seed(self.salt);
        // Neither names nor JSON contain a zero byte: no two lines run into each other.
        for part in [name.kind(), name.key(), command] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        hash.update(&[u8::from(cast)]);
        hash.digest128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(identities: &mut Identities, commands: &[&str]) -> Vec<String> {
        let name = EntityName::new("counter", "a").unwrap();
        commands.iter().map(|command| identities.next(&name, command, false).to_string()).collect()
    }

    #[test]
    fn the_same_file_gives_the_same_keys_and_equal_lines_have_different_ones() {
        let file = ["1", "2", "1", "1"];
        let first = keys(&mut Identities::repeatable(), &file);
        assert_eq!(first, keys(&mut Identities::repeatable(), &file));
        let mut distinct = first.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn a_line_that_was_taken_out_changes_no_other() {
        let all = keys(&mut Identities::repeatable(), &["broken", "1", "2"]);
        let mended = keys(&mut Identities::repeatable(), &["1", "2"]);
        assert_eq!(all[1..], mended);
    }

    #[test]
    fn entity_command_and_kind_of_request_all_count() {
        let key = |kind: &str, key: &str, command: &str, cast| {
            let name = EntityName::new(kind, key).unwrap();
            Identities::repeatable().next(&name, command, cast)
        };
        let one = key("counter", "ab", "1", false);
        assert_ne!(one, key("counter", "a", "b1", false));
        assert_ne!(one, key("counterr", "ab", "1", false));
        assert_ne!(one, key("counter", "ab", "1", true));
    }

    #[test]
    fn on_request_no_two_runs_share_a_key() {
        assert_ne!(keys(&mut Identities::unique(), &["1"]), keys(&mut Identities::unique(), &["1"]));
    }
}
