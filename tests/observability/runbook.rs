//! The pages for whoever is paged.

use std::{collections::BTreeSet, path::PathBuf};

use crate::rule::Alert;

/// What each page answers, in this order.
const SECTIONS: [&str; 6] = [
    "## What it means",
    "## What is at stake",
    "## First three commands",
    "## Causes, the likeliest first",
    "## What to do",
    "## What not to do",
];

/// The alerts that have a page.
pub fn pages() -> BTreeSet<String> {
    let files =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.map(|file| file.strip_suffix(".md").expect("only pages are here").to_owned());
    names.filter(|name| name != "README").collect()
}

/// Where the pages of which an alert has one are published.
pub fn base_of(alert: &Alert) -> String {
    let file = format!("/docs/operating/runbooks/{}.md", alert.name);
    let base = alert.runbook_url.strip_suffix(&file);
    base.unwrap_or_else(|| panic!("{}: {}", alert.name, alert.runbook_url)).to_owned()
}

/// The page of an alert answers every question, and the index knows it.
pub fn check(alert: &Alert) {
    let Alert { name, severity, .. } = alert;
    let page = read(name);
    assert!(page.starts_with(&format!("# {name}\n")), "{name}: another title");
    let found: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(found, SECTIONS, "{name}");
    let (_, commands) = page.split_once(SECTIONS[2]).unwrap();
    let (commands, _) = commands.split_once(SECTIONS[3]).unwrap();
    let block = commands.split("```sh\n").nth(1).unwrap_or_else(|| panic!("{name}: no commands"));
    let lines = block.split("```").next().unwrap().lines();
    // A line that goes on is one command with the next.
    let begun = lines.filter(|line| !line.starts_with([' ', '#'])).count();
    assert_eq!(begun, 3, "{name}: first three commands");
    let row = format!("| [`{name}`]({name}.md) | {severity} |");
    assert!(read("README").contains(&row), "the index has no row {row}");
}

/// The commands of `playhouse` that the pages tell to run, in blocks and in sentences.
pub fn commands() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for page in pages().iter().map(|name| read(name)).chain([read("README")]) {
        let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let in_blocks = blocks.flat_map(|block| block.split(" playhouse ").skip(1));
        let in_sentences = page.split('`').skip(1).filter_map(|code| code.strip_prefix("playhouse "));
        let words = in_blocks.chain(in_sentences).map(|rest| rest.split_whitespace().next().unwrap());
        found.extend(
            words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).map(str::to_owned),
        );
    }
    found
}

/// Links of all pages lead somewhere.
pub fn check_links() {
    let pages: Vec<_> = pages().into_iter().chain(["README".to_owned()]).collect();
    for name in &pages {
        let page = read(name);
        let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            check_link(name, link);
        }
    }
}

fn check_link(page: &str, link: &str) {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let text = std::fs::read_to_string(folder().join(file));
    let text = text.unwrap_or_else(|error| panic!("{page} links to {file}: {error}"));
    let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
    assert!(
        heading.is_empty() || headings.into_iter().any(|found| found == heading),
        "{page}: nothing is at {link}"
    );
}

/// How a heading is linked to: lower case, without punctuation, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn read(name: &str) -> String {
    let path = folder().join(format!("{name}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operating/runbooks")
}
