//! Which series and labels an expression of PromQL uses.
//!
//! Reads no more of the language than that. Whether it is an expression at all, promtool says.

use std::collections::BTreeSet;

/// What an expression uses.
#[derive(Debug, Default, PartialEq)]
pub struct Expression {
    pub selectors: Vec<Selector>,
    /// Labels by which it groups or matches.
    pub grouped: BTreeSet<String>,
}

/// One choice of series.
#[derive(Debug, Default, PartialEq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

/// What a label must be.
#[derive(Debug, PartialEq)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const WORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// Reads an expression.
pub fn parse(expression: &str) -> Expression {
    let mut found = Expression::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' {
            let (name, after) = word(rest);
            rest = named(name, after.trim_start(), &mut found);
        } else if first.is_ascii_digit() {
            rest = word(rest).1;
        } else {
            rest = match first {
                '[' => rest.split_once(']').expect("a range ends").1,
                '"' => rest[1..].split_once('"').expect("a text ends").1,
                _ => &rest[first.len_utf8()..],
            };
        }
        rest = rest.trim_start();
    }
    found
}

/// What a name stands for depends on what follows it. Returns what is behind all of it.
fn named<'a>(name: &str, after: &'a str, found: &mut Expression) -> &'a str {
    if LISTS.contains(&name) && after.starts_with('(') {
        let (labels, after) = after[1..].split_once(')').expect("a list of labels ends");
        let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
        found.grouped.extend(labels.map(str::to_owned));
        return after;
    }
    // `sum (…)`, or `sum by (…) (…)`.
    let is_function = after.starts_with('(') || ["by", "without"].contains(&word(after).0);
    if LISTS.contains(&name) || WORDS.contains(&name) || is_function {
        return after;
    }
    let mut selector = Selector { metric: name.to_owned(), matchers: Vec::new() };
    let after = after.strip_prefix('{').map_or(after, |inside| matchers(inside, &mut selector.matchers));
    found.selectors.push(selector);
    after
}

fn matchers<'a>(mut rest: &'a str, found: &mut Vec<Matcher>) -> &'a str {
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let (label, after) = word(rest);
        assert!(!label.is_empty(), "no label at {rest}");
        let (operator, after) = after.split_once('"').expect("a label is compared with a text");
        let (value, after) = after.split_once('"').expect("a text ends");
        let operator = operator.trim().to_owned();
        found.push(Matcher { label: label.to_owned(), operator, value: value.to_owned() });
        rest = after;
    }
}

fn word(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

#[test]
fn what_an_expression_uses_is_found() {
    let text = r#"histogram_quantile(0.99, sum by (le, pod) (rate(a_bucket{x="1", y!~"b|c"}[5m])))
                  > 36 * 3600 unless on (namespace) group_left (z) max(b) or absent(c offset 1d) and vector(0)"#;
    let found = parse(text);
    let metrics: Vec<_> = found.selectors.iter().map(|selector| &*selector.metric).collect();
    assert_eq!(metrics, ["a_bucket", "b", "c"]);
    let matchers = found.selectors[0]
        .matchers
        .iter()
        .map(|matcher| (&*matcher.label, &*matcher.operator, &*matcher.value));
    assert_eq!(matchers.collect::<Vec<_>>(), [("x", "=", "1"), ("y", "!~", "b|c")]);
    assert_eq!(found.grouped, ["le", "namespace", "pod", "z"].map(str::to_owned).into());
}
