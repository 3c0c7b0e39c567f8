//! `playhouse processes`

mod branches;
mod view;

use serde_json::{Value, json};

use self::view::{LeafView, NodeView, ProcessesView, ReportView, number, plural, size};
use super::{
    Exit, Failure, Output, cluster_view::read, operators::Operators, output::Format, server::Server,
    table::Table,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    operators: Operators,

    /// Only those of this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// Names instead of trees: those of each node, and those in the whole cluster
    #[arg(long, conflicts_with_all = ["groups", "deepest"])]
    names: bool,

    /// Groups and their members instead of trees
    #[arg(long, conflicts_with = "deepest")]
    groups: bool,

    /// Processes for which most messages wait, instead of trees
    #[arg(long)]
    deepest: bool,

    /// How many rows: children of one supervisor, and of each list of each node; what is left out is counted
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = 20)]
    limit: u16,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let desk = arguments.operators.desk(server)?.for_large_answers();
    let wanted = json!({"node": arguments.node, "limit": arguments.limit});
    let processes: Value = desk.look_with("processes", &wanted).await?;
    let view: ProcessesView = read(processes.clone())?;
    match output.format {
        Format::Json => output.print(&processes, |_| String::new())?,
        Format::Text => print(&view, &arguments, output)?,
    }
    // Who asks for one node wants to know of that one.
    let is_unheard = arguments.node.is_some() && view.nodes.iter().any(|node| node.processes.is_none());
    Ok(if is_unheard { Exit::Unavailable } else { Exit::Ok })
}

fn print(view: &ProcessesView, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    if arguments.names {
        print_names(view, output)?;
    } else if arguments.groups {
        print_groups(view, output)?;
    } else if arguments.deepest {
        print_deepest(view, usize::from(arguments.limit), output)?;
    } else {
        return view.nodes.iter().try_for_each(|node| print_node(node, output));
    }
    view.nodes.iter().filter(|node| node.processes.is_none()).try_for_each(|node| print_node(node, output))
}

fn print_node(node: &NodeView, output: &Output) -> Result<(), Failure> {
    let Some(report) = &node.processes else {
        let why = node.why.as_deref().unwrap_or("it says nothing");
        return output.line(&format!("{}: its processes are not known: {why}", node.name));
    };
    output.line(&format!("{}: {}", node.name, summary(report)))?;
    branches::lines(report).iter().try_for_each(|line| output.line(line))
}

/// `7 processes, 2 supervisors, 3 messages wait (1.2 KiB), at most 2 for one; 4 restarts, 1 supervisor gave up`
fn summary(report: &ReportView) -> String {
    let counts = &report.counts;
    let mut text =
        format!("{}, {}", plural(counts.processes, "process"), plural(counts.supervisors, "supervisor"));
    if counts.messages > 0 {
        let (messages, bytes) = (plural(counts.messages, "message"), size(counts.bytes));
        let deepest = number(counts.messages_deepest);
        text += &format!(", {messages} ({bytes}) waiting, at most {deepest} for one");
    }
    let happened = [
        (counts.restarts, "restart"),
        (counts.gave_up, "given-up supervisor"),
        (counts.exits.crashed, "crash"),
        (counts.refused, "refused message"),
        (counts.dropped, "dropped message"),
        (counts.dead_letters, "dead letter"),
    ];
    let happened = happened.into_iter().filter(|(count, _)| *count > 0);
    let happened: Vec<_> = happened.map(|(count, what)| plural(count, what)).collect();
    if happened.is_empty() { text } else { format!("{text}; since its start {}", happened.join(", ")) }
}

fn print_names(view: &ProcessesView, output: &Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (node, report) in view.reports() {
        for (scope, names) in [("node", &report.names), ("cluster", &report.cluster_names)] {
            for name in &names.shown {
                let scope = if name.is_confirmed { scope.to_owned() } else { format!("{scope}?") };
                rows.push([name.name.clone(), scope, node.to_owned(), name.process.to_string()]);
            }
        }
    }
    if rows.is_empty() {
        return output.line("no process has a name");
    }
    rows.sort();
    let mut table = Table::new(["NAME", "KNOWN IN", "NODE", "PROCESS"]);
    rows.into_iter().for_each(|row| table.push(row));
    output.table(&table)?;
    for (node, report) in view.reports() {
        more(node, report.names.more, "name", "of this node", output)?;
        more(node, report.cluster_names.more, "name", "in the whole cluster", output)?;
    }
    Ok(())
}

fn print_groups(view: &ProcessesView, output: &Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (node, report) in view.reports() {
        for group in &report.groups.shown {
            let shown = group.members.shown.iter().map(u64::to_string);
            let more = group.members.more;
            let rest = (more > 0).then(|| format!("… and {} more", number(more)));
            let members: Vec<_> = shown.chain(rest).collect();
            rows.push([group.group.clone(), node.to_owned(), members.join(", ")]);
        }
    }
    if rows.is_empty() {
        return output.line("no process is in a group");
    }
    rows.sort();
    let mut table = Table::new(["GROUP", "NODE", "PROCESSES"]);
    rows.into_iter().for_each(|row| table.push(row));
    output.table(&table)?;
    view.reports()
        .try_for_each(|(node, report)| more(node, report.groups.more, "group", "with members here", output))
}

/// `… and 12 more names of this node on playhouse-0; --limit shows more`
fn more(node: &str, count: usize, what: &str, which: &str, output: &Output) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    output.line(&format!("… and {} more {what}s {which} on {node}; --limit shows more", number(count)))
}

fn print_deepest(view: &ProcessesView, limit: usize, output: &Output) -> Result<(), Failure> {
    let of = |(node, report): (_, &'_ ReportView)| -> Vec<(&str, LeafView)> {
        report.deepest.shown.iter().map(|leaf| (node, leaf.clone())).collect()
    };
    let mut rows: Vec<_> = view.reports().flat_map(of).collect();
    if rows.is_empty() {
        return output.line("no messages wait for a process");
    }
    rows.sort_by_key(|(node, leaf)| (std::cmp::Reverse(leaf.mailbox.messages), *node, leaf.process));
    let left_out = view.reports().map(|(_, report)| report.deepest.more).sum::<usize>();
    let left_out = left_out + rows.len().saturating_sub(limit);
    let mut table = Table::new(["MESSAGES", "BYTES", "NODE", "PROCESS", "ACTOR", "NAMES"]);
    for (node, leaf) in rows.into_iter().take(limit) {
        table.push([
            number(leaf.mailbox.messages),
            size(leaf.mailbox.bytes),
            node.to_owned(),
            leaf.process.to_string(),
            leaf.actor,
            leaf.names.join(", "),
        ]);
    }
    output.table(&table)?;
    if left_out > 0 {
        let which = plural(left_out, "more process");
        output.line(&format!("… and {which} with messages waiting; --limit shows more"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
