//! The `dwell` command: arguments, files, signals, exit codes. The work is in the libraries.

mod apps;
mod baseline;
mod check;
mod cli;
mod clock;
mod config;
mod coverage;
mod documents;
mod evidence;
mod findings;
mod fingerprint;
mod health;
mod inputs;
mod interfaces;
mod inventory;
mod log;
mod paced;
mod policy;
mod replay;
mod report;
mod run;
mod summary;
mod telemetry;
mod terminal;
mod tune;
mod units;
mod workers;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

use crate::cli::{Cli, Command};

/// Huge pages where the kernel grants them, which a table of a million flows is twice as fast in,
/// and less time for the many small allocations of a handshake.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Coverage(args) => coverage::run(args, cli.color),
        Command::Replay(args) => match &args.config {
            Some(config) => run::replay(args, config),
            None => replay::run(args, cli.color),
        },
        Command::Fingerprint(args) => fingerprint::run(args, cli.color),
        Command::Apps(args) => apps::run(args),
        Command::Run(args) => run::run(args),
        Command::Interfaces => interfaces::run(cli.color),
        Command::Check(args) => check::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Health { http } => health::run(*http),
        Command::Man => documents::man(),
        Command::Completions { shell } => documents::completions(*shell),
        Command::Baseline(args) => baseline::run(args),
        Command::Findings(args) => findings::run(args),
        Command::Tune(args) => tune::run(args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dwell: {error:#}");
            Exit::Failed.into()
        }
    }
}

/// How the command ends; the numbers are part of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All well.
    #[default]
    Success,
    /// Findings at or above what `--fail-on` asks.
    Findings,
    /// An input file is damaged; what came before the damage was reported.
    Damaged,
    /// A capture cannot be opened.
    CannotOpen,
    /// The configuration is wrong.
    Configuration,
    /// Something else failed.
    Failed,
    /// The user interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Configuration => 3,
            Exit::CannotOpen => 4,
            Exit::Damaged => 5,
            Exit::Findings => 10,
            Exit::Interrupted => 130,
        })
    }
}

/// Whether the reader of our output went away, which is no failure (`dwell … | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        kind == Some(std::io::ErrorKind::BrokenPipe)
    })
}
