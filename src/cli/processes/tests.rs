//! The lines that people read, made of a report as a node sends it.

use super::*;

fn report() -> ReportView {
    let child = |id: Option<&str>, process: Option<u64>, rest: Value| {
        let mut branch = json!({
            "id": id, "state": "running", "process": process, "is_supervisor": false, "actor": null,
            "strategy": null, "restarts": null, "is_silent": false, "names": [], "mailbox": null,
            "children": {"shown": [], "more": 0},
        });
        branch.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        branch
    };
    let mailbox = json!({"messages": 2, "bytes": 2048, "refused": 1, "dropped": 0, "dead_letters": 0});
    let empty = json!({"messages": 0, "bytes": 0, "refused": 0, "dropped": 0, "dead_letters": 0});
    let worker = child(None, Some(8), json!({"actor": "shop::Worker", "mailbox": empty}));
    let pool = child(
        Some("pool"),
        Some(7),
        json!({
            "is_supervisor": true, "strategy": "simple_one_for_one", "restarts": 3,
            "children": {"shown": [worker], "more": 1999},
        }),
    );
    let desk =
        child(Some("desk"), Some(6), json!({"actor": "shop::Desk", "mailbox": mailbox, "names": ["front"]}));
    let log = child(Some("log"), None, json!({"state": "restarting"}));
    let busy = child(Some("busy"), Some(9), json!({"is_supervisor": true, "is_silent": true}));
    let top = child(
        None,
        Some(5),
        json!({
            "is_supervisor": true, "strategy": "rest_for_one", "restarts": 0,
            "children": {"shown": [desk, pool, log, busy], "more": 0},
        }),
    );
    let leaf = json!({"process": 4, "actor": "Keeper", "names": [], "mailbox": empty});
    let none = json!({"shown": [], "more": 0});
    serde_json::from_value(json!({
        "counts": {
            "processes": 2003, "supervisors": 3, "messages": 2, "bytes": 2048, "messages_deepest": 2, "refused": 1,
            "dropped": 0, "dead_letters": 0, "restarts": 3, "gave_up": 1,
            "exits": {"normal": 0, "shutdown": 0, "killed": 0, "crashed": 4, "noproc": 0, "noconnection": 0},
        },
        "trees": {"shown": [top], "more": 0},
        "unsupervised": {"shown": [leaf], "more": 2},
        "deepest": none, "names": none, "cluster_names": none, "groups": none,
    }))
    .unwrap()
}

#[test]
fn a_tree_shows_who_is_below_whom_and_what_is_left_out() {
    let expected = [
        "  └─ <5> rest_for_one",
        "     ├─ desk <6> shop::Desk, 2 messages (2.0 KiB) waiting, 1 refused, named front",
        "     ├─ pool <7> simple_one_for_one, 3 restarts",
        "     │  ├─ <8> shop::Worker",
        "     │  └─ … and 1,999 more; --limit shows more",
        "     ├─ log, restarting",
        "     └─ busy <9> supervisor, does not answer: it starts or stops a child",
        "  under no supervisor:",
        "  ├─ <4> Keeper",
        "  └─ … and 2 more; --limit shows more",
    ];
    assert_eq!(branches::lines(&report()), expected);
}

#[test]
fn a_node_is_summed_up_in_a_line() {
    let expected = "2,003 processes, 3 supervisors, 2 messages (2.0 KiB) waiting, at most 2 for one; since its start 3 restarts, \
                    1 given-up supervisor, 4 crashes, 1 refused message";
    assert_eq!(summary(&report()), expected);
    assert_eq!(summary(&ReportView::default()), "0 processes, 0 supervisors");
}

#[test]
fn numbers_and_sizes_are_for_people() {
    let shown = [number(7), number(1_234_567), size(1_023), size(16 << 20), plural(1, "process")];
    assert_eq!(shown, ["7", "1,234,567", "1023 B", "16.0 MiB", "1 process"]);
}
