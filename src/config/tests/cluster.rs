//! What several keys say together about the cluster.

use super::super::*;

/// Three nodes as they should be configured.
const THREE: [(&str, &str); 3] = [
    ("bootstrap.members", "playhouse-0,playhouse-1,playhouse-2"),
    ("bootstrap.initiator", "playhouse-0"),
    ("peer.cookie_file", "/etc/cookie"),
];

fn resolved(flags: &[(&str, &str)]) -> Result<Config, String> {
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    resolve(&Sources::default().with_flags(flags))
        .map(|resolved| resolved.config)
        .map_err(|errors| errors.to_string())
}

fn three_with(more: &[(&str, &str)]) -> Result<Config, String> {
    resolved(&[&THREE, more].concat())
}

#[test]
fn a_node_that_is_told_nothing_is_the_cluster() {
    for profile in [Profile::Run, Profile::Dev] {
        let config = resolve(&Sources { profile, ..Sources::default() }).unwrap().config;
        assert_eq!(
            (config.members(), config.initiator()),
            (vec!["playhouse-0".to_owned()], "playhouse-0".to_owned())
        );
        assert!(config.is_alone() && !config.is_replicated());
        assert_eq!(config.warnings(), Vec::<String>::new());
        assert_eq!(config.peer.listen.ip().is_loopback(), profile == Profile::Dev);
    }
    let named = resolved(&[("bootstrap.members", "playhouse-0")]).unwrap();
    assert!(named.is_alone());
    assert_eq!(named.initiator(), "playhouse-0");
}

#[test]
fn three_nodes_agree_who_forms_the_cluster() {
    let config = three_with(&[]).unwrap();
    assert_eq!((config.members().len(), config.initiator()), (3, "playhouse-0".to_owned()));
    assert!(config.is_replicated() && !config.is_alone());
    assert_eq!(config.warnings(), Vec::<String>::new());
    // A node that joins later is not among them.
    assert!(three_with(&[("node.name", "playhouse-7")]).is_ok());
}

#[test]
fn the_initiator_is_one_of_the_members() {
    let unknown = three_with(&[("bootstrap.initiator", "playhouse-3")]).unwrap_err();
    assert!(
        unknown.starts_with("bootstrap.initiator, bootstrap.members: \"playhouse-3\" is not among"),
        "{unknown}"
    );
    let unset = resolved(&[THREE[0], THREE[2]]).unwrap_err();
    assert!(
        unset.starts_with("bootstrap.initiator: is unset") && unset.contains("set it to one of"),
        "{unset}"
    );
    let other = resolved(&[("bootstrap.initiator", "playhouse-1")]).unwrap_err();
    assert!(other.contains("is not among playhouse-0"), "{other}");
}

#[test]
fn whoever_expects_others_needs_a_cookie() {
    for others in [
        &THREE[..2],
        &[THREE[0], THREE[1], ("peer.seeds", "playhouse-1:4370")],
        &[("bootstrap.members", "playhouse-0"), ("peer.discovery_name", "peers")],
        &[("bootstrap.members", "playhouse-5")],
    ] {
        let fault = resolved(others).unwrap_err();
        assert!(fault.starts_with("peer.cookie_file: is unset"), "{fault}");
        assert!(fault.contains("write 32 random bytes to a file"), "{fault}");
        assert!(resolved(&[others, &[("peer.cookie_file", "/etc/cookie")]].concat()).is_ok());
    }
}

#[test]
fn the_next_cookie_is_another_file_beside_the_first() {
    let alone = resolved(&[("peer.cookie_file_next", "/etc/next")]).unwrap_err();
    assert!(alone.starts_with("peer.cookie_file_next: is set without peer.cookie_file"), "{alone}");
    let same = three_with(&[("peer.cookie_file_next", "/etc/cookie")]).unwrap_err();
    assert!(same.contains("both are /etc/cookie"), "{same}");
    assert!(three_with(&[("peer.cookie_file_next", "/etc/next")]).is_ok());
}

#[test]
fn what_is_allowed_but_unwise_is_told() {
    let even = ("bootstrap.members", "playhouse-0,playhouse-1");
    for (flag, told) in [
        (even, "bootstrap.members has 2 names"),
        (("cluster.replication_factor", "1"), "cluster.replication_factor is 1"),
        (("store.engine", "sled"), "durability rests on replication alone"),
        (("peer.encryption", "off"), "peer.encryption is off"),
    ] {
        let warnings = three_with(&[flag]).unwrap().warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(told), "{warnings:?}");
    }
}

#[test]
fn values_are_shown_as_they_are_written() {
    let flags = [
        ("cluster.id", "000000000000000000000000000000ff"),
        ("cluster.track", "blue"),
        ("cluster.replication_factor", "5"),
        ("peer.seeds", "a:1,b:2"),
        ("peer.discovery_name", "peers.example"),
    ];
    let flags = flags.iter().chain(&THREE).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let flags: Vec<_> = flags.collect();
    let settings = resolve(&Sources::default().with_flags(flags.clone())).unwrap().settings;
    for (key, value) in flags {
        assert_eq!(settings.iter().find(|setting| setting.key == key).unwrap().value, value);
    }
}
