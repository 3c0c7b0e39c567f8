//! The rules. Each takes the tree and returns what breaks it.

use std::fmt;

use crate::source::{Source, Tree, line_of};

/// Where a rule is broken, and why the rule exists.
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub reason: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, reason } = self;
        write!(f, "{path}:{line}: {what}\n    because {reason}")
    }
}

fn at(file: &Source, line: usize, what: String, reason: &'static str) -> Violation {
    Violation { path: file.path.clone(), line, what, reason }
}

/// What a room of the node may name: rooms of the node, and rooms of `cluster`.
struct MayUse {
    room: &'static str,
    rooms: &'static [&'static str],
    cluster: &'static [&'static str],
}

const ALL: &[&str] = &["*"];
/// Time, randomness and maps: the world and the standard library, so to speak.
const ALWAYS: [&str; 2] = ["environment", "collections"];

const FLOOR_PLAN: &[MayUse] = &[
    MayUse { room: "protocol", rooms: &[], cluster: &["codec"] },
    MayUse { room: "entity", rooms: &["protocol"], cluster: &[] },
    MayUse {
        room: "shard",
        rooms: &["entity", "protocol", "telemetry"],
        cluster: &["consensus", "store", "codec", "identity"],
    },
    MayUse { room: "router", rooms: &["shard", "protocol", "entity"], cluster: ALL },
    MayUse { room: "gateway", rooms: &["router", "protocol", "entity", "telemetry"], cluster: &[] },
    MayUse { room: "process", rooms: &["protocol", "entity", "router"], cluster: ALL },
    MayUse { room: "kinds", rooms: &["entity", "protocol"], cluster: &[] },
    MayUse { room: "telemetry", rooms: &[], cluster: &[] },
    MayUse { room: "config", rooms: &[], cluster: &[] },
    MayUse { room: "backup", rooms: &[], cluster: &["codec"] },
    MayUse { room: "causes", rooms: &[], cluster: &[] },
    MayUse { room: "load", rooms: &["causes"], cluster: &[] },
    MayUse { room: "node", rooms: ALL, cluster: ALL },
    MayUse { room: "cli", rooms: &["backup", "causes", "config", "load", "node"], cluster: &[] },
    MayUse {
        room: "testing",
        rooms: &["protocol", "entity", "shard", "router", "process", "kinds", "telemetry", "config"],
        cluster: ALL,
    },
    // The floor plan itself and the binary.
    MayUse { room: "lib", rooms: ALL, cluster: ALL },
    MayUse { room: "main", rooms: ALL, cluster: &[] },
];

const CLUSTER_PLAN: &[MayUse] = &[
    MayUse { room: "environment", rooms: &[], cluster: &[] },
    MayUse { room: "collections", rooms: &[], cluster: &[] },
    MayUse { room: "codec", rooms: &[], cluster: &[] },
    MayUse { room: "volume", rooms: &["codec"], cluster: &[] },
    MayUse { room: "store", rooms: &["codec", "volume"], cluster: &[] },
    MayUse { room: "consensus", rooms: &["codec", "store"], cluster: &[] },
    MayUse { room: "identity", rooms: &["codec", "volume", "consensus"], cluster: &[] },
    MayUse { room: "peering", rooms: &["codec", "identity", "consensus"], cluster: &[] },
    MayUse { room: "membership", rooms: &["codec", "identity", "consensus"], cluster: &[] },
    MayUse { room: "placement", rooms: &["identity", "consensus", "membership"], cluster: &[] },
    MayUse { room: "lib", rooms: ALL, cluster: &[] },
];

fn allows(list: &[&str], name: &str) -> bool {
    list == ALL || list.contains(&name)
}

/// Rooms only look down.
pub fn directions(tree: &Tree) -> Vec<Violation> {
    const REASON: &str = "rooms look down only, or nobody can change one without reading all (ARCHITECTURE.md; the table is \
                          in tests/architecture/rules.rs)";
    let mut found = Vec::new();
    for (folder, plan) in [("src/", FLOOR_PLAN), ("cluster/src/", CLUSTER_PLAN)] {
        for file in tree.production(folder) {
            let room = file.room(folder).expect("it is below the folder");
            let Some(may) = plan.iter().find(|may| may.room == room) else {
                found.push(at(file, 1, format!("the floor plan has no room `{room}`"), REASON));
                continue;
            };
            // Macros and items of the crate's root start with a name that is no room.
            let is_room = |name: &str| plan.iter().any(|other| other.room == name);
            for (line, name) in file.own_rooms() {
                if is_room(&name) && name != room && !ALWAYS.contains(&&*name) && !allows(may.rooms, &name) {
                    found.push(at(file, line, format!("`{room}` names `{name}`"), REASON));
                }
            }
            for (line, name) in file.modules_of("playhouse_cluster") {
                if !ALWAYS.contains(&&*name) && !allows(may.cluster, &name) {
                    found.push(at(file, line, format!("`{room}` names `playhouse_cluster::{name}`"), REASON));
                }
            }
        }
    }
    found
}

/// Which crates of ours a crate may name.
pub fn crates(tree: &Tree) -> Vec<Violation> {
    const OURS: [&str; 5] =
        ["playhouse", "playhouse_cluster", "playhouse_client", "playhouse_statefulset", "playhouse_bench"];
    const MAY: [(&str, &[&str]); 4] =
        [("cluster/src/", &[]), ("client/src/", &[]), ("statefulset/src/", &[]), ("src/", &OURS)];
    const REASON: &str =
        "crates below the node stand alone: the client stays small, and `cluster` cannot learn what it moves";
    let mut found = Vec::new();
    for (folder, may) in MAY {
        for file in tree.production(folder) {
            for name in file.names().filter(|name| name.is_crate && OURS.contains(&name.text)) {
                if !may.contains(&name.text) {
                    found.push(at(file, name.line, format!("`{folder}` names `{}`", name.text), REASON));
                }
            }
            if folder == "src/" && !matches!(file.room(folder), Some("cli" | "load")) {
                let client = file.names().filter(|name| name.text == "playhouse_client");
                found.extend(client.map(|name| {
                    at(file, name.line, "only `cli` and `load` talk to a node over HTTP".to_owned(), REASON)
                }));
            }
        }
    }
    found
}

/// A foreign engine has one home: one file, or the files behind one door.
pub fn one_home_per_engine(tree: &Tree) -> Vec<Violation> {
    const HOMES: [(&str, &str); 5] = [
        ("openraft", "cluster/src/consensus/raft"),
        ("sled", "cluster/src/store/sled"),
        ("fjall", "cluster/src/store/fjall"),
        ("ractor_cluster", "cluster/src/peering/processes"),
        ("hickory_resolver", "cluster/src/peering/discovery/name_servers"),
    ];
    const REASON: &str = "replacing an engine must mean writing one file, or what stands behind one door";
    let mut found = Vec::new();
    for file in ["src/", "cluster/src/", "client/src/", "statefulset/src/"]
        .iter()
        .flat_map(|folder| tree.production(folder))
    {
        for (engine, _) in HOMES.iter().filter(|(_, home)| !file.is_in_module(home)) {
            let abroad = file.names().filter(|name| name.is_crate && name.text == *engine);
            found.extend(abroad.map(|name| at(file, name.line, format!("names `{engine}`"), REASON)));
        }
    }
    found
}

/// Only `gateway` knows its web framework, only the two ends of HTTP know its frames, only `bench` the codecs that were
/// not chosen.
pub fn private_crates(tree: &Tree) -> Vec<Violation> {
    const PRIVATE: [(&[&str], &[&str], &str); 5] = [
        (
            &["axum"],
            &["src/gateway", "bench/src"],
            "only the gateway serves HTTP, and what is measured beside it",
        ),
        (
            &["hyper", "hyper_util"],
            &["src/gateway", "client/src"],
            "only the gateway and the client speak HTTP",
        ),
        (
            &["ractor"],
            &["src/process", "tests/", "examples/", "bench/", "cluster/src/peering/processes"],
            "processes are the business of `process`; other rooms use its door",
        ),
        (&["wincode", "bincode"], &["bench/"], "there is one codec; the others are there to be measured"),
        (&["postcard"], &["cluster/src/codec.rs"], "there is one codec and one place that names it"),
    ];
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !file.is_test) {
        let is_home = |homes: &[&str]| homes.iter().any(|home| file.path.starts_with(home));
        for (names, _, reason) in PRIVATE.iter().filter(|(_, homes, _)| !is_home(homes)) {
            let foreign = file.names().filter(|name| name.is_crate && names.contains(&name.text));
            found.extend(foreign.map(|name| at(file, name.line, format!("names `{}`", name.text), reason)));
        }
    }
    found
}

/// Only `statefulset` speaks Kubernetes, in names and in strings.
pub fn kubernetes_words(tree: &Tree) -> Vec<Violation> {
    const WORDS: [&str; 12] = [
        "pod",
        "pods",
        "kubernetes",
        "k8s",
        "kube",
        "kubelet",
        "kubectl",
        "statefulset",
        "daemonset",
        "configmap",
        "kustomize",
        "argocd",
    ];
    const REASON: &str = "only the crate `statefulset` knows Kubernetes; the node runs anywhere";
    let mut found = Vec::new();
    for file in ["src/", "cluster/src/", "client/src/"].iter().flat_map(|folder| tree.production(folder)) {
        let names = file.names().map(|name| (name.line, name.text));
        let strings = file.strings.iter().map(|(line, text)| (*line, text.as_str()));
        for (line, text) in names.chain(strings).filter(|(_, text)| *text != "playhouse_statefulset") {
            if let Some(word) = words(text).into_iter().find(|word| WORDS.contains(&word.as_str())) {
                found.push(at(file, line, format!("says `{word}`"), REASON));
            }
        }
    }
    found
}

/// `cluster` never learns what an entity is.
pub fn cluster_knows_no_entity(tree: &Tree) -> Vec<Violation> {
    const REASON: &str = "`cluster` moves bytes and leadership; what they mean is decided above it";
    let mut found = Vec::new();
    for file in tree.production("cluster/src/") {
        for name in file.names() {
            if words(name.text).iter().any(|word| word == "entity" || word == "entities") {
                found.push(at(file, name.line, format!("`{}` is about entities", name.text), REASON));
            }
        }
    }
    found
}

/// What decides from facts alone can be tested with facts alone.
pub fn pure_rooms(tree: &Tree) -> Vec<Violation> {
    const WORLD: [&str; 7] = ["tokio", "environment", "rand", "net", "fs", "Instant", "ractor"];
    const PURE: [&str; 15] = [
        "cluster/src/membership",
        "cluster/src/placement",
        "src/load/latency",
        "src/load/message",
        "src/load/plan",
        "src/load/report",
        "src/load/requirement",
        "src/load/tally",
        "src/process/distribution/groups/members",
        "src/process/pool/plan",
        "src/process/state_machine/engine",
        "src/process/supervisor/backoff",
        "src/process/supervisor/decisions",
        "src/process/supervisor/intensity",
        "src/process/supervisor/spec",
    ];
    const REASON: &str = "what decides is pure: no socket, file, clock, task or random source";
    let mut found = Vec::new();
    for file in ["cluster/src/", "src/"].iter().flat_map(|folder| tree.production(folder)) {
        if PURE.iter().any(|module| file.is_in_module(module)) {
            let names = file.names().filter(|name| name.opens_path && WORLD.contains(&name.text));
            found.extend(names.map(|name| at(file, name.line, format!("names `{}`", name.text), REASON)));
        }
    }
    found
}

/// A file holds one noun.
pub fn short_files(tree: &Tree) -> Vec<Violation> {
    const LINES_MAX: usize = 600;
    const REASON: &str = "a file holds one noun; past this it holds two";
    let lines = |file: &Source| file.text.lines().count();
    let long = tree.files.iter().filter(|file| lines(file) > LINES_MAX);
    long.map(|file| at(file, LINES_MAX, format!("{} lines, at most {LINES_MAX}", lines(file)), REASON))
        .collect()
}

/// A reader arrives from above: every file says what it is for, doors first of all.
pub fn module_docs(tree: &Tree) -> Vec<Violation> {
    const REASON: &str = "the first lines say what the room is for, what comes in and what leaves";
    const DOCS: [&str; 2] = ["//!", "#![doc = include_str!"];
    let silent = tree.files.iter().filter(|file| !DOCS.iter().any(|docs| file.text.starts_with(docs)));
    silent.map(|file| at(file, 1, "has no module doc in its first line".to_owned(), REASON)).collect()
}

/// Nothing is half done.
pub fn nothing_unfinished(tree: &Tree) -> Vec<Violation> {
    const MARKS: [&str; 4] = ["todo!", "unimplemented!", "#[ignore", "cfg(any())"];
    const REASON: &str = "what is not done is not merged; a test that does not run proves nothing";
    let mut found = Vec::new();
    for file in &tree.files {
        for (start, mark) in MARKS.iter().flat_map(|mark| file.code.match_indices(mark)) {
            found.push(at(file, line_of(&file.code, start), format!("`{mark}`"), REASON));
        }
    }
    found
}

/// A decision shows its evidence.
pub fn decisions(tree: &Tree) -> Vec<Violation> {
    const HEADINGS: [&str; 4] = ["Context", "Decision", "Evidence", "Consequence"];
    const REASON: &str =
        "a decision without its evidence cannot be revised (docs/decisions/0001-record-decisions.md)";
    let mut found = Vec::new();
    for (path, text) in &tree.decisions {
        let has = |heading: &str| text.lines().any(|line| line.starts_with(&format!("## {heading}")));
        for heading in HEADINGS.iter().filter(|heading| !has(heading)) {
            let what = format!("has no heading `## {heading}`");
            found.push(Violation { path: path.clone(), line: 1, what, reason: REASON });
        }
    }
    found
}

/// The words of a name or of a sentence, in lower case: `PodName`, `POD_NAME` and `a pod's name` all hold `pod`.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for letter in text.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() && previous.is_lowercase() {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("it starts with one").extend(letter.to_lowercase());
        }
        previous = letter;
    }
    words
}
