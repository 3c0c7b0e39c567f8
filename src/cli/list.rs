//! `playhouse list`

use playhouse_client::{ListQuery, Page};

use super::{Exit, Failure, Output, output::Format, server::Server, table::Table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Kind of the entities, such as counter
    kind: String,

    /// Only keys that start so
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,

    /// Only keys behind this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,

    /// How many keys, or with --all how many at a time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = 100)]
    limit: u16,

    /// All of them, page by page; as JSON then one entity per line
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let client = server.client()?;
    let mut query = ListQuery::of(&arguments.kind)?.prefix(arguments.prefix).limit(arguments.limit);
    if let Some(after) = arguments.after {
        query = query.after(after);
    }
    let mut first = true;
    loop {
        let page = client.list(&query).await?;
        print(&page, arguments.all, first, output)?;
        first = false;
        match page.next_after {
            Some(after) if arguments.all => query = query.after(after),
            Some(after) if output.format == Format::Text => {
                output.note(&format!("there are more: go on with --after '{after}', or --all"));
                return Ok(Exit::Ok);
            }
            _ => return Ok(Exit::Ok),
        }
    }
}

fn print(page: &Page, all: bool, first: bool, output: &Output) -> Result<(), Failure> {
    match output.format {
        Format::Json if all => {
            page.entities.iter().try_for_each(|listed| output.print(listed, |_| String::new()))
        }
        Format::Json => output.print(page, |_| String::new()),
        Format::Text if page.entities.is_empty() => Ok(()),
        Format::Text => {
            let mut table = Table::new(["KEY", "REVISION"]);
            for listed in &page.entities {
                table.push([listed.key.clone(), listed.revision.to_string()]);
            }
            if first { output.table(&table) } else { output.rows(&table) }
        }
    }
}
