//! The project's own checks: crate arrows, conformance with the corpus, speed beside other
//! tools, everything CI runs.

mod attribution;
mod bench;
mod ci;
mod conformance;
mod golden;
mod layers;
mod pcap_file;
mod scenario;
mod telemetry;
mod tsv;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own checks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check that crates depend on one another only downwards.
    Layers,
    /// Run `dwell fingerprint` over a corpus of captures with expected hellos and print what was
    /// found and what was right, by field and transport.
    Conformance {
        /// Folder with `captures/`, `expected.tsv` and `synth/`.
        dir: PathBuf,
        /// How many rows that are missing or wrong to print.
        #[arg(long, default_value_t = 20)]
        misses: usize,
    },
    /// Compare `dwell fingerprint` on each capture under `pcaps/` with the `.jsonl` beside it;
    /// write them anew with `UPDATE_GOLDEN=1`.
    Golden,
    /// Run `dwell replay --format eve` beside other tools on the same files and print CPU time by
    /// the kernel's accounting, as ratios to tcpdump's, and peak memory. Files are made by
    /// `cargo run --release -p dwell-testkit --bin make-bench`.
    Bench(bench::Options),
    /// Learn application rules from labelled tuples with the product's own code, and write what they
    /// answer for others.
    Attribution(attribution::Options),
    /// Replay the corpus of endpoint samples and print how many flows were joined with the right
    /// process, sample by sample.
    Telemetry {
        /// Folder with `endpoint/` and `clients/`.
        #[arg(default_value = "../shared/corpus")]
        corpus: PathBuf,
        /// The command to run, in place of a release build.
        #[arg(long)]
        dwell: Option<PathBuf>,
    },
    /// Run the detector over scenarios of flow and burst events, and print the recall of their
    /// campaigns at budgets of false findings. Slow without `--release`.
    Scenario(scenario::Options),
    /// Run everything that CI runs.
    Ci,
}

fn main() -> ExitCode {
    match run(&Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<()> {
    let root = workspace_root()?;
    match task {
        Task::Layers => layers::check(&root),
        Task::Conformance { dir, misses } => conformance::run(&root, dir, *misses),
        Task::Golden => golden::run(&root),
        Task::Bench(options) => bench::run(&root, options),
        Task::Attribution(options) => attribution::run(options),
        Task::Telemetry { corpus, dwell } => {
            telemetry::run(&root, &root.join(corpus), dwell.as_deref())
        }
        Task::Scenario(options) => scenario::run(&root, options),
        Task::Ci => ci::run(&root),
    }
}

/// The folder of the workspace, wherever the command was started.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().context("xtask stands alone, outside its workspace")?;
    Ok(root.to_owned())
}
