//! Runs the product's sessions, baselines and analytics over scenarios of plain events, and scores
//! what comes out. Reads no packets.

mod budget;
mod events;
mod play;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use budget::{Budget, Detail, Truth};
use events::Scenario;

/// `cargo xtask scenario`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folders with `flows.tsv`, `bursts.bin` and `truth.json`.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Take applications from endpoint telemetry (the process) in place of fingerprints.
    #[arg(long)]
    process: bool,

    /// Where to write the judgements of each scenario as JSON lines; a folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write the terms of each judgement as well.
    #[arg(long, requires = "out")]
    terms: bool,

    /// Count each scenario alone, too.
    #[arg(long)]
    each: bool,
}

/// Runs the task.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut budget = Budget::default();
    for folder in &options.folders {
        let scenario = Scenario::load(folder, options.process)?;
        let played = play::play(&scenario);
        let name =
            folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        println!(
            "{name}: {} flows, {} bursts in {:.2} s of CPU: {:.2} M bursts/s",
            scenario.flows.len(),
            scenario.bursts.len(),
            played.seconds,
            f64::from(u32::try_from(scenario.bursts.len())?) / played.seconds / 1e6
        );
        if let Some(out) = &options.out {
            std::fs::create_dir_all(out)?;
            let path = out.join(format!("{name}.jsonl"));
            let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
            let mut file = BufWriter::new(file);
            for row in &played.rows {
                serde_json::to_writer(&mut file, &row.json(options.terms))?;
                file.write_all(b"\n")?;
            }
            file.flush()?;
        }
        let truth = Truth::load(folder)?;
        if options.each {
            let mut alone = Budget::default();
            alone.add(&truth, &played.rows);
            alone.print(&name, Detail::Misses);
        }
        budget.add(&truth, &played.rows);
    }
    budget.print("all", Detail::Figures);
    Ok(())
}
