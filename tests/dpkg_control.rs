//! The parser of Debian control files that `examples/dpkg_commands.rs` and the end-to-end test use.

#![allow(clippy::unwrap_used)] // All of this file is a test, its helpers too.

#[path = "../examples/dpkg/commands.rs"]
mod commands;
#[path = "../examples/dpkg/control.rs"]
mod control;

use commands::{NO_SECTION, Package};
use control::{Paragraph, Paragraphs, dependency_names};
use proptest::prelude::*;
use serde_json::json;

fn paragraphs(text: &str) -> Vec<Paragraph> {
    Paragraphs::new(text.as_bytes()).map(Result::unwrap).collect()
}

fn package(text: &str) -> Package {
    Package::read(&paragraphs(text)[0], |_| false).unwrap()
}

#[test]
fn a_package_is_read_with_its_continuation_lines() {
    let text = "Package: adduser\nInstalled-Size: 686\nArchitecture: all\nSection: admin\nVersion: 3.134\n\
                Depends: passwd,\n debconf (>= 0.5) | debconf-2.0\n\
                Description: add and remove users\n This package: has colons.\n .\n And dots.\n";
    let package = package(text);
    assert_eq!(package.depends, ["passwd", "debconf", "debconf-2.0"]);
    assert_eq!(package.description.as_deref(), Some("add and remove users"));
    assert_eq!((package.installed_size, package.section.as_str()), (Some(686), "admin"));
}

#[test]
fn a_package_becomes_a_document_counters_and_a_queue_item() {
    let commands = package("Package: b\nDepends: a, c (= 1)\nVersion: 2\n").commands();
    let document = json!({
        "version": "2", "architecture": null, "section": NO_SECTION, "installed_size": null, "description": null,
        "depends": ["a", "c"],
    });
    assert_eq!(
        commands,
        [
            json!({"kind": "document", "key": "b", "command": {"put": {"value": document}}}),
            json!({"kind": "counter", "key": "a", "command": {"add": 1}}),
            json!({"kind": "counter", "key": "c", "command": {"add": 1}}),
            json!({"kind": "queue", "key": NO_SECTION, "command": {"push": {"item": "b"}}}),
        ]
    );
}

#[test]
fn paragraphs_are_parted_by_any_number_of_blank_lines() {
    let text = "\n\nPackage: a\n\n \n\t\nPackage: b\r\nVersion: 1\r\n\r\nPackage: c";
    let names: Vec<_> = paragraphs(text).iter().map(|p| p.get("package").unwrap().to_owned()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(paragraphs(text)[1].get("version"), Some("1"));
    assert!(paragraphs("").is_empty());
    assert!(paragraphs("\n\n").is_empty());
}

#[test]
fn what_is_no_field_is_left_out() {
    let text = " continuation of nothing\n# a comment\nno colon here\nPackage: a\n";
    assert_eq!(package(text).name, "a");
    assert!(Package::read(&paragraphs("Version: 1\n")[0], |_| false).is_none());
    assert!(Package::read(&paragraphs("Package:\nVersion: 1\n")[0], |_| false).is_none());
}

#[test]
fn the_second_architecture_of_a_package_has_its_own_name() {
    let paragraph = &paragraphs("Package: libc6\nArchitecture: i386\n")[0];
    assert_eq!(Package::read(paragraph, |name| name == "libc6").unwrap().name, "libc6:i386");
    assert_eq!(Package::read(paragraph, |_| false).unwrap().name, "libc6");
}

#[test]
fn relationships_are_reduced_to_names() {
    for (relationship, expected) in [
        ("libc6 (>= 2.34)", &["libc6"][..]),
        ("perl:any (>= 5.6), perl-base:amd64", &["perl", "perl-base"]),
        ("default-mta | mail-transport-agent", &["default-mta", "mail-transport-agent"]),
        ("a (>= 1), a (<< 2)", &["a"]),
        ("gcc [amd64 i386] <!nocheck>, g++(>= 4:10)", &["gcc", "g++"]),
        (" , ,| a,\n b ", &["a", "b"]),
        ("", &[]),
    ] {
        assert_eq!(dependency_names(relationship), expected, "{relationship:?}");
    }
}

proptest! {
    /// Whatever is written around a name, the name is found.
    #[test]
    fn every_name_of_a_relationship_is_found(
        names in proptest::collection::btree_set("[a-z0-9][a-z0-9+.-]{1,12}", 1..8),
        versions in proptest::collection::vec(prop_oneof![
            Just(""), Just(" (>= 1:2.3-4~a)"), Just("(= 1)"), Just(":any"), Just(":any (<< 9)"), Just(" [amd64]"),
        ], 8),
        separators in proptest::collection::vec(prop_oneof![Just(", "), Just(" | "), Just(","), Just("|"), Just(",\n ")], 8),
    ) {
        let mut text = String::new();
        for (index, name) in names.iter().enumerate() {
            text.push_str(name);
            text.push_str(versions[index]);
            text.push_str(separators[index]);
        }
        prop_assert_eq!(dependency_names(&text), names.into_iter().collect::<Vec<_>>());
    }

    /// No text is too strange to be read, and what is read has a name.
    #[test]
    fn any_text_is_read(text in "(?s).{0,400}") {
        for paragraph in Paragraphs::new(text.as_bytes()) {
            if let Some(package) = Package::read(&paragraph.unwrap(), |_| false) {
                prop_assert!(!package.name.is_empty());
                prop_assert!(!package.section.is_empty());
            }
        }
    }

    /// A field's value comes back as it was written, however many lines it has.
    #[test]
    fn fields_come_back(values in proptest::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 1..6)) {
        let text = format!("Package: x\nField: {}\n\nPackage: y\n", values.join("\n "));
        let read = paragraphs(&text);
        prop_assert_eq!(read.len(), 2);
        let whole = values.join("\n");
        prop_assert_eq!(read[0].get("field"), Some(whole.as_str()));
    }
}
