//! The rules of the room, as claims.

mod cluster;

use std::time::Duration;

use super::*;

fn with_file(text: &str) -> Sources {
    let file = ConfigFile { path: "playhouse.toml".into(), text: text.to_owned() };
    Sources { file: Some(file), ..Sources::default() }
}

fn env(name: &str, value: &str) -> [(String, String); 1] {
    [(name.to_owned(), value.to_owned())]
}

fn faults(sources: &Sources) -> String {
    resolve(sources).unwrap_err().to_string()
}

fn setting(sources: &Sources, key: &str) -> (String, String) {
    let settings = resolve(sources).unwrap().settings;
    let found = settings.iter().find(|setting| setting.key == key).unwrap();
    (found.value.clone(), found.origin.to_string())
}

#[test]
fn the_defaults_are_valid_and_documented() {
    for profile in [Profile::Run, Profile::Dev] {
        let resolved = resolve(&Sources { profile, ..Sources::default() }).unwrap();
        for setting in resolved.settings {
            assert!(setting.help.ends_with('.'), "{}", setting.key);
        }
    }
}

#[test]
fn dev_keeps_to_this_machine() {
    let config = resolve(&Sources { profile: Profile::Dev, ..Sources::default() }).unwrap().config;
    assert!(config.gateway.listen.ip().is_loopback() && config.ops.listen.ip().is_loopback());
    assert_eq!((config.node.shards.get(), config.node.data_dir), (16, ".playhouse/playhouse-0".into()));
}

#[test]
fn later_sources_win_and_each_value_knows_who_decided() {
    let key = "gateway.body_timeout";
    let sources = Sources::default();
    assert_eq!(setting(&sources, key), ("30s".into(), "default".into()));
    let sources = with_file("# ours\n[gateway]\nbody_timeout = \"1m30s\"\n");
    assert_eq!(setting(&sources, key), ("1m30s".into(), "playhouse.toml:3".into()));
    let sources = sources.with_env(env("PLAYHOUSE_GATEWAY__BODY_TIMEOUT", "90ms"));
    assert_eq!(setting(&sources, key), ("90ms".into(), "environment PLAYHOUSE_GATEWAY__BODY_TIMEOUT".into()));
    let sources = sources.with_flags(env(key, "2s"));
    assert_eq!(setting(&sources, key), ("2s".into(), "command line".into()));
    let dev = Sources { profile: Profile::Dev, ..Sources::default() };
    assert_eq!(setting(&dev, "node.shards"), ("16".into(), "default of dev".into()));
}

#[test]
fn values_have_types() {
    let text = "[node]\nshards = 64\n[limits]\nstate_bytes_max = \"512KiB\"\n[traces]\nsample = 0.5\n[store]\nengine = \"sled\"";
    let config = resolve(&with_file(text)).unwrap().config;
    assert_eq!(config.node.shards.get(), 64);
    assert_eq!(config.limits.state_bytes_max.bytes(), 512 * 1024);
    assert_eq!((config.traces.sample.get(), config.store.engine), (0.5, Engine::Sled));
    assert_eq!(config.drain.budget, Duration::from_secs(25));
}

#[test]
fn an_unknown_key_of_the_file_names_its_line_and_the_nearest_key() {
    let text = faults(&with_file("[gateway]\nlisten = \"0.0.0.0:80\"\nbody_byte_max = 3\n"));
    assert_eq!(
        text,
        "playhouse.toml:3: unknown key gateway.body_byte_max; did you mean gateway.body_bytes_max?"
    );
    let text = faults(&with_file("shards = 3"));
    assert_eq!(text, "playhouse.toml:1: unknown key shards; did you mean node.shards?");
}

#[test]
fn an_unknown_variable_is_an_error() {
    let text = faults(&Sources::default().with_env(env("PLAYHOUSE_GATEWAY_LISTEN", "0.0.0.0:80")));
    assert_eq!(
        text,
        "environment PLAYHOUSE_GATEWAY_LISTEN: unknown key gateway_listen; did you mean gateway.listen?"
    );
}

#[test]
fn variables_of_others_are_ignored() {
    for name in ["PATH", "PLAYHOUSE_SERVICE_HOST", "PLAYHOUSE_PORT", "PLAYHOUSE_CONFIG"] {
        assert!(resolve(&Sources::default().with_env(env(name, "10.0.0.1"))).is_ok(), "{name}");
    }
}

#[test]
fn a_bad_value_says_which_key_what_was_given_and_what_is_allowed() {
    for (key, given, allowed) in [
        ("gateway.listen", "8080", "an address with a port"),
        ("gateway.head_timeout", "10", "a duration above 0 with its unit"),
        ("gateway.head_timeout", "0s", "a duration above 0"),
        ("limits.state_bytes_max", "1M", "a size above 0"),
        ("limits.state_bytes_max", "0", "a size above 0"),
        ("node.shards", "0", "a number from 1 to 65535"),
        ("node.name", "", "a text that is not empty"),
        ("store.engine", "rocksdb", "fjall, sled or memory"),
        ("log.format", "xml", "auto, json or human"),
        ("log.level", "loud", "off, error, warn"),
        ("traces.sample", "2", "a number from 0 to 1"),
        ("gateway.connections_max", "many", "a number from 1"),
        ("cluster.id", "12ab", "32 hexadecimal digits"),
        ("cluster.track", "beta", "stable, canary, blue or green"),
        ("cluster.replication_factor", "2", "1, 3 or 5"),
        ("bootstrap.members", "a,a", "names separated by commas, each once"),
        ("peer.encryption", "true", "on or off"),
        ("peer.seeds", "playhouse-1", "addresses with ports separated by commas"),
        ("peer.discovery_name", "peers:4370", "a name of DNS without a port"),
        ("peer.discovery_port", "0", "a number from 1 to 65535"),
    ] {
        let text = faults(&Sources::default().with_flags(env(key, given)));
        let expected = format!("command line: {key} is {given:?}; it must be {allowed}");
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    for (key, value, fault) in [
        ("gateway.body_bytes_max", "8MiB", "8MiB must not be above 4MiB"),
        ("node.shards", "4097", "4097 is above 4096"),
        ("peer.seeds", "10.0.0.10:4370", "bootstrap.members: is unset, but peer.seeds"),
        ("peer.discovery_name", "playhouse-peers", "bootstrap.members: is unset, but peer.seeds"),
        ("limits.state_bytes_max", "5MiB", "5MiB must not be above 4MiB"),
        ("limits.reply_bytes_max", "5MiB", "5MiB must not be above 4MiB"),
        (
            "limits.proposal_bytes_max",
            "9MiB",
            "1.5 times 9MiB and twice 1MiB must not be above 15MiB together",
        ),
        ("gateway.request_timeout_max", "10m", "10m must be below 10m"),
        ("gateway.request_timeout_default", "2m", "2m must not be above 1m"),
        ("ops.listen", "0.0.0.0:8080", "both listen on 0.0.0.0:8080"),
        ("peer.listen", "0.0.0.0:8080", "gateway.listen, peer.listen: both listen on 0.0.0.0:8080"),
        ("peer.listen", "0.0.0.0:9090", "ops.listen, peer.listen: both listen on 0.0.0.0:9090"),
        ("traces.endpoint", "https://collector", "must begin with http://"),
        ("processes.message_bytes_max", "8MiB", "8MiB must be at least 1KiB below 8MiB"),
        ("processes.message_bytes_max", "1KiB", "1KiB must be 4KiB to 64MiB"),
        ("processes.answers_bytes_max", "512KiB", "1MiB must not be above 512KiB"),
        ("store.sync_hangs_after", "900ms", "900ms must be 1s or more"),
        ("store.sync_hangs_after", "31s", "31s must not be above 30s"),
        ("store.write_hangs_after", "4s", "5s must not be above 4s"),
    ] {
        let text = faults(&Sources::default().with_flags(env(key, value)));
        assert!(text.contains(fault), "{key}: {text}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let sources = with_file("[node]\nshards = 0\nsize = 3\n").with_flags(env("log.level", "loud"));
    assert_eq!(faults(&sources).lines().count(), 3);
}

#[test]
fn a_file_that_is_not_toml_names_its_line() {
    assert!(faults(&with_file("[node]\nshards = = 3\n")).starts_with("playhouse.toml:2: "));
    let text = faults(&with_file("[node]\nshards = [1, 2]\n"));
    assert_eq!(
        text,
        r#"playhouse.toml:2: node.shards is "[1, 2]"; it must be a text, a number or true or false"#
    );
}

#[test]
fn an_empty_text_unsets_what_may_be_unset() {
    let file = with_file("[gateway]\ntoken_file = \"/etc/tokens\"");
    assert_eq!(resolve(&file).unwrap().config.gateway.token_file, Some("/etc/tokens".into()));
    let unset = file.with_env(env("PLAYHOUSE_GATEWAY__TOKEN_FILE", ""));
    assert_eq!(resolve(&unset).unwrap().config.gateway.token_file, None);
}

/// `UPDATE_DOCS=1 cargo test -p playhouse documented` writes the page anew.
#[test]
fn the_documented_keys_are_the_declared_ones() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    let run = resolve(&Sources::default()).unwrap().settings;
    let dev = resolve(&Sources { profile: Profile::Dev, ..Sources::default() }).unwrap().settings;
    let rows: String = run.iter().zip(&dev).map(|(run, dev)| row(run, dev)).collect();
    let head = "# Configuration\n\nMade of the list in `src/config/sections.rs`. A key is set in the TOML file \
                (`[gateway]` `listen = …`), by a variable (`PLAYHOUSE_GATEWAY__LISTEN`) or by a flag; later ones win. \
                Durations and sizes have units (`1m30s`, `64MiB`). `playhouse config show` prints what counts and \
                why.\n\n| key | default | is for |\n|---|---|---|\n";
    let expected = format!("{head}{rows}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(page).unwrap(), expected, "run it with UPDATE_DOCS=1");
}

fn row(run: &Setting, dev: &Setting) -> String {
    let shown = |setting: &Setting| {
        if setting.value.is_empty() { "unset".into() } else { format!("`{}`", setting.value) }
    };
    let dev = if run.value == dev.value { String::new() } else { format!(" (`dev`: {})", shown(dev)) };
    let help = run.help.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    format!("| `{}` | {}{dev} | {help} |\n", run.key, shown(run))
}
