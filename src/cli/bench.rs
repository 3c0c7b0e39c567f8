//! `playhouse bench`: load on any cluster, and how long answers took. The work is done by [`crate::load`].
//!
//! Comes in: what to send, how fast and for how long. Leaves: a summary, a report as a file, an exit code that says whether all
//! that was required was reached.

mod plan;
mod progress;
mod words;

use std::{
    net::IpAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use playhouse_client::Address;
use playhouse_cluster::environment::Environment;

use super::{Exit, Failure, Output, duration, interrupts::Interrupts, output::Format, server::Server};
use crate::{
    causes::chain,
    load::{self, Access, Cluster, GatewayReport, Machine, Plan, Report, Requirement, Run, StartError},
};
use plan::{Arrivals, Operation, Transport};
use progress::Progress;

/// Keys of the bench, unless others are named: nobody else's begin so.
const KEY_PREFIX: &str = "playhouse-bench-";

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("pace").required(true).args(["rate", "callers"]))]
pub(super) struct Arguments {
    /// Kind of the entities, such as counter
    #[arg(long, value_name = "KIND")]
    kind: String,

    /// Open loop: so many requests start per second, whatever became of those before
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,

    /// With which gaps requests of an open loop start
    #[arg(long, value_name = "GAPS", value_enum, default_value = "constant", conflicts_with = "callers")]
    arrivals: Arrivals,

    /// Closed loop: so many callers, each sends its next request when it has the answer to the one before
    #[arg(long, value_name = "NUMBER")]
    callers: Option<usize>,

    /// How long is measured
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "30s")]
    duration: Duration,

    /// How long load runs before anything is counted; 0 for not at all
    #[arg(long, value_name = "DURATION", value_parser = plan::warm_up, default_value = "5s")]
    warm_up: Duration,

    /// What is done to each entity
    #[arg(long, value_name = "OPERATION", value_enum, default_value = "call")]
    operation: Operation,

    /// What is sent, with {{n}} for the number of the request; several take turns [default: one for each kind that ships]
    #[arg(long = "message", value_name = "JSON")]
    messages: Vec<String>,

    /// How many entities there are; requests go to them in turn
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    keys: NonZeroU64,

    /// Keys are this and a number
    #[arg(long, value_name = "TEXT", default_value = KEY_PREFIX)]
    key_prefix: String,

    /// Change entities that are there already under another --key-prefix than the default
    #[arg(long)]
    reuse_keys: bool,

    /// Send commands without idempotency keys: nodes need not remember them, and none is sent again when its outcome is unknown
    #[arg(long)]
    no_idempotency: bool,

    /// One request at a time on each connection, or many
    #[arg(long, value_name = "TRANSPORT", value_enum, default_value = "http")]
    transport: Transport,

    /// How many connections [default: 64, in a closed loop one for each caller up to 64]
    #[arg(long, value_name = "NUMBER")]
    connections: Option<usize>,

    /// How many requests of an open loop may wait or be unanswered; past it they fail without being sent
    #[arg(long, value_name = "NUMBER", default_value = "10000")]
    in_flight: usize,

    /// Address of this machine from which connections are opened; repeat it for more than 28,000 connections to one server
    #[arg(long, value_name = "ADDRESS")]
    from: Vec<IpAddr>,

    /// What must be reached for exit code 0, such as p95<10ms, errors=0, errors<0.1% or rate>=20000; repeat it for more
    #[arg(long = "require", value_name = "BOUND")]
    requirements: Vec<Requirement>,

    /// Where the whole report is written as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, server: &Server, output: &Output) -> Result<Exit, Failure> {
    // Unlike the other commands this one has work to do: on all processors.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("could not start", &error))?;
    let environment = Environment::real(runtime.handle().clone(), runtime.handle().clone());
    let outcome = runtime.block_on(bench(&arguments, server, output, environment));
    // Connections that are still being closed must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

async fn bench(
    arguments: &Arguments,
    server: &Server,
    output: &Output,
    environment: Environment,
) -> Result<Exit, Failure> {
    let plan = Arc::new(arguments.plan(server.timeout())?);
    let reuse = arguments.reuse_keys || arguments.key_prefix == KEY_PREFIX;
    let access = Access { config: server.config()?, from: arguments.from.clone(), reuse };
    let checked = load::check(&plan, &access).await?;
    arguments.check_report_file()?;
    announce(&plan, checked.silent(), output);
    let opened = checked.open().await.inspect_err(|_| arguments.remove_empty_report_file());
    let cluster = Arc::new(opened?);
    let report = measure(&plan, cluster, output, environment).await?;
    let report = report.held_against(&arguments.requirements);
    publish(&report, arguments.report.as_deref(), output)?;
    Ok(exit(&report))
}

async fn measure(
    plan: &Arc<Plan>,
    cluster: Arc<Cluster>,
    output: &Output,
    environment: Environment,
) -> Result<Report, Failure> {
    let mut interrupts = Interrupts::new()?;
    let run = Run::new(Arc::clone(plan), Arc::clone(&cluster), environment);
    let progress = Progress::new(plan, run.live(), output);
    let outcome = {
        let mut is_load = true;
        // Asked once for the load, and once for the answers that it waits for.
        let drive = run.drive(async || {
            let is_load = std::mem::take(&mut is_load);
            interrupts.next().await;
            if is_load {
                progress.stopping();
            }
        });
        tokio::select! {
            biased;
            outcome = drive => outcome,
            never = progress.show() => match never {},
        }
    };
    progress.finish();
    let failures = cluster.gateway_failures().into_iter();
    let gateways = failures
        .map(|(address, failures)| GatewayReport { address: address.to_string(), failures })
        .collect();
    Ok(Report::new(plan, &outcome, gateways, Machine::here()))
}

/// Says what is written, before it is.
fn announce(plan: &Plan, silent: &[Address], output: &Output) {
    for address in silent {
        output.note(&format!("{address} does not answer; the load goes to the others"));
    }
    if plan.writes() {
        output.note(&words::announcement(plan));
    }
}

/// Into the file and onto the screen: when the disk is full, what an hour of load showed is not lost.
fn publish(report: &Report, file: Option<&Path>, output: &Output) -> Result<(), Failure> {
    let written = file.map(|path| write(report, path)).transpose();
    let printed = match output.format {
        Format::Json => output.print(report, |_| String::new()),
        Format::Text => output.line(&words::summary(report, file.filter(|_| written.is_ok()))),
    };
    written?;
    printed
}

fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string(report)
        .map_err(|error| Failure::failed("could not write the report as JSON", &error))?;
    std::fs::write(path, text + "\n").map_err(|error| {
        Failure::of_file("write", path, &error)
            .state("the load ran, and what came of it is on standard output")
    })
}

fn exit(report: &Report) -> Exit {
    match report {
        report if report.cut_short => Exit::Interrupted,
        report if !report.meets_requirements() => Exit::Failed,
        report if report.counts.answered == 0 => Exit::Failed,
        _ => Exit::Ok,
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoGateway(error) | StartError::Look(error) => error.into(),
            StartError::Client(error) => error.into(),
            StartError::OpenFiles(error) => Self::new(Exit::Failed, chain(&error)).state("nothing was sent"),
            StartError::UnknownKind { .. } => {
                Self::usage(error.to_string()).next("`playhouse kinds` shows what they do")
            }
            StartError::KeysInUse { .. } => Self::usage(error.to_string())
                .next("give another --key-prefix, or --reuse-keys if they may be changed"),
            StartError::Connect { .. } => {
                Self::failed("no load was sent", &error).state("nothing was sent").next(
                    "use fewer --connections, or raise gateway.connections_max and the limits of open files",
                )
            }
            StartError::FirstRequest(ref fault) => Self::new(exit_of(&fault.code), chain(&error))
                .state("that one request was sent alone, and no other")
                .next("try the same with `playhouse call`; `playhouse kinds` shows examples of commands"),
            error => Self::usage(error.to_string()),
        }
    }
}

/// As the other commands end with this.
fn exit_of(code: &str) -> Exit {
    match code {
        load::NO_CONNECTION | load::CONNECTION_LOST | load::NO_ANSWER | load::NOT_SENT => Exit::Unavailable,
        "unauthorized" => Exit::Unauthorized,
        "invalid_body" => Exit::Usage,
        code if code.starts_with("refused.") => Exit::Refused,
        _ => Exit::Failed,
    }
}
