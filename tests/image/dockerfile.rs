//! A Dockerfile as instructions: enough of its grammar for ours, and a panic at anything else.

use std::{collections::BTreeMap, fs};

use crate::repository;

/// Where it is, from the root of the repository.
pub const PATH: &str = "statefulset/image/Dockerfile";

/// One instruction: `COPY --from=build /image/ /`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub name: String,
    /// `--from=build`, without the dashes.
    pub flags: BTreeMap<String, String>,
    pub rest: String,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The image or stage that it begins with.
    pub from: String,
    pub name: Option<String>,
    pub instructions: Vec<Instruction>,
}

impl Stage {
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Instruction> {
        self.instructions.iter().filter(move |instruction| instruction.name == name)
    }

    /// The only instruction of that name.
    pub fn one(&self, name: &str) -> &Instruction {
        let found: Vec<_> = self.all(name).collect();
        let [one] = found[..] else { panic!("{} of {name}", found.len()) };
        one
    }
}

/// All stages, with the defaults of global arguments filled in.
pub fn stages() -> Vec<Stage> {
    let text = fs::read_to_string(repository().join(PATH)).unwrap();
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(&text) {
        match (instruction.name.as_str(), stages.last_mut()) {
            ("FROM", _) => stages.push(stage(&substituted(&instruction.rest, &globals))),
            ("ARG", None) => globals.push(pair(&instruction.rest)),
            (_, Some(stage)) => stage.instructions.push(instruction),
            (_, None) => panic!("{instruction:?} stands before the first FROM"),
        }
    }
    stages
}

/// `KEY="value" OTHER=value` as pairs.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let mut is_quoted = false;
    let words = text.split(|letter: char| {
        is_quoted ^= letter == '"';
        letter.is_whitespace() && !is_quoted
    });
    words.filter(|word| !word.is_empty()).map(pair).collect()
}

/// `${NAME}` replaced by its value.
pub fn substituted(text: &str, values: &[(String, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or_else(|| panic!("{text} has no value"));
    (name.to_owned(), value.trim_matches('"').to_owned())
}

fn stage(rest: &str) -> Stage {
    let words: Vec<_> = rest.split_whitespace().collect();
    let (from, name) = match words[..] {
        [from] => (from, None),
        [from, "AS", name] => (from, Some(name.to_owned())),
        _ => panic!("FROM {rest}"),
    };
    Stage { from: from.to_owned(), name, instructions: Vec::new() }
}

fn instructions(text: &str) -> Vec<Instruction> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut joined = vec![String::new()];
    for line in lines {
        let last = joined.last_mut().expect("it starts with one");
        match line.strip_suffix('\\') {
            Some(continued) => last.push_str(continued),
            None => {
                last.push_str(line);
                joined.push(String::new());
            }
        }
    }
    assert_eq!(joined.pop().as_deref(), Some(""), "the last line goes on");
    joined.iter().map(|line| instruction(line)).collect()
}

fn instruction(line: &str) -> Instruction {
    const KNOWN: [&str; 13] = [
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "RUN",
        "STOPSIGNAL",
        "USER",
        "WORKDIR",
    ];
    let (name, mut rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line} says nothing"));
    assert!(KNOWN.contains(&name), "no such instruction: {line}");
    rest = rest.trim_start();
    let mut flags = BTreeMap::new();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or_else(|| panic!("{line}"));
        let (key, value) = flag.split_once('=').unwrap_or_else(|| panic!("{line}: --{flag} has no value"));
        flags.insert(key.to_owned(), value.to_owned());
        rest = after.trim_start();
    }
    Instruction { name: name.to_owned(), flags, rest: rest.to_owned() }
}
