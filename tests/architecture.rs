//! The floor plan as a test: which room may know what, and the habits of the house.
//!
//! A failure names file, line and reason. The rules read source text, not types, so they see what a reader
//! sees: names in `use` and in paths. Tests are exempt from the rules of direction.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::Violation;
use source::Tree;

type Rule = fn(&Tree) -> Vec<Violation>;

#[track_caller]
fn holds(rule: Rule) {
    let violations: Vec<_> = rule(&Tree::read()).iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn rooms_only_look_down() {
    holds(rules::directions);
}

#[test]
fn crates_below_the_node_stand_alone() {
    holds(rules::crates);
}

#[test]
fn each_engine_is_known_behind_one_door() {
    holds(rules::one_home_per_engine);
}

#[test]
fn private_crates_stay_at_home() {
    holds(rules::private_crates);
}

#[test]
fn only_statefulset_speaks_kubernetes() {
    holds(rules::kubernetes_words);
}

#[test]
fn cluster_does_not_know_what_an_entity_is() {
    holds(rules::cluster_knows_no_entity);
}

#[test]
fn membership_and_placement_are_pure() {
    holds(rules::pure_rooms);
}

#[test]
fn no_file_is_long() {
    holds(rules::short_files);
}

#[test]
fn every_file_says_what_it_is_for() {
    holds(rules::module_docs);
}

#[test]
fn nothing_is_half_done() {
    holds(rules::nothing_unfinished);
}

#[test]
fn every_decision_has_context_decision_evidence_and_consequence() {
    holds(rules::decisions);
}

/// The rules themselves are tried on trees that break them, and on such that only look as if.
mod planted {
    use super::*;

    #[track_caller]
    fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<(String, usize)> {
        rule(&Tree::planted(files)).into_iter().map(|violation| (violation.path, violation.line)).collect()
    }

    #[track_caller]
    fn one(rule: Rule, path: &str, text: &str, line: usize) {
        assert_eq!(found(rule, &[(path, text)]), [(path.to_owned(), line)], "{text}");
    }

    #[track_caller]
    fn none(rule: Rule, path: &str, text: &str) {
        assert_eq!(found(rule, &[(path, text)]), [], "{text}");
    }

    #[test]
    fn a_room_that_looks_up_is_found_in_every_spelling() {
        for text in [
            "use crate::gateway::Server;",
            "use crate::{protocol::Key, gateway};",
            "use crate::{\n protocol::{Key,\n Body}, gateway::{A, B}};",
            "fn f() { crate::gateway::run() }",
            "fn f() { crate :: gateway::run() }",
            "use playhouse_cluster::{codec, peering::Link};",
        ] {
            let broken = found(rules::directions, &[("src/entity/context.rs", text)]);
            assert!(!broken.is_empty(), "{text}");
        }
        one(rules::directions, "src/entity/context.rs", "\nuse super::super::shard::Executor;", 2);
        one(rules::directions, "src/entity.rs", "use super::shard::Executor;", 1);
        one(rules::directions, "src/entity.rs", "use crate::{\n    protocol,\n    shard,\n};", 3);
        one(rules::directions, "src/attic.rs", "", 1);
        one(rules::directions, "cluster/src/store/fjall.rs", "use crate::consensus::Group;", 1);
    }

    #[test]
    fn a_room_that_looks_down_or_sideways_is_left_alone() {
        for text in [
            "use crate::{entity::Context, protocol::{Key, gateway}};",
            "use super::registry::Kind;\nuse crate::protocol::codec;",
            "use playhouse_cluster::{collections::Map, environment::Environment};",
            "// use crate::gateway::Server;\n/* crate::node::x */",
            "const TEXT: &str = \"crate::gateway::x\"; const RAW: &str = r#\"\"crate::gateway::x\"#;",
            "#[cfg(test)]\nmod tests {\n use crate::node::Node;\n}\nuse crate::protocol::Key;",
            "#[cfg(test)]\nuse crate::node::Node;",
            "fn f<'a>(x: &'a str) -> char { '\"' } // crate::gateway::x",
        ] {
            none(rules::directions, "src/entity/context.rs", text);
        }
    }

    #[test]
    fn a_test_in_its_own_file_is_exempt_and_its_neighbour_is_not() {
        let files = [
            ("src/entity.rs", "#[cfg(test)]\nmod drill;"),
            ("src/entity/drill.rs", "use crate::node::Node;"),
            ("src/entity/drill/deep.rs", "use crate::node::Node;"),
            ("src/entity/drills.rs", "use crate::node::Node;"),
        ];
        assert_eq!(found(rules::directions, &files), [("src/entity/drills.rs".to_owned(), 1)]);
    }

    #[test]
    fn an_item_behind_tests_is_looked_at_again() {
        let text = "#[cfg(test)]\nmod tests { fn f() { let x = [1; 2]; } }\nuse crate::node::Node;";
        one(rules::directions, "src/entity.rs", text, 3);
    }

    #[test]
    fn a_crate_that_looks_up_is_found() {
        one(rules::crates, "cluster/src/store.rs", "use playhouse::protocol::Key;", 1);
        one(rules::crates, "client/src/lib.rs", "use playhouse_cluster::codec;", 1);
        one(rules::crates, "src/node.rs", "use playhouse_client::Client;", 1);
        none(rules::crates, "src/cli/send.rs", "use playhouse_client::Client;");
    }

    #[test]
    fn an_engine_outside_its_home_is_found() {
        let rule = rules::one_home_per_engine;
        one(rule, "cluster/src/store.rs", "\nfn open() { fjall::open() }", 2);
        one(rule, "cluster/src/store/fjall_too.rs", "use fjall::Database;", 1);
        one(rule, "cluster/src/consensus.rs", "pub use openraft::Vote;", 1);
        none(rule, "cluster/src/store/fjall.rs", "use fjall::Database;");
        none(rule, "cluster/src/consensus/raft/log.rs", "use openraft::Vote;");
        none(rule, "cluster/src/store.rs", "mod fjall;\npub use self::fjall::Fjall;");
    }

    #[test]
    fn a_private_crate_abroad_is_found() {
        one(rules::private_crates, "src/node.rs", "use axum::Router;", 1);
        one(rules::private_crates, "src/shard.rs", "postcard::to_extend(x)", 1);
        one(rules::private_crates, "cluster/src/codec.rs", "wincode::serialize(x)", 1);
        none(rules::private_crates, "src/gateway/http.rs", "use axum::Router;");
        none(rules::private_crates, "bench/benches/codec.rs", "wincode::serialize(x)");
    }

    #[test]
    fn kubernetes_is_heard_in_names_and_strings_but_not_in_comments() {
        one(rules::kubernetes_words, "src/config.rs", "struct PodName;", 1);
        one(rules::kubernetes_words, "src/config.rs", "\nlet name = \"POD_NAME\";", 2);
        one(rules::kubernetes_words, "cluster/src/identity.rs", "fn is_kubernetes() {}", 1);
        none(
            rules::kubernetes_words,
            "src/config.rs",
            "// the pod's name\nuse playhouse_statefulset::ports;",
        );
        none(rules::kubernetes_words, "src/config.rs", "fn podium() {} const TRIPOD: &str = \"tripod\";");
        none(rules::kubernetes_words, "statefulset/src/lib.rs", "struct PodName;");
    }

    #[test]
    fn entities_are_seen_below_but_identities_are_not() {
        one(rules::cluster_knows_no_entity, "cluster/src/store.rs", "fn entity_key() {}", 1);
        one(rules::cluster_knows_no_entity, "cluster/src/store.rs", "struct EntityLane;", 1);
        none(rules::cluster_knows_no_entity, "cluster/src/lib.rs", "pub mod identity; // never an entity");
    }

    #[test]
    fn a_clock_in_a_pure_room_is_found() {
        one(rules::pure_rooms, "cluster/src/placement.rs", "use tokio::time::sleep;", 1);
        one(rules::pure_rooms, "cluster/src/membership/state.rs", "let now = Instant::now();", 1);
        none(rules::pure_rooms, "cluster/src/consensus.rs", "use tokio::time::sleep;");
    }

    #[test]
    fn a_long_file_a_silent_file_and_a_half_done_file_are_found() {
        one(rules::short_files, "src/shard.rs", &"//\n".repeat(601), 600);
        none(rules::short_files, "src/shard.rs", &"//\n".repeat(600));
        one(rules::module_docs, "src/shard.rs", "use crate::protocol;", 1);
        none(rules::module_docs, "src/shard.rs", "//! Executes one led shard.");
        one(rules::nothing_unfinished, "src/shard.rs", "fn f() {\n    todo!()\n}", 2);
        one(rules::nothing_unfinished, "tests/crash.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", 2);
        none(rules::nothing_unfinished, "src/shard.rs", "// todo!\nconst A: &str = \"todo!()\";");
    }

    #[test]
    fn a_decision_without_evidence_is_found() {
        let mut tree = Tree::planted(&[]);
        let text = "# 9. Guess\n## Context\n## Decision\n## Consequences\n";
        tree.decisions.push(("docs/decisions/0009-guess.md".to_owned(), text.to_owned()));
        let found: Vec<_> = rules::decisions(&tree).into_iter().map(|violation| violation.what).collect();
        assert_eq!(found, ["has no heading `## Evidence`"]);
    }

    #[test]
    fn a_violation_names_file_line_and_reason() {
        let tree = Tree::planted(&[("src/entity.rs", "use crate::node::Node;")]);
        let text = rules::directions(&tree)[0].to_string();
        assert!(
            text.starts_with("src/entity.rs:1: `entity` names `node`\n    because rooms look down only"),
            "{text}"
        );
    }
}
