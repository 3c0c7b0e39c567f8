//! `playhouse send`: many commands from a file of JSON lines.
//!
//! Comes in: a file or standard input, one `{"kind":…,"key":…,"command":…}` per line. Leaves: a summary, the lines
//! that failed in a file of their own, an exit code.
//!
//! `source` reads lines, `line` understands them, `identity` gives each the key that makes a retry safe, `lanes`
//! keeps the order of each entity, `run` joins them with the client; `progress` and `summary` tell how it goes.
//! Memory is bounded however large the file is: by the lines in flight and those that wait behind them.

mod failed;
mod identity;
mod lanes;
mod line;
mod progress;
mod run;
mod source;
mod summary;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use playhouse_client::{Client, Config};
use tokio::{
    fs::File,
    io::{AsyncBufRead, BufReader},
};

use super::{Exit, Failure, Output, duration, output::Format, server::Server};
use failed::FailedFile;
use identity::Identities;
use progress::Progress;
use run::Run;
use source::Lines;
use summary::Summary;

/// How much of the file is read at a time, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// File of JSON lines, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// How many lines may be unanswered at a time
    #[arg(long, value_name = "NUMBER", default_value = "64")]
    in_flight: NonZeroUsize,

    /// How long a line is tried again before it counts as failed
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "60s")]
    retry_for: Duration,

    /// Where failed lines are kept, each with its reason [default: FILE.failed.ndjson]
    #[arg(long, value_name = "FILE")]
    failed: Option<PathBuf>,

    /// Stop when so many lines have failed
    #[arg(long, value_name = "NUMBER")]
    max_failures: Option<std::num::NonZeroU64>,

    /// Apply every line that has no id of its own, even if this file was sent before
    #[arg(long)]
    again: bool,
}

impl Arguments {
    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    fn failed_path(&self) -> PathBuf {
        match &self.failed {
            Some(path) => path.clone(),
            None if self.is_stdin() => PathBuf::from("stdin.failed.ndjson"),
            None => {
                let mut name = self.file.clone().into_os_string();
                name.push(".failed.ndjson");
                name.into()
            }
        }
    }
}

pub(super) async fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    let (input, bytes_total) = open(&arguments).await?;
    let failed_path = arguments.failed_path();
    if failed_path == arguments.file {
        return Err(Failure::usage("--failed is the file that is to be sent").next("name another file"));
    }
    let run = Run::new(run::Parts {
        client: Client::new(config(&arguments, server)?)?,
        lines: Lines::new(input),
        identities: if arguments.again { Identities::unique() } else { Identities::repeatable() },
        failed: FailedFile::new(failed_path),
        progress: Progress::new(bytes_total, output),
        in_flight_max: arguments.in_flight,
        failures_max: arguments.max_failures.map(std::num::NonZeroU64::get),
    });
    let summary = run.drive().await?;
    report(&summary, output)?;
    Ok(summary.exit())
}

fn report(summary: &Summary, output: &Output) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.print(&summary.json(), |_| String::new()),
        Format::Text => output.line(&summary.text()),
    }
}

/// One connection per line in flight, and patience: a server that is killed and started again costs no line.
fn config(arguments: &Arguments, server: &Server) -> Result<Config, Failure> {
    let mut config = server.config()?;
    config.timeout = arguments.retry_for;
    config.attempt_timeout = server.timeout().min(arguments.retry_for);
    config.idle_connections_max = arguments.in_flight.get();
    config.backoff.max = Duration::from_secs(1);
    Ok(config)
}

type Input = Box<dyn AsyncBufRead + Unpin>;

async fn open(arguments: &Arguments) -> Result<(Input, Option<u64>), Failure> {
    if arguments.is_stdin() {
        return Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin())), None));
    }
    let unreadable = |error| Failure::of_file("read", &arguments.file, &error).state("nothing was sent");
    let file = File::open(&arguments.file).await.map_err(unreadable)?;
    let metadata = file.metadata().await.map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", arguments.file.display())));
    }
    let bytes_total = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), bytes_total))
}
