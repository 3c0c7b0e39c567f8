//! Debian control files: paragraphs of fields, as in `/var/lib/dpkg/status`.

use std::io::{self, BufRead};

/// One paragraph: its fields in their order. A field's name is in lower case; the lines of its value are joined by
/// line breaks, without the space that a continuation begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// The whole value of a field, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The first line of a field's value, if it is not empty.
    pub fn first_line(&self, name: &str) -> Option<&str> {
        self.get(name)?.lines().next().map(str::trim).filter(|line| !line.is_empty())
    }
}

/// Reads paragraph by paragraph, keeping one.
pub struct Paragraphs<R> {
    lines: io::Lines<R>,
}

impl<R: BufRead> Paragraphs<R> {
    pub fn new(input: R) -> Self {
        Self { lines: input.lines() }
    }
}

impl<R: BufRead> Iterator for Paragraphs<R> {
    type Item = io::Result<Paragraph>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut paragraph = Paragraph::default();
        for line in self.lines.by_ref() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            if !line.trim().is_empty() {
                paragraph.add(&line);
            } else if !paragraph.fields.is_empty() {
                break;
            }
        }
        (!paragraph.fields.is_empty()).then_some(Ok(paragraph))
    }
}

impl Paragraph {
    fn add(&mut self, line: &str) {
        if line.starts_with('#') {
            return;
        }
        if let Some(continued) = line.strip_prefix([' ', '\t']) {
            if let Some((_, value)) = self.fields.last_mut() {
                value.push('\n');
                value.push_str(continued);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            self.fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
}

/// The names of the packages in a relationship field such as `libc6 (>= 2.34), perl:any | perl-base [amd64]`.
///
/// Every alternative counts, each name once. Versions, architectures and build profiles are left out.
pub fn dependency_names(relationship: &str) -> Vec<String> {
    let mut names = Vec::new();
    for alternative in relationship.split([',', '|']) {
        let name = alternative.trim_start().split(|c: char| c.is_whitespace() || "([<:".contains(c)).next();
        if let Some(name) = name.filter(|name| !name.is_empty()).map(str::to_owned)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}
