//! Supervision trees as lines.

use super::view::{BranchView, Excerpt, LeafView, MailboxView, ReportView, number, plural, size};

/// All trees of a node, and the processes under no supervisor.
pub(super) fn lines(report: &ReportView) -> Vec<String> {
    let mut lines = Vec::new();
    push(&mut lines, "  ", &report.trees, branch, |branch| Some(&branch.children));
    if !report.unsupervised.shown.is_empty() {
        lines.push("  under no supervisor:".to_owned());
        push(&mut lines, "  ", &report.unsupervised, leaf, |_| None);
    }
    lines
}

/// One line for each, with what is below it, and one for those that are left out.
fn push<T>(
    lines: &mut Vec<String>,
    indent: &str,
    rows: &Excerpt<T>,
    line: fn(&T) -> String,
    below: fn(&T) -> Option<&Excerpt<T>>,
) {
    let is_last = |at: usize| at + 1 == rows.shown.len() && rows.more == 0;
    for (at, row) in rows.shown.iter().enumerate() {
        let (knot, rail) = if is_last(at) { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{knot}{}", line(row)));
        if let Some(children) = below(row) {
            push(lines, &format!("{indent}{rail}"), children, line, below);
        }
    }
    if rows.more > 0 {
        lines.push(format!("{indent}└─ … and {} more; --limit shows more", number(rows.more)));
    }
}

/// `desk <13> shop::Desk, 2 messages (48 B), named printer`
fn branch(branch: &BranchView) -> String {
    let process = branch.process.map(|process| format!("<{process}>"));
    let what = if branch.is_supervisor {
        branch.strategy.clone().or(branch.is_silent.then(|| "supervisor".to_owned()))
    } else {
        branch.actor.clone().or(branch.process.map(|_| "actor without a mailbox of ours".to_owned()))
    };
    let head: Vec<_> = branch.id.clone().into_iter().chain(process).chain(what).collect();
    let state = (branch.state != "running").then(|| branch.state.clone());
    let silent = branch.is_silent.then(|| "does not answer: it starts or stops a child".to_owned());
    let restarts = branch.restarts.filter(|restarts| *restarts > 0).map(|count| plural(count, "restart"));
    let notes = [state, silent, restarts].into_iter().flatten();
    let notes = notes.chain(branch.mailbox.iter().flat_map(mailbox)).chain(named(&branch.names));
    [head.join(" ")].into_iter().chain(notes).collect::<Vec<_>>().join(", ")
}

fn leaf(leaf: &LeafView) -> String {
    let head = format!("<{}> {}", leaf.process, leaf.actor);
    [head].into_iter().chain(mailbox(&leaf.mailbox)).chain(named(&leaf.names)).collect::<Vec<_>>().join(", ")
}

/// An empty mailbox that lost nothing is not worth a word.
fn mailbox(mailbox: &MailboxView) -> Vec<String> {
    let counts = [(mailbox.refused, "refused"), (mailbox.dropped, "dropped")];
    let lost = counts.into_iter().filter(|(count, _)| *count > 0);
    let lost = lost.map(|(count, how)| format!("{} {how}", number(count)));
    let waiting = (mailbox.messages > 0)
        .then(|| format!("{} ({}) waiting", plural(mailbox.messages, "message"), size(mailbox.bytes)));
    waiting.into_iter().chain(lost).collect()
}

fn named(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("named {}", names.join(", ")))
}
