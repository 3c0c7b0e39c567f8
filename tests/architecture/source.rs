//! Rust source as the rules see it: without comments, without the contents of strings, without tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Which folders hold our Rust code.
const FOLDERS: [&str; 7] = ["src", "cluster", "client", "statefulset", "bench", "tests", "examples"];

/// All files that the rules look at.
pub struct Tree {
    pub files: Vec<Source>,
    /// Path and text of each decision record.
    pub decisions: Vec<(String, String)>,
}

impl Tree {
    /// The repository.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = BTreeMap::new();
        for folder in FOLDERS {
            collect(root, &root.join(folder), "rs", &mut texts);
        }
        let mut decisions = BTreeMap::new();
        collect(root, &root.join("docs/decisions"), "md", &mut decisions);
        Self { decisions: decisions.into_iter().collect(), ..Self::of(texts) }
    }

    /// A tree that exists only in a test of the rules.
    pub fn planted(files: &[(&str, &str)]) -> Self {
        Self::of(files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect())
    }

    fn of(texts: BTreeMap<String, String>) -> Self {
        let mut files: Vec<_> = texts.into_iter().map(|(path, text)| Source::new(path, text)).collect();
        let tests: BTreeSet<_> = files.iter().flat_map(Source::test_modules).collect();
        for file in &mut files {
            file.is_test |= tests.iter().any(|module| file.is_in_module(module));
        }
        Self { files, decisions: Vec::new() }
    }

    /// Files below `folder` that are not tests.
    pub fn production<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Source> {
        self.files.iter().filter(move |file| file.path.starts_with(folder) && !file.is_test)
    }
}

fn collect(root: &Path, folder: &Path, extension: &str, texts: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("the folder can be read").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, extension, texts);
        } else if path.extension().is_some_and(|found| found == extension) {
            let name = path.strip_prefix(root).expect("it is below the root").display().to_string();
            texts.insert(name, fs::read_to_string(&path).expect("sources are UTF-8"));
        }
    }
}

/// One file.
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// Without comments and without the contents of strings; lines are where they were.
    pub code: String,
    /// As `code`, without items under `#[cfg(test)]`.
    pub production: String,
    /// The strings outside of tests, with their lines.
    pub strings: Vec<(usize, String)>,
    /// Whether all of it is a test.
    pub is_test: bool,
}

/// A name in code, with what the rules need to know about its surroundings.
pub struct Name<'a> {
    pub line: usize,
    pub text: &'a str,
    /// Whether `::` follows: it is the beginning or the middle of a path.
    pub opens_path: bool,
    /// Whether it is the beginning: the name of a crate, or of a module in sight.
    pub is_crate: bool,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let (code, strings) = strip(&text);
        let (production, test_lines) = without_tests(&code);
        let strings = strings.into_iter().filter(|(line, _)| !test_lines.contains(line)).collect();
        let is_test = path.starts_with("tests/") || path.contains("/tests/");
        Self { path, text, code, production, strings, is_test }
    }

    /// Every name outside of tests.
    pub fn names(&self) -> impl Iterator<Item = Name<'_>> {
        names(&self.production)
    }

    /// The rooms of its own crate that it names, by `crate::room` or by enough `super::`.
    pub fn own_rooms(&self) -> Vec<(usize, String)> {
        let mut rooms = heads_behind(&self.production, "crate");
        rooms.extend(self.heads_behind_super());
        rooms
    }

    /// The modules of another crate that it names.
    pub fn modules_of(&self, name: &str) -> Vec<(usize, String)> {
        heads_behind(&self.production, name)
    }

    /// The room that it belongs to: `src/shard/gate.rs` and `src/shard.rs` are `shard`.
    pub fn room(&self, folder: &str) -> Option<&str> {
        let inside = self.path.strip_prefix(folder)?;
        Some(inside.split('/').next()?.trim_end_matches(".rs"))
    }

    /// `super::` as often as the module is deep ends at the crate's root.
    fn heads_behind_super(&self) -> Vec<(usize, String)> {
        let Some((_, inside)) = self.path.split_once("src/") else { return Vec::new() };
        let climb = "super::".repeat(inside.split('/').count());
        let Some(innermost) = climb.strip_suffix("::") else { return Vec::new() };
        heads_behind(&self.production, innermost)
    }

    /// The paths, without `.rs`, of modules that are declared under `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<String> {
        let folder = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let folder = folder.trim_end_matches("/lib").trim_end_matches("/main");
        let mut found = Vec::new();
        for (at, attribute) in self.code.match_indices("#[cfg(test)]") {
            let mut words = self.code[at + attribute.len()..].split_whitespace();
            if let (Some("mod"), Some(name)) = (words.next(), words.next())
                && let Some(name) = name.strip_suffix(';')
            {
                found.push(format!("{folder}/{name}"));
            }
        }
        found
    }

    /// Whether it is the file of `module`, which is a path without `.rs`, or below it.
    pub fn is_in_module(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }
}

/// The line, counted from 1, of the byte `at`.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|&byte| byte == b'\n').count() + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn names(code: &str) -> impl Iterator<Item = Name<'_>> {
    let (mut line, mut at) = (1, 0);
    std::iter::from_fn(move || {
        let start = at + code[at..].bytes().position(is_word)?;
        let length = code[start..].bytes().position(|byte| !is_word(byte)).unwrap_or(code.len() - start);
        let (before, text, behind) = (&code[..start], &code[start..start + length], &code[start + length..]);
        line += line_of(&before[at..], start - at) - 1;
        at = start + length;
        let opens_path = behind.trim_start().starts_with("::");
        Some(Name { line, text, opens_path, is_crate: opens_path && !before.trim_end().ends_with("::") })
    })
}

/// What stands directly behind `root::`; all of it for `root::{a, b}`.
fn heads_behind(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let bytes = code.as_bytes();
        let continues_a_path = code[..at].trim_end().ends_with("::");
        if continues_a_path || at > 0 && is_word(bytes[at - 1]) {
            continue;
        }
        let Some(behind) = code[at + root.len()..].trim_start().strip_prefix("::") else { continue };
        let behind = behind.trim_start();
        let offset = code.len() - behind.len();
        for (head_at, head) in heads(behind) {
            found.push((line_of(code, offset + head_at), head.to_owned()));
        }
    }
    found
}

/// The first names of a path, or of each member of a group.
fn heads(path: &str) -> Vec<(usize, &str)> {
    let word_at = |at: usize| {
        let word = &path[at..];
        &word[..word.bytes().position(|byte| !is_word(byte)).unwrap_or(word.len())]
    };
    if !path.starts_with('{') {
        return vec![(0, word_at(0))];
    }
    let (mut found, mut depth, mut expected) = (Vec::new(), 0_usize, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ if is_word(byte) && expected => found.push((at, word_at(at))),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        expected = depth == 1 && matches!(byte, b'{' | b',') || expected && byte.is_ascii_whitespace();
    }
    found
}

/// Blanks comments and the contents of strings and characters. Returns the strings with their lines too.
fn strip(text: &str) -> (String, Vec<(usize, String)>) {
    let (mut code, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let after_word = code.bytes().next_back().is_some_and(is_word);
        let piece = next_piece(rest, after_word);
        let (taken, behind) = rest.split_at(piece.length);
        if piece.is_string {
            strings.push((line_of(text, text.len() - rest.len()), taken.to_owned()));
        }
        if piece.is_code {
            code.push_str(taken);
        } else {
            code.extend(taken.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
        rest = behind;
    }
    (code, strings)
}

struct Piece {
    length: usize,
    is_code: bool,
    is_string: bool,
}

fn next_piece(rest: &str, after_word: bool) -> Piece {
    let blank = |length| Piece { length, is_code: false, is_string: false };
    let string = |length| Piece { length, is_code: false, is_string: true };
    if rest.starts_with("//") {
        return blank(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return blank(block_comment(rest));
    }
    if rest.starts_with('"') {
        return string(quoted(rest, '"'));
    }
    if let Some(length) = raw_string(rest).filter(|_| !after_word) {
        return string(length);
    }
    if let Some(length) = character(rest) {
        return blank(length);
    }
    Piece { length: rest.chars().next().map_or(0, char::len_utf8), is_code: true, is_string: false }
}

fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of what starts with `quote` and ends with the next one that is not escaped.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let opened = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = opened.bytes().take_while(|&byte| byte == b'#').count();
    opened[hashes..].strip_prefix('"')?;
    let body = rest.len() - opened.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(rest[body..].find(&close).map_or(rest.len(), |at| body + at + close.len()))
}

/// A character literal; not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut letters = rest.strip_prefix('\'')?.chars();
    match (letters.next()?, letters.next()) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (letter, Some('\'')) => Some(letter.len_utf8() + 2),
        _ => None,
    }
}

/// Blanks items under `#[cfg(test)]`. Returns the lines that it took too.
fn without_tests(code: &str) -> (String, BTreeSet<usize>) {
    let (mut production, mut lines) = (code.to_owned(), BTreeSet::new());
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        let end = item_end(code, at + attribute.len());
        lines.extend(line_of(code, at)..=line_of(code, end));
        let blank = code[at..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
        production.replace_range(at..end, &blank.collect::<String>());
    }
    (production, lines)
}

/// Where the item that starts at `from` ends: its closing brace, or its semicolon outside of brackets.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(byte, b'}' | b';') {
            return at + 1;
        }
    }
    code.len()
}
